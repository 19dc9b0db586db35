from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0008_version_reason")]

    operations = [
        migrations.AddField(
            model_name='paymentconfigversion',
            name='restored_from',
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name='恢复自版本'),
        ),
    ]
