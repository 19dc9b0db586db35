from django.db import migrations

UNFINISHED = ("pending", "running", "paused")


def hold(apps, schema_editor):
    """Rows that may still ask something back hold their order; of two of one order the older."""
    using = schema_editor.connection.alias
    rows = apps.get_model("refunds", "RefundBulkRow").objects.using(using)
    waiting = rows.filter(outcome="waiting", bulk__status__in=UNFINISHED, held_order=None)
    held = set(rows.exclude(held_order=None).values_list("order_id", flat=True))
    by_age = waiting.order_by("bulk__created_at", "bulk_id").values_list("id", "order_id")
    for row_id, order_id in list(by_age):
        if order_id not in held:
            held.add(order_id)
            rows.filter(id=row_id).update(held_order=order_id)


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0025_orders_held_by_bulks'),
    ]

    operations = [
        migrations.RunPython(hold, migrations.RunPython.noop),
    ]
