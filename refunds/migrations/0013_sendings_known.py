from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0022_exchange_outcome_index'),
        ('refunds', '0012_refunds_sent_before'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('sendings', 0), ('sent_at', None)), models.Q(('sendings__gt', 0), ('sent_at__isnull', False)), _connector='OR'), name='refund_sent_has_time'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('refused_code', ''), ('status', 'processing'), _connector='OR'), name='refund_refusal_waits'),
        ),
    ]
