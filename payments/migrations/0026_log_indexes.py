from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0025_log_columns"),
    ]

    operations = [
        migrations.AddIndex(
            "gatewayexchange",
            models.Index(fields=["transaction", "log_number"], name="exchange_log"),
        ),
        migrations.AddIndex(
            "paymentcallback",
            models.Index(fields=["log_key", "log_number"], name="callback_log"),
        ),
    ]
