from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("config", "0022_key_revocation"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='paymentconfigversion',
            constraint=models.CheckConstraint(condition=models.Q(('revocation_asked_by__isnull', True), ('revoked_by__isnull', True), models.Q(('revoked_by', models.F('revocation_asked_by')), _negated=True), _connector='OR'), name='payment_config_revoked_by_two'),
        ),
        migrations.AddConstraint(
            model_name='paymentconfigversion',
            constraint=models.CheckConstraint(condition=models.Q(('revoked_at__isnull', True), ('retired_at__isnull', False), _connector='OR'), name='payment_config_revoked_is_retired'),
        ),
    ]
