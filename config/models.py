"""Business configuration that staff edit: gateway configuration and prices."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tcmpay.common.fields import (
    MoneyField,
    ShanghaiToday,
    UtcNow,
    UUIDTextField,
    id_field,
    is_amount,
)


class GatewayMethod(models.TextChoices):
    WECHAT = "wechat", _("微信支付")
    ALIPAY = "alipay", _("支付宝")


class PaymentConfig(models.Model):
    """One value of one gateway's configuration. Secrets are stored encrypted, always."""

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=GatewayMethod)
    config_key = models.CharField(_("配置项"), max_length=64)
    config_value = models.TextField(_("配置值"), blank=True, default="", db_default="")
    is_encrypted = models.BooleanField(_("加密"), default=False, db_default=False)
    description = models.CharField(_("说明"), max_length=255, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    class Meta:
        db_table = "payment_configs"
        verbose_name = _("支付配置")
        verbose_name_plural = _("支付配置")
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "config_key"),
                name="payment_config_method_key_unique",
            ),
            models.CheckConstraint(
                condition=Q(payment_method__in=GatewayMethod.values),
                name="payment_config_method_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.payment_method}.{self.config_key}"


class PaymentConfigVersion(models.Model):
    """A gateway's whole configuration as it was at one moment; an attempt keeps its version.

    ``encrypted_values`` is the encrypted JSON of all values. ``digest`` tells versions apart
    without decrypting them.
    """

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=GatewayMethod)
    number = models.PositiveIntegerField(_("版本"))
    encrypted_values = models.TextField()
    digest = models.CharField(max_length=64)
    activated_at = models.DateTimeField(_("启用时间"), db_default=UtcNow())
    retired_at = models.DateTimeField(_("停用时间"), null=True)
    created_by = UUIDTextField(_("创建人"), null=True)

    class Meta:
        db_table = "payment_config_versions"
        verbose_name = _("支付配置版本")
        verbose_name_plural = _("支付配置版本")
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "number"),
                name="payment_config_version_unique",
            ),
        )

    def __str__(self) -> str:
        return f"{self.payment_method} v{self.number}"


class PriceConfig(models.Model):
    """What a service costs during one period; both dates belong to it (Asia/Shanghai)."""

    id = id_field()
    service_type = models.CharField(_("服务类型"), max_length=64)
    service_name = models.CharField(_("服务名称"), max_length=100)
    price = MoneyField(_("价格（元）"))
    discount_price = MoneyField(_("优惠价（元）"), null=True, blank=True)
    is_active = models.BooleanField(_("启用"), default=True, db_default=True)
    effective_date = models.DateField(_("生效日期"), db_default=ShanghaiToday())
    expiry_date = models.DateField(_("失效日期"), null=True, blank=True)
    description = models.CharField(_("说明"), max_length=500, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    class Meta:
        db_table = "price_configs"
        verbose_name = _("价格")
        verbose_name_plural = _("价格")
        constraints = (
            models.UniqueConstraint(
                fields=("service_type", "effective_date"),
                name="price_service_start_unique",
            ),
            models.CheckConstraint(condition=is_amount("price"), name="price_is_amount"),
            models.CheckConstraint(
                condition=Q(discount_price__isnull=True) | is_amount("discount_price"),
                name="price_discount_is_amount",
            ),
            models.CheckConstraint(
                condition=Q(discount_price__isnull=True) | Q(discount_price__lte=models.F("price")),
                name="price_discount_not_above_price",
            ),
            models.CheckConstraint(
                condition=Q(expiry_date__isnull=True)
                | Q(expiry_date__gte=models.F("effective_date")),
                name="price_period_in_order",
            ),
        )

    def __str__(self) -> str:
        return f"{self.service_name} {self.price}"
