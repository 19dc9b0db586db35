import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0004_refund_batch_rows'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundNote',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('decision', models.CharField(choices=[('approve', '批准'), ('reject', '驳回')], max_length=8, verbose_name='用于')),
                ('text', models.CharField(max_length=500, verbose_name='内容')),
                ('position', models.PositiveSmallIntegerField(db_default=100, default=100, help_text='数字小的排在前面', verbose_name='顺序')),
                ('is_active', models.BooleanField(db_default=True, default=True, verbose_name='启用')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
            ],
            options={
                'verbose_name': '审核常用语',
                'verbose_name_plural': '审核常用语',
                'db_table': 'refund_notes',
                'ordering': ('decision', 'position', 'id'),
                'constraints': [models.CheckConstraint(condition=models.Q(('decision__in', ['approve', 'reject'])), name='refund_note_decision_known')],
            },
        ),
    ]
