from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0014_price_last_day")]

    operations = [
        migrations.AddConstraint(
            model_name='priceconfig',
            constraint=models.UniqueConstraint(fields=('service_type', 'last_day'), name='price_service_end_unique'),
        ),
    ]
