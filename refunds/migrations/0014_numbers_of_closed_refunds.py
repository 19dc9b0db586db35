"""The gateway's number of a refund that it closed, kept until now, is not that of the next one.

Rows that the trail keeps a digest of were written since the number is cleared, and stay as told.
"""

from django.db import migrations


def forget_closed_numbers(apps, _schema_editor):
    refunds = apps.get_model("refunds", "Refund").objects
    events = apps.get_model("audit", "AuditEvent").objects
    stale = refunds.filter(
        number_generation__gt=1, status__in=("failed", "processing")
    ).exclude(external_refund_id=None)
    for refund_id in list(stale.values_list("id", flat=True)):
        trail = events.filter(object_type="refund", object_id=str(refund_id))
        if not any("row" in details for details in trail.values_list("details", flat=True)):
            refunds.filter(id=refund_id).update(external_refund_id=None)


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0008_log_heads'),
        ('refunds', '0013_sendings_known'),
    ]

    operations = [migrations.RunPython(forget_closed_numbers, migrations.RunPython.noop)]
