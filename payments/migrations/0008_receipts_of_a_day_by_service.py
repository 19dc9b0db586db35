from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0007_gateway_exchanges"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="paymentorder",
            index=models.Index(
                fields=["paid_on", "payment_method", "order_type", "service_type", "amount"],
                name="order_paid_day_service",
            ),
        ),
    ]
