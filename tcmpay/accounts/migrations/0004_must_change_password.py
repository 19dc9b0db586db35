from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_session_epoch'),
    ]

    operations = [
        migrations.AddField(
            model_name='staffuser',
            name='must_change_password',
            field=models.BooleanField(db_default=False, default=False, editable=False, verbose_name='下次登录须修改密码'),
        ),
    ]
