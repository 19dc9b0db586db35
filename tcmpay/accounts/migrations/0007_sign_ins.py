import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_recovery_codes'),
    ]

    operations = [
        migrations.CreateModel(
            name='SignIn',
            fields=[
                ('id', tcmpay.common.fields.UUIDTextField(default=tcmpay.common.ids.new_id, editable=False, primary_key=True, serialize=False, verbose_name='编号')),
                ('outcome', models.CharField(choices=[('succeeded', '登录成功'), ('failed', '登录失败'), ('locked', '已锁定'), ('signed_out', '退出登录'), ('ended', '会话结束')], max_length=16, verbose_name='结果')),
                ('cause', models.CharField(blank=True, default='', max_length=32, verbose_name='说明')),
                ('username', models.CharField(max_length=150, verbose_name='用户名')),
                ('user_id', tcmpay.common.fields.UUIDTextField(null=True, verbose_name='员工')),
                ('address', models.CharField(blank=True, default='', max_length=45, verbose_name='网络地址')),
                ('user_agent', models.CharField(blank=True, default='', max_length=255, verbose_name='浏览器')),
                ('request_id', models.CharField(blank=True, default='', max_length=64, verbose_name='请求编号')),
                ('created_at', models.DateTimeField(db_default=tcmpay.common.fields.UtcNow(), verbose_name='时间')),
            ],
            options={
                'verbose_name': '登录记录',
                'verbose_name_plural': '登录记录',
                'db_table': 'staff_sign_ins',
                'indexes': [models.Index(fields=['created_at'], name='staff_sign_in_created_at'), models.Index(fields=['user_id', 'created_at'], name='staff_sign_in_user'), models.Index(fields=['username', 'created_at'], name='staff_sign_in_username')],
            },
        ),
    ]
