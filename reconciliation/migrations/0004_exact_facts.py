import tcmpay.common.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("reconciliation", "0003_fees_charged"),
    ]

    operations = [
        migrations.AlterField(
            model_name='difference',
            name='fact',
            field=tcmpay.common.fields.ExactCharField(max_length=120),
        ),
    ]
