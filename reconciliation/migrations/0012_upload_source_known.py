from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('reconciliation', '0011_uploads_sources')]

    operations = [
        migrations.AddConstraint(
            model_name='billupload',
            constraint=models.CheckConstraint(condition=models.Q(('source__in', ['fetched', 'uploaded'])), name='upload_source_known'),
        ),
    ]
