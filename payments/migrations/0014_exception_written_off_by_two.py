from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0013_exception_outcomes'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='paymentexception',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'written_off'), _negated=True), models.Q(('closed_by__isnull', False), ('write_off_by__isnull', False), models.Q(('write_off_by', models.F('closed_by')), _negated=True)), _connector='OR'), name='exception_written_off_by_two'),
        ),
    ]
