from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('guard', '0001_idempotency_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='RateCounter',
            fields=[
                ('bucket', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('hits', models.PositiveIntegerField()),
                ('expires_at', models.BigIntegerField(help_text='unix seconds')),
            ],
            options={
                'db_table': 'rate_counters',
                'indexes': [models.Index(fields=['expires_at'], name='rate_counter_expires')],
                'constraints': [],
            },
        ),
    ]
