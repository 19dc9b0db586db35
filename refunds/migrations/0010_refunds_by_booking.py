from django.db import migrations, models


class Migration(migrations.Migration):
    """Finds what was booked lately for an earlier day, whose totals are to be counted anew."""

    dependencies = [
        ("refunds", "0009_booked_at_of_existing_rows"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(fields=["booked_at", "completed_on"], name="refund_booked"),
        ),
    ]
