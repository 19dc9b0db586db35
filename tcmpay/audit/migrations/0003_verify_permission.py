from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_chain_seals'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='auditevent',
            options={'permissions': (('verify_auditevent', '校验审计链'),), 'verbose_name': '审计记录', 'verbose_name_plural': '审计记录'},
        ),
    ]
