import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0037_exact_fact_keys'),
        ('refunds', '0020_refund_bulks'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundBulkRow',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('position', models.PositiveIntegerField(verbose_name='行号')),
                ('named', models.CharField(max_length=64, verbose_name='订单')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, null=True, verbose_name='退款金额（元）')),
                ('reason', models.CharField(blank=True, default='', max_length=500, verbose_name='退款原因')),
                ('outcome', models.CharField(choices=[('waiting', '等待执行'), ('approved', '已申请并批准'), ('asked', '已申请，还需另一位审核人'), ('refused', '未申请'), ('left_out', '提前结束，未执行')], db_default='waiting', default='waiting', max_length=16, verbose_name='结果')),
                ('error_code', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('tries', models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='尝试次数')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='处理时间')),
                ('bulk', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='refunds.refundbulk', verbose_name='批量退款')),
                ('order', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bulk_rows', to='payments.paymentorder', verbose_name='订单')),
                ('refund', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bulk_row', to='refunds.refund', verbose_name='退款')),
            ],
            options={
                'verbose_name': '批量退款明细',
                'verbose_name_plural': '批量退款明细',
                'db_table': 'refund_bulk_rows',
                'indexes': [models.Index(fields=['bulk', 'outcome'], name='refund_bulk_row_outcome')],
                'constraints': [models.UniqueConstraint(fields=('bulk', 'position'), name='refund_bulk_row_position'), models.UniqueConstraint(fields=('bulk', 'order'), name='refund_bulk_row_order_once'), models.CheckConstraint(condition=models.Q(('outcome__in', ['waiting', 'approved', 'asked', 'refused', 'left_out'])), name='refund_bulk_outcome_known'), models.CheckConstraint(condition=models.Q(models.Q(('outcome__in', ('approved', 'asked')), ('refund__isnull', False)), models.Q(('refund', None), models.Q(('outcome__in', ('approved', 'asked')), _negated=True)), _connector='OR'), name='refund_bulk_row_has_refund'), models.CheckConstraint(condition=models.Q(('outcome', 'refused'), models.Q(('amount__gt', 0), ('amount__isnull', False), ('order__isnull', False)), _connector='OR'), name='refund_bulk_row_is_able')],
            },
        ),
    ]
