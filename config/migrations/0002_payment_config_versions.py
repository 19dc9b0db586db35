import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0001_payment_configs"),
    ]

    operations = [
        migrations.CreateModel(
            name="PaymentConfigVersion",
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
                ("number", models.PositiveIntegerField(verbose_name="版本")),
                ("encrypted_values", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                (
                    "activated_at",
                    models.DateTimeField(
                        db_default=tcmpay.common.fields.UtcNow(),
                        verbose_name="启用时间",
                    ),
                ),
                (
                    "retired_at",
                    models.DateTimeField(null=True, verbose_name="停用时间"),
                ),
                (
                    "created_by",
                    tcmpay.common.fields.UUIDTextField(
                        null=True, verbose_name="创建人"
                    ),
                ),
            ],
            options={
                "verbose_name": "支付配置版本",
                "verbose_name_plural": "支付配置版本",
                "db_table": "payment_config_versions",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("payment_method", "number"),
                        name="payment_config_version_unique",
                    )
                ],
                "indexes": [],
            },
        ),
    ]
