import tcmpay.common.fields
import tcmpay.common.ids
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('balances', '0001_user_balances'),
    ]

    operations = [
        migrations.CreateModel(
            name='BalanceTransaction',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('user_id', tcmpay.common.fields.UUIDTextField(verbose_name='用户')),
                ('sequence', models.PositiveIntegerField(verbose_name='序号')),
                ('transaction_type', models.CharField(choices=[('income', '收入'), ('expense', '支出'), ('freeze', '冻结'), ('unfreeze', '解冻')], max_length=16, verbose_name='类型')),
                ('amount', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='金额（元）')),
                ('balance_before', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='变动前（元）')),
                ('balance_after', tcmpay.common.fields.MoneyField(decimal_places=2, max_digits=10, verbose_name='变动后（元）')),
                ('frozen_before', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=10, verbose_name='冻结变动前（元）')),
                ('frozen_after', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=10, verbose_name='冻结变动后（元）')),
                ('related_type', models.CharField(choices=[('order', '订单'), ('refund', '退款'), ('topup', '充值'), ('adjustment', '调整'), ('opening', '期初')], max_length=16, verbose_name='关联类型')),
                ('related_id', tcmpay.common.fields.UUIDTextField(verbose_name='关联编号')),
                ('description', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='说明')),
                ('actor_id', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='操作人')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='时间')),
                ('previous_hash', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('hash', models.CharField(max_length=64)),
            ],
            options={
                'verbose_name': '余额流水',
                'verbose_name_plural': '余额流水',
                'db_table': 'balance_transactions',
                'indexes': [models.Index(fields=['created_at'], name='balance_entry_created_at')],
                'constraints': [models.UniqueConstraint(fields=('user_id', 'sequence'), name='balance_entry_sequence_unique'), models.UniqueConstraint(fields=('related_id', 'related_type', 'transaction_type'), name='balance_entry_fact_unique'), models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__lte', Decimal('99999999.99'))), name='balance_entry_is_amount'), models.CheckConstraint(condition=models.Q(('balance_after__gte', 0), ('balance_after__lte', Decimal('99999999.99')), ('frozen_after__gte', 0), ('frozen_after__lte', Decimal('99999999.99'))), name='balance_entry_not_negative'), models.CheckConstraint(condition=models.Q(('transaction_type__in', ['income', 'expense', 'freeze', 'unfreeze'])), name='balance_entry_type_known'), models.CheckConstraint(condition=models.Q(('related_type__in', ['order', 'refund', 'topup', 'adjustment', 'opening'])), name='balance_entry_related_known')],
            },
        ),
    ]
