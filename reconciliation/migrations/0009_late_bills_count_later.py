from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0008_late_bills")]

    operations = [
        migrations.AddConstraint(
            model_name="reconciledday",
            constraint=models.CheckConstraint(
                condition=Q(counts_on=None) | Q(counts_on__gt=F("day")),
                name="reconciled_day_counts_later",
            ),
        ),
    ]
