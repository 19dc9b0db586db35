import tcmpay.common.fields
import tcmpay.common.ids
import tcmpay.common.second_person
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0019_refunds_asked_by_staff'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundBulk',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('status', models.CharField(choices=[('pending', '待复核'), ('running', '执行中'), ('paused', '已暂停'), ('finished', '已完成'), ('rejected', '已驳回'), ('withdrawn', '已撤回')], db_default='pending', default='pending', max_length=16, verbose_name='状态')),
                ('source', models.CharField(choices=[('orders', '接口清单'), ('file', '上传的文件'), ('filter', '筛选条件')], max_length=8, verbose_name='来源')),
                ('source_text', models.CharField(blank=True, default='', max_length=500, verbose_name='条件或文件')),
                ('reason', models.CharField(max_length=500, verbose_name='退款原因')),
                ('requested_by', tcmpay.common.fields.UUIDTextField(verbose_name='申请人')),
                ('requested_role', models.CharField(max_length=16)),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='申请时间')),
                ('decided_by', tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='复核人')),
                ('decided_role', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='复核时间')),
                ('decision_notes', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='复核备注')),
                ('rows_total', models.PositiveIntegerField(verbose_name='总行数')),
                ('rows_able', models.PositiveIntegerField(verbose_name='可退笔数')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=16, verbose_name='合计（元）')),
                ('digest', models.CharField(max_length=64)),
                ('next_run_at', models.DateTimeField(blank=True, null=True, verbose_name='下次处理')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='完成时间')),
                ('idempotency_key_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True)),
            ],
            options={
                'verbose_name': '批量退款',
                'verbose_name_plural': '批量退款',
                'db_table': 'refund_bulks',
                'indexes': [models.Index(fields=['next_run_at'], name='refund_bulk_next_run'), models.Index(fields=['status', 'created_at'], name='refund_bulk_status'), models.Index(fields=['created_at', 'id'], name='refund_bulk_created'), models.Index(fields=['digest'], name='refund_bulk_digest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'running', 'paused', 'finished', 'rejected', 'withdrawn'])), name='refund_bulk_status_known'), models.CheckConstraint(condition=models.Q(('source__in', ['orders', 'file', 'filter'])), name='refund_bulk_source_known'), models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('rows_able__gt', 0), ('rows_total__gte', models.F('rows_able'))), name='refund_bulk_is_something'), models.CheckConstraint(condition=models.Q(('status__in', ('pending', 'withdrawn')), models.Q(('decided_by__isnull', False), models.Q(('decided_by', models.F('requested_by')), _negated=True)), _connector='OR'), name='refund_bulk_decided_by_another')],
            },
            bases=(tcmpay.common.second_person.Asked, models.Model),
        ),
    ]
