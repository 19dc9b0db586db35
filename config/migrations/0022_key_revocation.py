import tcmpay.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("config", "0021_app_ids_of_scenes"),
    ]

    operations = [
        migrations.AddField(
            model_name='paymentconfigversion',
            name='revocation_asked_at',
            field=models.DateTimeField(null=True, verbose_name='申请作废时间'),
        ),
        migrations.AddField(
            model_name='paymentconfigversion',
            name='revocation_asked_by',
            field=tcmpay.common.fields.UUIDTextField(null=True, verbose_name='申请作废人'),
        ),
        migrations.AddField(
            model_name='paymentconfigversion',
            name='revocation_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='作废原因'),
        ),
        migrations.AddField(
            model_name='paymentconfigversion',
            name='revoked_at',
            field=models.DateTimeField(null=True, verbose_name='密钥作废时间'),
        ),
        migrations.AddField(
            model_name='paymentconfigversion',
            name='revoked_by',
            field=tcmpay.common.fields.UUIDTextField(null=True, verbose_name='作废人'),
        ),
    ]
