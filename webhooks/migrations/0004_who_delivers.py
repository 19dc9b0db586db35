import tcmpay.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0003_where_events_begin'),
    ]

    operations = [
        migrations.AddField(
            model_name='webhookdispatcher',
            name='leader',
            field=tcmpay.common.fields.UUIDTextField(null=True),
        ),
        migrations.AddField(
            model_name='webhookdispatcher',
            name='leader_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='webhookdispatcher',
            name='rung_at',
            field=models.DateTimeField(null=True),
        ),
    ]
