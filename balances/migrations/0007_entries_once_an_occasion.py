from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("balances", "0006_entry_occasion")]

    operations = [
        migrations.AddConstraint(
            model_name="balancetransaction",
            constraint=models.UniqueConstraint(
                fields=("related_id", "related_type", "transaction_type", "occasion"),
                name="balance_entry_occasion_unique",
            ),
        ),
        migrations.AddConstraint(
            model_name="balancetransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(occasion=1)
                | models.Q(transaction_type__in=("freeze", "unfreeze"), occasion__gt=1),
                name="balance_entry_comes_once",
            ),
        ),
    ]
