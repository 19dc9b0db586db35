from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0023_callback_keys"),
    ]

    operations = [
        migrations.AddIndex(
            model_name='paymentcallback',
            index=models.Index(fields=['key_mark', 'received_at'], name='callback_key_mark'),
        ),
        migrations.AddIndex(
            model_name='paymentcallback',
            index=models.Index(fields=['config_version_id', 'received_at'], name='callback_version'),
        ),
    ]
