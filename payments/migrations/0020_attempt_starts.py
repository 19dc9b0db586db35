from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0019_exception_kind_unbooked_refund'),
    ]

    operations = [
        migrations.AddField(
            model_name='paymenttransaction',
            name='started_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='最近发起时间'),
        ),
        migrations.AddField(
            model_name='paymenttransaction',
            name='starts',
            field=models.PositiveIntegerField(db_default=1, default=1, verbose_name='发起次数'),
        ),
    ]
