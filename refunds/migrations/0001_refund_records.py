import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('payments', '0004_payment_callback_bodies'),
    ]

    operations = [
        migrations.CreateModel(
            name='Refund',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('refund_no', models.CharField(max_length=28, unique=True, verbose_name='退款单号')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='payments.paymentorder', verbose_name='订单')),
                ('transaction', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='payments.paymenttransaction', verbose_name='原支付流水')),
                ('user_id', tcmpay.common.fields.UUIDTextField(verbose_name='收款用户')),
                ('refund_amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='退款金额（元）')),
                ('refund_reason', models.CharField(max_length=500, verbose_name='退款原因')),
                ('status', models.CharField(choices=[('pending', '待审核'), ('processing', '退款中'), ('success', '已退款'), ('failed', '退款失败'), ('cancelled', '已取消')], db_default='pending', default='pending', max_length=16, verbose_name='状态')),
                ('requested_by', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='申请人')),
                ('reviewed_by', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='审核人')),
                ('reviewed_at', models.DateTimeField(blank=True, null=True, verbose_name='审核时间')),
                ('review_notes', models.CharField(blank=True, max_length=500, null=True, verbose_name='审核备注')),
                ('external_refund_id', models.CharField(blank=True, max_length=64, null=True, verbose_name='网关退款号')),
                ('refund_response', models.JSONField(blank=True, null=True, verbose_name='网关应答')),
                ('completed_at', models.DateTimeField(blank=True, null=True, verbose_name='完成时间')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='申请时间')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
                ('cause', models.CharField(choices=[('requested', '用户或客服申请'), ('late_payment', '订单结束后到账，自动退回'), ('second_payment', '重复支付，自动退回'), ('outside', '商户平台直接退款')], db_default='requested', default='requested', max_length=20, verbose_name='缘由')),
                ('approvals_needed', models.PositiveSmallIntegerField(db_default=1, default=1, verbose_name='尚需审批')),
                ('completed_on', models.DateField(blank=True, null=True, verbose_name='完成日')),
                ('next_check_at', models.DateTimeField(blank=True, null=True, verbose_name='下次处理')),
                ('submissions', models.PositiveIntegerField(db_default=0, default=0, verbose_name='提交次数')),
                ('number_generation', models.PositiveSmallIntegerField(db_default=1, default=1, verbose_name='编号代次')),
                ('error_code', models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='错误码')),
                ('error_message', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='错误信息')),
                ('idempotency_key_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True)),
            ],
            options={
                'verbose_name': '退款',
                'verbose_name_plural': '退款',
                'db_table': 'refund_records',
                'permissions': (('review_refund', '可以审核退款'),),
                'indexes': [models.Index(fields=['user_id', 'created_at', 'id'], name='refund_user_created'), models.Index(fields=['created_at', 'id'], name='refund_created'), models.Index(fields=['status', 'created_at'], name='refund_status_created'), models.Index(fields=['next_check_at'], name='refund_next_check'), models.Index(fields=['completed_on', 'refund_amount'], name='refund_day')],
                'constraints': [models.CheckConstraint(condition=models.Q(('refund_amount__gt', 0), ('refund_amount__lte', Decimal('99999999.99'))), name='refund_is_amount'), models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'processing', 'success', 'failed', 'cancelled'])), name='refund_status_known'), models.CheckConstraint(condition=models.Q(('cause__in', ['requested', 'late_payment', 'second_payment', 'outside'])), name='refund_cause_known'), models.CheckConstraint(condition=models.Q(models.Q(('completed_at__isnull', False), ('status', 'success')), models.Q(('status', 'success'), _negated=True), _connector='OR'), name='refund_success_has_time')],
            },
        ),
    ]
