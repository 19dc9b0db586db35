import tcmpay.common.fields
import tcmpay.common.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="PaymentConfig",
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
                ("config_key", models.CharField(max_length=64, verbose_name="配置项")),
                (
                    "config_value",
                    models.TextField(
                        blank=True, db_default="", default="", verbose_name="配置值"
                    ),
                ),
                (
                    "is_encrypted",
                    models.BooleanField(
                        db_default=False, default=False, verbose_name="加密"
                    ),
                ),
                (
                    "description",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        max_length=255,
                        verbose_name="说明",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=tcmpay.common.fields.UtcNow(),
                        verbose_name="创建时间",
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=tcmpay.common.fields.UtcNow(),
                        verbose_name="更新时间",
                    ),
                ),
            ],
            options={
                "verbose_name": "支付配置",
                "verbose_name_plural": "支付配置",
                "db_table": "payment_configs",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("payment_method", "config_key"),
                        name="payment_config_method_key_unique",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("payment_method__in", ["wechat", "alipay"])
                        ),
                        name="payment_config_method_known",
                    ),
                ],
                "indexes": [],
            },
        ),
    ]
