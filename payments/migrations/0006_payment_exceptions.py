import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0005_callback_refund_notice'),
    ]

    operations = [
        migrations.CreateModel(
            name='PaymentException',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('kind', models.CharField(choices=[('wrong_amount', '金额不符'), ('mismatch', '交易信息不符'), ('unknown_order', '订单不存在'), ('late_payment', '订单结束后到账'), ('second_payment', '重复支付'), ('refund_abnormal', '退款异常'), ('refund_refused', '退款被网关拒绝'), ('outside_refund', '商户平台直接退款')], max_length=32, verbose_name='类型')),
                ('fact_key', models.CharField(max_length=120, unique=True)),
                ('payment_method', models.CharField(choices=[('balance', '余额支付'), ('wechat', '微信支付'), ('alipay', '支付宝')], max_length=16, verbose_name='支付方式')),
                ('order', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='exceptions', to='payments.paymentorder', verbose_name='订单')),
                ('transaction', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='exceptions', to='payments.paymenttransaction', verbose_name='支付流水')),
                ('out_trade_no', models.CharField(blank=True, default='', max_length=64, verbose_name='商户订单号')),
                ('external_transaction_id', models.CharField(blank=True, default='', max_length=64, verbose_name='网关交易号')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, null=True, verbose_name='金额（元）')),
                ('reason', models.CharField(blank=True, default='', max_length=500, verbose_name='说明')),
                ('opened_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='发现时间')),
                ('closed_at', models.DateTimeField(blank=True, null=True, verbose_name='处理时间')),
                ('closed_by', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='处理人')),
                ('resolution', models.CharField(blank=True, default='', max_length=500, verbose_name='处理说明')),
            ],
            options={
                'verbose_name': '差错',
                'verbose_name_plural': '差错',
                'db_table': 'payment_exceptions',
                'permissions': (('close_exception', '可以处理差错'),),
                'indexes': [models.Index(fields=['closed_at', 'opened_at'], name='exception_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['wrong_amount', 'mismatch', 'unknown_order', 'late_payment', 'second_payment', 'refund_abnormal', 'refund_refused', 'outside_refund'])), name='exception_kind_known')],
            },
        ),
    ]
