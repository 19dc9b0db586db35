"""After the constraint that takes its place: there is no moment without one."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("balances", "0007_entries_once_an_occasion")]

    operations = [
        migrations.RemoveConstraint(
            model_name="balancetransaction", name="balance_entry_fact_unique"
        ),
    ]
