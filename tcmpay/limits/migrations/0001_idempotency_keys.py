import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('caller_id', tcmpay.common.fields.UUIDTextField()),
                ('key_hash', models.CharField(max_length=64)),
                ('fingerprint', models.CharField(max_length=64)),
                ('lease', models.PositiveIntegerField(default=1)),
                ('claimed_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow())),
                ('completed_at', models.DateTimeField(null=True)),
                ('response_status', models.PositiveSmallIntegerField(null=True)),
                ('response_body', models.JSONField(null=True)),
            ],
            options={
                'db_table': 'idempotency_keys',
                'indexes': [models.Index(fields=['claimed_at'], name='idempotency_claimed_at')],
                'constraints': [models.UniqueConstraint(fields=('caller_id', 'key_hash'), name='idempotency_key_unique')],
            },
        ),
    ]
