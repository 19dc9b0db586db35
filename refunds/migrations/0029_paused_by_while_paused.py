from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0028_who_paused_a_bulk'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='refundbulk',
            constraint=models.CheckConstraint(condition=models.Q(('paused_by', None), ('status', 'paused'), _connector='OR'), name='refund_bulk_paused_by_while_paused'),
        ),
    ]
