import tcmpay.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0006_anchor_trail'),
    ]

    operations = [
        migrations.CreateModel(
            name='TableMark',
            fields=[
                ('table_name', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(default=0)),
                ('rows', models.JSONField(default=dict)),
                ('marked_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow())),
                ('mac', models.CharField(blank=True, default='', max_length=64)),
            ],
            options={
                'db_table': 'table_marks',
                'default_permissions': (),
            },
        ),
    ]
