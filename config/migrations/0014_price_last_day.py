import datetime

import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0013_prices_end_before_the_next")]

    operations = [
        migrations.AddField(
            model_name='priceconfig',
            name='last_day',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(is_active=True, then=django.db.models.functions.comparison.Coalesce('expiry_date', models.Value(datetime.date(9999, 12, 31)))), default=models.Value(None), output_field=models.DateField()), output_field=models.DateField(null=True)),
        ),
    ]
