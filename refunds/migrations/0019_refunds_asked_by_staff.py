from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0018_refunds_by_movement'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='refund',
            options={'permissions': (('review_refund', '可以审核退款'), ('request_refund', '可以申请退款')), 'verbose_name': '退款', 'verbose_name_plural': '退款'},
        ),
    ]
