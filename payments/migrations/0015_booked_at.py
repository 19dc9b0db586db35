from django.db import migrations, models


class Migration(migrations.Migration):
    """When money was booked, beside when the gateway says that it moved."""

    dependencies = [
        ("payments", "0014_exception_written_off_by_two"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentorder",
            name="booked_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="入账时间"),
        ),
        migrations.AddField(
            model_name="paymenttransaction",
            name="booked_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="入账时间"),
        ),
    ]
