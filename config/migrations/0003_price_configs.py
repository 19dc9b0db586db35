import tcmpay.common.fields
import tcmpay.common.ids
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0002_payment_config_versions"),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceConfig",
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
                    "service_type",
                    models.CharField(max_length=64, verbose_name="服务类型"),
                ),
                (
                    "service_name",
                    models.CharField(max_length=100, verbose_name="服务名称"),
                ),
                (
                    "price",
                    tcmpay.common.fields.MoneyField(
                        decimal_places=2, max_digits=10, verbose_name="价格（元）"
                    ),
                ),
                (
                    "discount_price",
                    tcmpay.common.fields.MoneyField(
                        blank=True,
                        decimal_places=2,
                        max_digits=10,
                        null=True,
                        verbose_name="优惠价（元）",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        db_default=True, default=True, verbose_name="启用"
                    ),
                ),
                (
                    "effective_date",
                    models.DateField(
                        db_default=tcmpay.common.fields.ShanghaiToday(),
                        verbose_name="生效日期",
                    ),
                ),
                (
                    "expiry_date",
                    models.DateField(blank=True, null=True, verbose_name="失效日期"),
                ),
                (
                    "description",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        max_length=500,
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
                "verbose_name": "价格",
                "verbose_name_plural": "价格",
                "db_table": "price_configs",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("service_type", "effective_date"),
                        name="price_service_start_unique",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("price__gt", 0), ("price__lte", Decimal("99999999.99"))
                        ),
                        name="price_is_amount",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("discount_price__isnull", True),
                            models.Q(
                                ("discount_price__gt", 0),
                                ("discount_price__lte", Decimal("99999999.99")),
                            ),
                            _connector="OR",
                        ),
                        name="price_discount_is_amount",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("discount_price__isnull", True),
                            ("discount_price__lte", models.F("price")),
                            _connector="OR",
                        ),
                        name="price_discount_not_above_price",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expiry_date__isnull", True),
                            ("expiry_date__gte", models.F("effective_date")),
                            _connector="OR",
                        ),
                        name="price_period_in_order",
                    ),
                ],
                "indexes": [],
            },
        ),
    ]
