from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0021_exception_kind_silent'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='gatewayexchange',
            index=models.Index(fields=['outcome', 'asked_at'], name='exchange_outcome'),
        ),
    ]
