from django.db import migrations


class Migration(migrations.Migration):
    """The index by service, added before, serves what this one did."""

    dependencies = [
        ("payments", "0008_receipts_of_a_day_by_service"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="paymentorder", name="order_paid_day"),
    ]
