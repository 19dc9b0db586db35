from django.db import migrations, models

import tcmpay.common.fields


def text(length):
    return models.CharField(blank=True, db_default="", default="", max_length=length)


class Migration(migrations.Migration):
    """What gateways told us becomes a chain, each row bound to the one before it."""

    dependencies = [
        ("payments", "0024_callbacks_by_key"),
    ]

    operations = [
        migrations.AddField(
            "gatewayexchange",
            "amount",
            tcmpay.common.fields.MoneyField(
                decimal_places=2, max_digits=10, null=True, verbose_name="金额（元）"
            ),
        ),
        migrations.AddField(
            "gatewayexchange",
            "external_id",
            models.CharField(
                blank=True, db_default="", default="", max_length=64, verbose_name="网关编号"
            ),
        ),
        migrations.AddField("gatewayexchange", "log_number", models.PositiveIntegerField(null=True)),
        migrations.AddField("gatewayexchange", "log_hash", text(64)),
        migrations.AddField("paymentcallback", "kept_digest", text(64)),
        migrations.AddField("paymentcallback", "log_key", text(96)),
        migrations.AddField("paymentcallback", "log_number", models.PositiveIntegerField(null=True)),
        migrations.AddField("paymentcallback", "log_hash", text(64)),
    ]
