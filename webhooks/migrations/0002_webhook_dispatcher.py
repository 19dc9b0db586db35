from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0001_webhook_events'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookDispatcher',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ('last_sequence', models.BigIntegerField(db_default=0, default=0, verbose_name='最新序号')),
                ('promised_from', models.DateTimeField(null=True, verbose_name='事件起始时间')),
            ],
            options={
                'verbose_name': '事件分发',
                'verbose_name_plural': '事件分发',
                'db_table': 'webhook_dispatcher',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='dispatcher_is_one'), models.CheckConstraint(condition=models.Q(('last_sequence__gte', 0)), name='dispatcher_sequence_positive')],
            },
        ),
    ]
