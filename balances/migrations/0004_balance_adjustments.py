from decimal import Decimal

import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("balances", "0003_who_may_move_balances")]

    operations = [
        migrations.CreateModel(
            name='BalanceAdjustment',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('user_id', tcmpay.common.fields.UUIDTextField(verbose_name='用户')),
                ('direction', models.CharField(choices=[('income', '增加余额'), ('expense', '扣减余额')], max_length=16, verbose_name='方向')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='金额（元）')),
                ('reason', models.CharField(max_length=500, verbose_name='原因')),
                ('status', models.CharField(choices=[('pending', '待复核'), ('approved', '已执行'), ('rejected', '已驳回'), ('withdrawn', '已撤回')], default='pending', max_length=16, verbose_name='状态')),
                ('requested_by', tcmpay.common.fields.UUIDTextField(verbose_name='申请人')),
                ('decided_by', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='处理人')),
                ('decision_notes', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='备注')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='申请时间')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='处理时间')),
            ],
            options={
                'verbose_name': '余额调整',
                'verbose_name_plural': '余额调整',
                'db_table': 'balance_adjustments',
                'permissions': (('request_adjustment', '申请调整余额'), ('approve_adjustment', '复核他人申请的余额调整')),
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['status', 'created_at'], name='balance_adjustment_queue'), models.Index(fields=['user_id', 'created_at'], name='balance_adjustment_user')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__lte', Decimal('99999999.99'))), name='balance_adjustment_is_amount'), models.CheckConstraint(condition=models.Q(('direction__in', ['income', 'expense'])), name='balance_adjustment_direction_known'), models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'approved', 'rejected', 'withdrawn'])), name='balance_adjustment_status_known'), models.CheckConstraint(condition=models.Q(models.Q(('decided_by__isnull', True), ('status', 'pending')), models.Q(('decided_by__isnull', False), ('status', 'withdrawn')), models.Q(('decided_by__isnull', False), ('status__in', ('approved', 'rejected')), models.Q(('decided_by', models.F('requested_by')), _negated=True), models.Q(('decided_by', models.F('user_id')), _negated=True)), _connector='OR'), name='balance_adjustment_by_two')],
            },
        ),
    ]
