"""Refunds that were sent before sendings were counted: the gateway may know their numbers.

One that the gateway closed has a new number, which was never sent.
"""

from django.db import migrations
from django.db.models import F, Q


def count_what_was_sent(apps, _schema_editor):
    refunds = apps.get_model("refunds", "Refund").objects
    sent = refunds.filter(status__in=("processing", "failed")).exclude(submissions=0)
    sent.exclude(Q(status="failed", error_code="CLOSED")).update(
        sendings=1, sent_at=F("updated_at")
    )


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0011_refund_sendings'),
    ]

    operations = [migrations.RunPython(count_what_was_sent, migrations.RunPython.noop)]
