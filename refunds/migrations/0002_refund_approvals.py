import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0001_refund_records'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundApproval',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('refund', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='refunds.refund', verbose_name='退款')),
                ('reviewer_id', tcmpay.common.fields.UUIDTextField(verbose_name='审核人')),
                ('notes', models.CharField(blank=True, default='', max_length=500, verbose_name='备注')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='时间')),
            ],
            options={
                'verbose_name': '退款审批',
                'verbose_name_plural': '退款审批',
                'db_table': 'refund_approvals',
                'constraints': [models.UniqueConstraint(fields=('refund', 'reviewer_id'), name='refund_approval_reviewer_unique')],
                'indexes': [],
            },
        ),
    ]
