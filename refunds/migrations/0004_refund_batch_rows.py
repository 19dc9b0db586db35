import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0003_refund_batches'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundBatchRow',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('position', models.PositiveIntegerField(verbose_name='顺序')),
                ('outcome', models.CharField(choices=[('waiting', '等待处理'), ('done', '已完成'), ('first_approval', '已记录第一次批准'), ('refused', '未执行')], db_default='waiting', default='waiting', max_length=16, verbose_name='结果')),
                ('error_code', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('tries', models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='尝试次数')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='处理时间')),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='refunds.refundbatch', verbose_name='批次')),
                ('refund', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='batch_rows', to='refunds.refund', verbose_name='退款')),
            ],
            options={
                'verbose_name': '批量审核明细',
                'verbose_name_plural': '批量审核明细',
                'db_table': 'refund_batch_rows',
                'indexes': [models.Index(fields=['batch', 'position'], name='refund_batch_row_order')],
                'constraints': [models.UniqueConstraint(fields=('batch', 'refund'), name='refund_batch_row_refund_unique'), models.CheckConstraint(condition=models.Q(('outcome__in', ['waiting', 'done', 'first_approval', 'refused'])), name='refund_batch_outcome_known')],
            },
        ),
    ]
