import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('reconciliation', '0009_late_bills_count_later')]

    operations = [
        migrations.CreateModel(
            name='BillDownload',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('payment_method', models.CharField(choices=[('balance', '余额支付'), ('wechat', '微信支付'), ('alipay', '支付宝')], max_length=16, verbose_name='支付方式')),
                ('merchant', models.CharField(max_length=64, verbose_name='商户号')),
                ('day', models.DateField(db_index=True, verbose_name='账单日')),
                ('asked_by', tcmpay.common.fields.UUIDTextField(verbose_name='要求下载的人')),
                ('asked_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='要求下载的时间')),
                ('status', models.CharField(choices=[('waiting', '排队下载'), ('refused', '没有下载到'), ('done', '已下载')], default='waiting', max_length=8, verbose_name='状态')),
                ('reason', models.CharField(blank=True, default='', max_length=500, verbose_name='说明')),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                'verbose_name': '重新下载的账单',
                'verbose_name_plural': '重新下载的账单',
                'db_table': 'reconciliation_downloads',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('payment_method', 'merchant', 'day'), name='bill_download_unique'), models.CheckConstraint(condition=models.Q(models.Q(('due_at__isnull', False), ('status', 'waiting')), models.Q(('due_at', None), ('status', 'done')), models.Q(('due_at', None), ('status', 'refused'), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='bill_download_is_due_or_says_why')],
            },
        ),
    ]
