from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("config", "0009_version_restored_from")]

    operations = [
        migrations.AlterModelOptions(
            name='paymentconfig',
            options={'permissions': (('activate_paymentconfig', '启用和恢复支付配置'),), 'verbose_name': '支付配置', 'verbose_name_plural': '支付配置'},
        ),
    ]
