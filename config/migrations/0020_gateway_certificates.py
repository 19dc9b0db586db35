from django.db import migrations, models

import tcmpay.common.fields
import tcmpay.common.ids


class Migration(migrations.Migration):
    dependencies = [("config", "0019_values_sealed_for_their_place")]

    operations = [
        migrations.CreateModel(
            name="GatewayCertificate",
            fields=[
                (
                    "id",
                    tcmpay.common.fields.UUIDTextField(
                        default=tcmpay.common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="编号",
                    ),
                ),
                (
                    "payment_method",
                    models.CharField(
                        choices=[("wechat", "微信支付"), ("alipay", "支付宝")],
                        max_length=16,
                        verbose_name="支付方式",
                    ),
                ),
                ("serial", models.CharField(max_length=64, verbose_name="证书序列号")),
                ("pem", models.TextField()),
                (
                    "fetched_at",
                    models.DateTimeField(
                        db_default=tcmpay.common.fields.UtcNow(), verbose_name="获取时间"
                    ),
                ),
            ],
            options={
                "verbose_name": "支付平台证书",
                "verbose_name_plural": "支付平台证书",
                "db_table": "payment_gateway_certificates",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("payment_method", "serial"), name="gateway_certificate_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("payment_method__in", ["wechat", "alipay"])),
                        name="gateway_certificate_method_known",
                    ),
                ],
            },
        ),
    ]
