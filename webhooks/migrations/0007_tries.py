import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0006_deliveries'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookTry',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('tried_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='时间')),
                ('took_ms', models.PositiveIntegerField(default=0, verbose_name='耗时（毫秒）')),
                ('http_status', models.PositiveSmallIntegerField(null=True, verbose_name='HTTP 状态')),
                ('problem', models.CharField(blank=True, choices=[('', '有应答'), ('address', '地址在内网或无法解析'), ('connection', '连接失败'), ('tls', '证书不可信或与域名不符'), ('timeout', '超时'), ('answer', '应答无法读取'), ('secret', '密钥无法解封')], default='', max_length=16, verbose_name='问题')),
                ('answer', models.TextField(blank=True, default='', verbose_name='应答')),
                ('delivery', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='log', to='webhooks.webhookdelivery', verbose_name='事件投递')),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tries', to='webhooks.webhookendpoint', verbose_name='推送地址')),
            ],
            options={
                'verbose_name': '投递日志',
                'verbose_name_plural': '投递日志',
                'db_table': 'webhook_tries',
                'indexes': [models.Index(fields=['endpoint', 'tried_at'], name='try_of_endpoint')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('http_status__isnull', False), ('problem', '')), models.Q(('problem__in', ['address', 'connection', 'tls', 'timeout', 'answer', 'secret']), ('http_status', None)), _connector='OR'), name='try_answered_or_not')],
            },
        ),
    ]
