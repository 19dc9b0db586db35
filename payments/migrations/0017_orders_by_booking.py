from django.db import migrations, models


class Migration(migrations.Migration):
    """Finds what was booked lately for an earlier day, whose totals are to be counted anew."""

    dependencies = [
        ("payments", "0016_booked_at_of_existing_rows"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="paymentorder",
            index=models.Index(fields=["booked_at", "paid_on"], name="order_booked"),
        ),
    ]
