import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0002_refund_approvals'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundBatch',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('decision', models.CharField(choices=[('approve', '批准'), ('reject', '驳回')], max_length=8, verbose_name='决定')),
                ('notes', models.CharField(blank=True, default='', max_length=500, verbose_name='审核备注')),
                ('created_by', tcmpay.common.fields.UUIDTextField(verbose_name='确认人')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='确认时间')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='完成时间')),
                ('next_run_at', models.DateTimeField(blank=True, null=True, verbose_name='下次处理')),
            ],
            options={
                'verbose_name': '批量审核',
                'verbose_name_plural': '批量审核',
                'db_table': 'refund_batches',
                'indexes': [models.Index(fields=['next_run_at'], name='refund_batch_next_run'), models.Index(fields=['created_at', 'id'], name='refund_batch_created')],
                'constraints': [models.CheckConstraint(condition=models.Q(('decision__in', ['approve', 'reject'])), name='refund_batch_decision_known')],
            },
        ),
    ]
