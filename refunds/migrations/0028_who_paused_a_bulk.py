from django.db import migrations

import tcmpay.common.fields


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0027_orders_held_checked'),
    ]

    operations = [
        migrations.AddField(
            model_name='refundbulk',
            name='paused_by',
            field=tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='暂停人'),
        ),
    ]
