import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0001_payment_orders'),
    ]

    operations = [
        migrations.CreateModel(
            name='PaymentTransaction',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('transaction_no', models.CharField(max_length=28, unique=True, verbose_name='流水号')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='transactions', to='payments.paymentorder', verbose_name='订单')),
                ('payment_method', models.CharField(choices=[('balance', '余额支付'), ('wechat', '微信支付'), ('alipay', '支付宝')], max_length=16, verbose_name='支付方式')),
                ('transaction_type', models.CharField(choices=[('payment', '支付'), ('refund', '退款')], db_default='payment', default='payment', max_length=16, verbose_name='类型')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='金额（元）')),
                ('status', models.CharField(choices=[('pending', '处理中'), ('success', '成功'), ('failed', '失败')], db_default='pending', default='pending', max_length=16, verbose_name='状态')),
                ('external_transaction_id', models.CharField(blank=True, max_length=64, null=True, verbose_name='网关流水号')),
                ('prepay_id', models.CharField(blank=True, max_length=128, null=True, verbose_name='预支付编号')),
                ('trade_no', models.CharField(blank=True, db_index=True, max_length=64, null=True, verbose_name='网关交易号')),
                ('request_data', models.JSONField(blank=True, null=True, verbose_name='请求')),
                ('response_data', models.JSONField(blank=True, null=True, verbose_name='应答')),
                ('callback_data', models.JSONField(blank=True, null=True, verbose_name='通知')),
                ('error_code', models.CharField(blank=True, max_length=64, null=True, verbose_name='错误码')),
                ('error_message', models.CharField(blank=True, max_length=500, null=True, verbose_name='错误信息')),
                ('initiated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='发起时间')),
                ('completed_at', models.DateTimeField(blank=True, null=True, verbose_name='完成时间')),
                ('out_trade_no', models.CharField(blank=True, max_length=32, null=True, verbose_name='商户订单号')),
                ('scene', models.CharField(blank=True, db_default='', default='', max_length=16, verbose_name='场景')),
                ('is_mock', models.BooleanField(db_default=False, default=False, verbose_name='模拟')),
                ('config_version_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='配置版本')),
                ('disposition', models.CharField(blank=True, choices=[('', '无'), ('applied', '已入账'), ('late', '订单结束后到账'), ('second', '重复支付')], db_default='', default='', max_length=16, verbose_name='入账情况')),
                ('applied_order_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True)),
                ('refund_reserved', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=10, verbose_name='已占用退款额（元）')),
                ('refund_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True, verbose_name='退款')),
                ('gateway_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='网关截止时间')),
                ('next_check_at', models.DateTimeField(blank=True, null=True, verbose_name='下次查询')),
                ('checks', models.PositiveIntegerField(db_default=0, default=0, verbose_name='查询次数')),
                ('is_close_owed', models.BooleanField(db_default=False, default=False, verbose_name='待关闭')),
                ('idempotency_key_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True)),
            ],
            options={
                'verbose_name': '支付流水',
                'verbose_name_plural': '支付流水',
                'db_table': 'payment_transactions',
                'indexes': [models.Index(fields=['order', 'initiated_at'], name='transaction_order'), models.Index(fields=['next_check_at'], name='transaction_next_check'), models.Index(fields=['disposition', 'refund_reserved'], name='transaction_surplus')],
                'constraints': [models.UniqueConstraint(fields=('payment_method', 'out_trade_no'), name='transaction_out_trade_no_unique'), models.UniqueConstraint(fields=('payment_method', 'external_transaction_id'), name='transaction_external_unique'), models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__lte', Decimal('99999999.99'))), name='transaction_is_amount'), models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'success', 'failed'])), name='transaction_status_known'), models.CheckConstraint(condition=models.Q(('payment_method__in', ['balance', 'wechat', 'alipay'])), name='transaction_method_known'), models.CheckConstraint(condition=models.Q(models.Q(('refund_id__isnull', True), ('transaction_type', 'payment')), models.Q(('refund_id__isnull', False), ('transaction_type', 'refund')), _connector='OR'), name='transaction_type_known'), models.CheckConstraint(condition=models.Q(('applied_order_id__isnull', True), models.Q(('applied_order_id', models.F('order')), ('disposition', 'applied'), ('status', 'success'), ('transaction_type', 'payment')), _connector='OR'), name='transaction_applied_is_success'), models.CheckConstraint(condition=models.Q(('refund_reserved__gte', 0), ('refund_reserved__lte', models.F('amount'))), name='transaction_refunds_within_amount'), models.CheckConstraint(condition=models.Q(('refund_reserved', 0), models.Q(('status', 'success'), ('transaction_type', 'payment')), _connector='OR'), name='transaction_refunds_of_success')],
            },
        ),
    ]
