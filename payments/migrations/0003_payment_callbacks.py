import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0002_payment_transactions'),
    ]

    operations = [
        migrations.CreateModel(
            name='PaymentCallback',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('payment_method', models.CharField(max_length=16, verbose_name='支付方式')),
                ('received_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='收到时间')),
                ('verdict', models.CharField(choices=[('applied', '已入账'), ('repeat', '重复通知'), ('late', '订单结束后到账'), ('second', '重复支付'), ('not_paid', '非支付成功通知'), ('closed', '交易关闭'), ('refund_notice', '退款通知'), ('wrong_amount', '金额不符'), ('mismatch', '交易信息不符'), ('unknown_order', '订单不存在'), ('ignored', '无关通知'), ('untrusted', '验证失败')], max_length=16, verbose_name='结论')),
                ('reason', models.CharField(blank=True, default='', max_length=300, verbose_name='原因')),
                ('is_mock', models.BooleanField(default=False, verbose_name='模拟')),
                ('notice_id', models.CharField(blank=True, default='', max_length=128, verbose_name='通知编号')),
                ('event', models.CharField(blank=True, default='', max_length=64, verbose_name='事件')),
                ('out_trade_no', models.CharField(blank=True, default='', max_length=64, verbose_name='商户订单号')),
                ('external_transaction_id', models.CharField(blank=True, default='', max_length=64, verbose_name='网关交易号')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, null=True, verbose_name='金额（元）')),
                ('transaction', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='callbacks', to='payments.paymenttransaction', verbose_name='支付流水')),
                ('remote_address', models.CharField(blank=True, default='', max_length=64, verbose_name='来源地址')),
                ('body_sha256', models.CharField(max_length=64)),
                ('request_id', models.CharField(blank=True, default='', max_length=64, verbose_name='请求编号')),
                ('is_picked_up', models.BooleanField(null=True)),
            ],
            options={
                'verbose_name': '网关通知',
                'verbose_name_plural': '网关通知',
                'db_table': 'payment_callbacks',
                'indexes': [models.Index(fields=['received_at'], name='callback_received'), models.Index(fields=['out_trade_no'], name='callback_out_trade_no'), models.Index(fields=['verdict', 'received_at'], name='callback_verdict'), models.Index(fields=['is_picked_up'], name='callback_picked_up')],
                'constraints': [],
            },
        ),
    ]
