import tcmpay.common.fields
import tcmpay.common.ids
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='PaymentOrder',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('order_no', models.CharField(max_length=28, unique=True, verbose_name='订单号')),
                ('user_id', tcmpay.common.fields.UUIDTextField(verbose_name='用户')),
                ('appointment_id', tcmpay.common.fields.UUIDTextField(blank=True, db_index=True, null=True, verbose_name='预约')),
                ('order_type', models.CharField(choices=[('appointment', '预约问诊'), ('consultation', '图文咨询'), ('prescription', '处方'), ('other', '其他')], max_length=16, verbose_name='订单类型')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='金额（元）')),
                ('currency', models.CharField(db_default='CNY', default='CNY', max_length=3, verbose_name='币种')),
                ('status', models.CharField(choices=[('pending', '待支付'), ('paid', '已支付'), ('partial_refunded', '部分退款'), ('refunded', '已退款'), ('cancelled', '已取消'), ('expired', '已过期')], db_default='pending', default='pending', max_length=20, verbose_name='状态')),
                ('payment_method', models.CharField(blank=True, choices=[('balance', '余额支付'), ('wechat', '微信支付'), ('alipay', '支付宝')], max_length=16, null=True, verbose_name='支付方式')),
                ('payment_time', models.DateTimeField(blank=True, null=True, verbose_name='支付时间')),
                ('expire_time', models.DateTimeField(verbose_name='过期时间')),
                ('description', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='说明')),
                ('metadata', models.JSONField(blank=True, null=True, verbose_name='附加信息')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='创建时间')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
                ('service_type', models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='服务类型')),
                ('price_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='价格')),
                ('created_by', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='创建人')),
                ('created_on', models.DateField(db_default=tcmpay.common.fields.ShanghaiToday(), verbose_name='创建日')),
                ('paid_on', models.DateField(blank=True, null=True, verbose_name='支付日')),
                ('live_appointment_key', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('idempotency_key_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True)),
            ],
            options={
                'verbose_name': '订单',
                'verbose_name_plural': '订单',
                'db_table': 'payment_orders',
                'indexes': [models.Index(fields=['user_id', 'created_at', 'id'], name='order_user_created'), models.Index(fields=['created_at', 'id'], name='order_created'), models.Index(fields=['status', 'expire_time'], name='order_status_expire'), models.Index(fields=['created_on', 'status', 'amount'], name='order_day'), models.Index(fields=['paid_on', 'payment_method', 'amount'], name='order_paid_day')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__lte', Decimal('99999999.99'))), name='order_is_amount'), models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'paid', 'partial_refunded', 'refunded', 'cancelled', 'expired'])), name='order_status_known'), models.CheckConstraint(condition=models.Q(('order_type__in', ['appointment', 'consultation', 'prescription', 'other'])), name='order_type_known'), models.CheckConstraint(condition=models.Q(('currency', 'CNY')), name='order_currency_cny'), models.CheckConstraint(condition=models.Q(('payment_method__isnull', True), ('payment_method__in', ['balance', 'wechat', 'alipay']), _connector='OR'), name='order_method_known'), models.CheckConstraint(condition=models.Q(models.Q(('payment_time', None), ('status__in', ('pending', 'cancelled', 'expired'))), models.Q(('payment_method__isnull', False), ('payment_time__isnull', False), ('status__in', ('paid', 'partial_refunded', 'refunded'))), _connector='OR'), name='order_paid_has_time_and_method')],
            },
        ),
    ]
