from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('reconciliation', '0010_downloads_asked_for')]

    operations = [
        migrations.AddField(
            model_name='billupload',
            name='source',
            field=models.CharField(choices=[('fetched', '自动下载'), ('uploaded', '人工上传')], db_default='uploaded', default='uploaded', max_length=8, verbose_name='来源'),
        ),
    ]
