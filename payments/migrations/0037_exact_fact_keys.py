import tcmpay.common.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0036_transactions_by_movement"),
    ]

    operations = [
        migrations.AlterField(
            model_name='paymentexception',
            name='fact_key',
            field=tcmpay.common.fields.ExactCharField(max_length=120, unique=True),
        ),
    ]
