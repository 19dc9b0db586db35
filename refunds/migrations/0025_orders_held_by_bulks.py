from django.db import migrations

import tcmpay.common.fields


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0024_batches_that_retry'),
    ]

    operations = [
        migrations.AddField(
            model_name='refundbulkrow',
            name='held_order',
            field=tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True),
        ),
    ]
