import django.db.models.deletion
import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0005_endpoints'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('sequence', models.BigIntegerField(verbose_name='序号')),
                ('object_id', tcmpay.common.fields.UUIDTextField(verbose_name='对象编号')),
                ('status', models.CharField(choices=[('pending', '待投递'), ('delivered', '已投递'), ('failed', '已放弃')], db_default='pending', default='pending', max_length=16, verbose_name='状态')),
                ('tries', models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='尝试次数')),
                ('due_at', models.DateTimeField(blank=True, null=True, verbose_name='下次尝试')),
                ('lease', tcmpay.common.fields.UUIDTextField(blank=True, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='结束时间')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='创建时间')),
                ('event', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.webhookevent', verbose_name='事件')),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.webhookendpoint', verbose_name='推送地址')),
            ],
            options={
                'verbose_name': '事件投递',
                'verbose_name_plural': '事件投递',
                'db_table': 'webhook_deliveries',
                'indexes': [models.Index(fields=['endpoint', 'status', 'due_at'], name='delivery_due'), models.Index(fields=['endpoint', 'object_id', 'status', 'sequence'], name='delivery_order')],
                'constraints': [models.UniqueConstraint(fields=('event', 'endpoint'), name='delivery_once_each'), models.CheckConstraint(condition=models.Q(models.Q(('due_at__isnull', False), ('ended_at', None), ('status', 'pending')), models.Q(('due_at', None), ('ended_at__isnull', False), ('status__in', ('delivered', 'failed'))), _connector='OR'), name='delivery_status_known')],
            },
        ),
    ]
