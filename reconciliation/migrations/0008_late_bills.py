from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0007_big_uploads")]

    operations = [
        migrations.AddField(
            model_name="reconciledday",
            name="counts_on",
            field=models.DateField(
                blank=True, db_index=True, null=True, verbose_name="迟到的账单算在"
            ),
        ),
    ]
