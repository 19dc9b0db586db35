from django.db import migrations, models


class Migration(migrations.Migration):
    """When a refund was booked, beside when the gateway says that the money went back."""

    dependencies = [
        ("refunds", "0007_default_notes"),
    ]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="booked_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="入账时间"),
        ),
    ]
