import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0006_keys_of_the_real_gateways")]

    operations = [
        migrations.CreateModel(
            name='PaymentConfigDraft',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('payment_method', models.CharField(choices=[('wechat', '微信支付'), ('alipay', '支付宝')], max_length=16, unique=True, verbose_name='支付方式')),
                ('encrypted_values', models.TextField()),
                ('revision', models.PositiveIntegerField(default=1, verbose_name='修订')),
                ('editors', models.JSONField(default=list)),
                ('updated_by', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='修改人')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='创建时间')),
                ('updated_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='更新时间')),
                ('tested_as', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('tested_at', models.DateTimeField(null=True, verbose_name='测试时间')),
                ('tested_by', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='测试人')),
                ('is_test_passed', models.BooleanField(db_default=False, default=False, verbose_name='测试通过')),
                ('test_findings', models.JSONField(default=list)),
            ],
            options={
                'verbose_name': '支付配置草稿',
                'verbose_name_plural': '支付配置草稿',
                'db_table': 'payment_config_drafts',
                'default_permissions': (),
            },
        ),
    ]
