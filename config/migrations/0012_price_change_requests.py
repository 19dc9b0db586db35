import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0011_merchant_certificate")]

    operations = [
        migrations.CreateModel(
            name='PriceChangeRequest',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('service_type', models.CharField(max_length=64, verbose_name='服务类型')),
                ('wanted', models.JSONField(verbose_name='改价内容')),
                ('amount_before', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='现收（元）')),
                ('amount_after', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='改后收（元）')),
                ('percent', models.DecimalField(decimal_places=1, max_digits=12, verbose_name='变动幅度（%）')),
                ('reason', models.CharField(max_length=500, verbose_name='原因')),
                ('status', models.CharField(choices=[('pending', '待确认'), ('confirmed', '已确认'), ('refused', '已拒绝'), ('withdrawn', '已撤回')], default='pending', max_length=16, verbose_name='状态')),
                ('waiting_service', models.CharField(max_length=64, null=True, unique=True)),
                ('requested_by', tcmpay.common.fields.UUIDTextField(verbose_name='提交人')),
                ('decided_by', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='处理人')),
                ('decision_notes', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='备注')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='提交时间')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='处理时间')),
            ],
            options={
                'verbose_name': '待确认的改价',
                'verbose_name_plural': '待确认的改价',
                'db_table': 'price_change_requests',
                'permissions': (('confirm_pricechange', '确认他人提交的改价'),),
                'default_permissions': ('view',),
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'confirmed', 'refused', 'withdrawn'])), name='price_change_status_known'),
                    models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), ('status', 'withdrawn'), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='price_change_by_two'),
                ],
                'indexes': [
                    models.Index(fields=['created_at'], name='price_change_created_at'),
                ],
            },
        ),
    ]
