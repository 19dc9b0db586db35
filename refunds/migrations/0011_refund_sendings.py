from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0010_refunds_by_booking'),
    ]

    operations = [
        migrations.AddField(
            model_name='refund',
            name='refused_code',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='拒绝码'),
        ),
        migrations.AddField(
            model_name='refund',
            name='refused_message',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='拒绝说明'),
        ),
        migrations.AddField(
            model_name='refund',
            name='sendings',
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name='发送次数'),
        ),
        migrations.AddField(
            model_name='refund',
            name='sent_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='最近发送时间'),
        ),
    ]
