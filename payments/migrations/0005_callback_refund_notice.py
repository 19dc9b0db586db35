from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_payment_callback_bodies")]

    operations = [
        migrations.AddField(
            model_name="paymentcallback",
            name="refund_notice",
            field=models.JSONField(null=True),
        ),
    ]
