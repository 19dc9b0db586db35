import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0004_who_delivers'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('url', models.CharField(max_length=1024, verbose_name='地址')),
                ('types', models.JSONField(default=list, verbose_name='订阅的事件')),
                ('status', models.CharField(choices=[('enabled', '启用'), ('disabled', '停用')], db_default='enabled', default='enabled', max_length=16, verbose_name='状态')),
                ('sealed_secret', models.CharField(max_length=255)),
                ('former_sealed_secret', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('former_until', models.DateTimeField(blank=True, null=True, verbose_name='旧密钥有效至')),
                ('reached', models.BigIntegerField(db_default=0, default=0, verbose_name='已安排到的序号')),
                ('failures', models.PositiveIntegerField(db_default=0, default=0, verbose_name='连续失败次数')),
                ('failing_since', models.DateTimeField(blank=True, null=True, verbose_name='连续失败自')),
                ('succeeded_at', models.DateTimeField(blank=True, null=True, verbose_name='最近成功时间')),
                ('disabled_at', models.DateTimeField(blank=True, null=True, verbose_name='停用时间')),
                ('disabled_because', models.CharField(blank=True, choices=[('', '未停用'), ('by_hand', '人工停用'), ('gone', '接收方回答 410：不再接收'), ('failing', '连续五天投递失败')], db_default='', default='', max_length=16, verbose_name='停用原因')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='创建时间')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
            ],
            options={
                'verbose_name': '推送地址',
                'verbose_name_plural': '推送地址',
                'db_table': 'webhook_endpoints',
                'permissions': (('manage_endpoints', '可以管理推送地址'),),
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['enabled', 'disabled'])), name='endpoint_status_known'), models.CheckConstraint(condition=models.Q(models.Q(('disabled_at', None), ('disabled_because', ''), ('status', 'enabled')), models.Q(('disabled_at__isnull', False), ('disabled_because__in', ('by_hand', 'gone', 'failing')), ('status', 'disabled')), _connector='OR'), name='endpoint_disabled_for_a_reason'), models.CheckConstraint(condition=models.Q(models.Q(('former_sealed_secret', ''), ('former_until', None)), models.Q(models.Q(('former_sealed_secret', ''), _negated=True), ('former_until__isnull', False)), _connector='OR'), name='endpoint_former_secret_ends')],
            },
        ),
    ]
