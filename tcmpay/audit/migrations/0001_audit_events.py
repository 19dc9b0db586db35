import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEvent',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('object_type', models.CharField(max_length=32, verbose_name='对象类型')),
                ('object_id', models.CharField(max_length=64, verbose_name='对象编号')),
                ('version', models.PositiveIntegerField(verbose_name='版本')),
                ('action', models.CharField(max_length=64, verbose_name='动作')),
                ('from_state', models.CharField(blank=True, default='', max_length=32, verbose_name='原状态')),
                ('to_state', models.CharField(blank=True, default='', max_length=32, verbose_name='新状态')),
                ('actor_id', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='操作人')),
                ('actor_role', models.CharField(max_length=16, verbose_name='操作人角色')),
                ('actor_name', models.CharField(blank=True, default='', max_length=150, verbose_name='操作人名称')),
                ('reason', models.CharField(blank=True, default='', max_length=500, verbose_name='原因')),
                ('details', models.JSONField(default=dict, verbose_name='详情')),
                ('request_id', models.CharField(blank=True, default='', max_length=64, verbose_name='请求编号')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='时间')),
                ('previous_hash', models.CharField(blank=True, default='', max_length=64)),
                ('hash', models.CharField(max_length=64)),
            ],
            options={
                'verbose_name': '审计记录',
                'verbose_name_plural': '审计记录',
                'db_table': 'audit_events',
                'indexes': [models.Index(fields=['created_at'], name='audit_created_at'), models.Index(fields=['actor_id', 'created_at'], name='audit_actor')],
                'constraints': [models.UniqueConstraint(fields=('object_type', 'object_id', 'version'), name='audit_object_version_unique')],
            },
        ),
    ]
