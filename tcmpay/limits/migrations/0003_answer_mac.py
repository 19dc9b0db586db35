from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('guard', '0002_rate_counters'),
    ]

    operations = [
        migrations.AddField(
            model_name='idempotencykey',
            name='mac',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
    ]
