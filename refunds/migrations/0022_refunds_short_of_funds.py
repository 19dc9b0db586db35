from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0021_refund_bulk_rows'),
    ]

    operations = [
        migrations.AddField(
            model_name='refund',
            name='short_since',
            field=models.DateTimeField(blank=True, null=True, verbose_name='等待充值'),
        ),
    ]
