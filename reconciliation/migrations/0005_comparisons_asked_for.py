from django.db import migrations, models

import tcmpay.common.fields


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0004_exact_facts")]

    operations = [
        migrations.AddField(
            model_name="reconciledday",
            name="compare_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="排队对账"),
        ),
        migrations.AddField(
            model_name="reconciledday",
            name="compare_asked_by",
            field=tcmpay.common.fields.UUIDTextField(
                blank=True, null=True, verbose_name="要求对账的人"
            ),
        ),
    ]
