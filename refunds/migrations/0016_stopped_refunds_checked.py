from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0015_stopped_refunds'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('stopped_by', None), models.Q(('stop_reason', ''), _negated=True), _connector='OR'), name='refund_stopped_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('stopped_by', None), ('stop_asked_by', None), models.Q(('stopped_by', models.F('stop_asked_by')), _negated=True), _connector='OR'), name='refund_stopped_by_another'),
        ),
    ]
