from django.db import migrations, models

import tcmpay.common.fields


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0003_verify_permission'),
    ]

    operations = [
        migrations.CreateModel(
            name='ChainKey',
            fields=[
                ('key_id', models.CharField(max_length=8, primary_key=True, serialize=False)),
                ('sealed_key', models.TextField()),
                ('kept_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow())),
            ],
            options={
                'db_table': 'audit_chain_keys',
                'default_permissions': (),
            },
        ),
    ]
