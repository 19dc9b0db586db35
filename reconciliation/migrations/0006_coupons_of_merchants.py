from django.db import migrations

import tcmpay.common.fields


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0005_comparisons_asked_for")]

    operations = [
        migrations.AddField(
            model_name="reconciledday",
            name="coupons",
            field=tcmpay.common.fields.MoneyField(
                db_default=0, default=0, max_digits=16, verbose_name="商家承担的优惠（元）"
            ),
        ),
    ]
