import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0003_payment_callbacks'),
    ]

    operations = [
        migrations.CreateModel(
            name='PaymentCallbackBody',
            fields=[
                ('callback', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='body', serialize=False, to='payments.paymentcallback')),
                ('headers', models.JSONField(default=dict)),
                ('body', models.TextField()),
            ],
            options={
                'verbose_name': '网关通知原文',
                'verbose_name_plural': '网关通知原文',
                'db_table': 'payment_callback_bodies',
                'indexes': [],
                'constraints': [],
            },
        ),
    ]
