from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("balances", "0005_anchor_ledger")]

    operations = [
        migrations.AddField(
            model_name="balancetransaction",
            name="occasion",
            field=models.PositiveSmallIntegerField(db_default=1, default=1, verbose_name="第几次"),
        ),
    ]
