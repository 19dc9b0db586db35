import tcmpay.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0011_exception_owner'),
    ]

    operations = [
        migrations.AddField(
            model_name='paymentexception',
            name='outcome',
            field=models.CharField(blank=True, choices=[('', '未结束'), ('settled', '自动了结'), ('matched', '已匹配入账'), ('written_off', '已核销'), ('closed', '已说明关闭')], db_default='', default='', max_length=16, verbose_name='结果'),
        ),
        migrations.AddField(
            model_name='paymentexception',
            name='write_off_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='核销申请时间'),
        ),
        migrations.AddField(
            model_name='paymentexception',
            name='write_off_by',
            field=tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='核销申请人'),
        ),
        migrations.AddField(
            model_name='paymentexception',
            name='write_off_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='核销理由'),
        ),
    ]
