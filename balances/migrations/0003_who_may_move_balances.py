from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("balances", "0002_balance_transactions")]

    operations = [
        migrations.AlterModelOptions(
            name='userbalance',
            options={'permissions': (('open_account', '为用户开立余额账户'), ('freeze_balance', '冻结和解冻余额'), ('adopt_opening', '确认期初余额')), 'verbose_name': '用户余额', 'verbose_name_plural': '用户余额'},
        ),
    ]
