from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_managers_mark_rows'),
    ]

    operations = [
        migrations.AddField(
            model_name='signin',
            name='hash',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
    ]
