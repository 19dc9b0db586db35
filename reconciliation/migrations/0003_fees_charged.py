from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0002_daily_closes")]

    operations = [
        migrations.AddField(
            model_name="reconciledday",
            name="fees_charged",
            field=models.DecimalField(
                blank=True,
                decimal_places=2,
                max_digits=18,
                null=True,
                verbose_name="账户实扣手续费（元）",
            ),
        ),
    ]
