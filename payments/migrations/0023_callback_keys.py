import tcmpay.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0022_exchange_outcome_index"),
    ]

    operations = [
        migrations.AddField(
            model_name='paymentcallback',
            name='config_version_id',
            field=tcmpay.common.fields.UUIDTextField(null=True, verbose_name='配置版本'),
        ),
        migrations.AddField(
            model_name='paymentcallback',
            name='key_mark',
            field=models.CharField(blank=True, db_default='', default='', max_length=32, verbose_name='验签密钥'),
        ),
    ]
