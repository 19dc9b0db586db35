from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0007_payment_config_drafts")]

    operations = [
        migrations.AddField(
            model_name='paymentconfigversion',
            name='reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='原因'),
        ),
    ]
