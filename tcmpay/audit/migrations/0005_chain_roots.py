import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0004_chain_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='ChainRoot',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('chain', models.CharField(max_length=64, verbose_name='链')),
                ('number', models.PositiveIntegerField(verbose_name='序号')),
                ('until', models.DateTimeField(verbose_name='截至')),
                ('rows', models.PositiveIntegerField(verbose_name='条数')),
                ('rows_sha256', models.CharField(max_length=64)),
                ('previous_root', models.CharField(blank=True, default='', max_length=64)),
                ('root', models.CharField(max_length=64, verbose_name='根哈希')),
                ('sealed_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='封存时间')),
                ('is_anchor', models.BooleanField(db_default=False, default=False)),
            ],
            options={
                'verbose_name': '封存',
                'verbose_name_plural': '封存',
                'db_table': 'chain_roots',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('chain', 'number'), name='chain_root_number_unique')],
            },
        ),
    ]
