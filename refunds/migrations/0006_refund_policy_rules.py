import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0005_refund_notes'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundPolicyRule',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('order_type', models.CharField(blank=True, choices=[('appointment', '预约问诊'), ('consultation', '图文咨询'), ('prescription', '处方'), ('other', '其他')], db_default='', default='', help_text='留空：适用于没有专门规则的所有类型', max_length=16, verbose_name='订单类型')),
                ('hours_from', models.IntegerField(blank=True, help_text='留空：不限', null=True, verbose_name='距预约不少于（小时）')),
                ('hours_to', models.IntegerField(blank=True, help_text='留空：不限；0 表示预约时间已过', null=True, verbose_name='距预约不足（小时）')),
                ('percentage', models.PositiveSmallIntegerField(verbose_name='可退比例（%）')),
                ('is_active', models.BooleanField(db_default=True, default=True, verbose_name='启用')),
                ('description', models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='说明')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
            ],
            options={
                'verbose_name': '退款规则',
                'verbose_name_plural': '退款规则',
                'db_table': 'refund_policy_rules',
                'ordering': ('order_type', 'hours_from', 'id'),
                'constraints': [models.CheckConstraint(condition=models.Q(('percentage__gte', 0), ('percentage__lte', 100)), name='refund_rule_percentage_known'), models.CheckConstraint(condition=models.Q(('hours_from__isnull', True), ('hours_to__isnull', True), ('hours_from__lt', models.F('hours_to')), _connector='OR'), name='refund_rule_hours_ordered')],
            },
        ),
    ]
