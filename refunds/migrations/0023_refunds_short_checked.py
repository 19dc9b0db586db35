from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0022_refunds_short_of_funds'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('short_since', None), ('status', 'processing'), _connector='OR'), name='refund_short_waits'),
        ),
    ]
