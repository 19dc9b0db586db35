import tcmpay.common.fields
import tcmpay.common.ids
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='UserBalance',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('user_id', tcmpay.common.fields.UUIDTextField(unique=True, verbose_name='用户')),
                ('balance', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=10, verbose_name='可用余额（元）')),
                ('frozen_balance', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=10, verbose_name='冻结余额（元）')),
                ('total_income', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=16, verbose_name='累计收入（元）')),
                ('total_expense', tcmpay.common.fields.MoneyField(db_default=Decimal('0.00'), decimal_places=2, default=Decimal('0.00'), max_digits=16, verbose_name='累计支出（元）')),
                ('sequence', models.PositiveIntegerField(db_default=0, default=0, verbose_name='序号')),
                ('opening_adopted_at', models.DateTimeField(blank=True, null=True, verbose_name='期初确认时间')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='创建时间')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
            ],
            options={
                'verbose_name': '用户余额',
                'verbose_name_plural': '用户余额',
                'db_table': 'user_balances',
                'constraints': [models.CheckConstraint(condition=models.Q(('balance__gte', 0), ('balance__lte', Decimal('99999999.99'))), name='balance_not_negative'), models.CheckConstraint(condition=models.Q(('frozen_balance__gte', 0), ('frozen_balance__lte', Decimal('99999999.99'))), name='balance_frozen_not_negative'), models.CheckConstraint(condition=models.Q(('total_income__gte', 0), ('total_expense__gte', 0)), name='balance_totals_not_negative')],
                'indexes': [],
            },
        ),
    ]
