"""Business configuration that staff edit: gateway configuration and prices."""

from datetime import date

from django.db import models
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from gateways import interface
from tcmpay.audit.marks import Marked, MarkedQuerySet
from tcmpay.common.fields import (
    MoneyField,
    ShanghaiToday,
    UtcNow,
    UUIDTextField,
    id_field,
    is_amount,
)
from tcmpay.common.order_types import SERVICE_TYPE_CODES, SERVICE_TYPES
from tcmpay.common.second_person import Asked

FOREVER = date(9999, 12, 31)


class GatewayMethod(models.TextChoices):
    WECHAT = interface.WECHAT, _("微信支付")
    ALIPAY = interface.ALIPAY, _("支付宝")


class PaymentConfig(Marked):
    """One value of one gateway's configuration. Secrets are stored encrypted, always."""

    IS_SQL_ALLOWED = True

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=GatewayMethod)
    config_key = models.CharField(_("配置项"), max_length=64)
    config_value = models.TextField(_("配置值"), blank=True, default="", db_default="")
    is_encrypted = models.BooleanField(_("加密"), default=False, db_default=False)
    description = models.CharField(_("说明"), max_length=255, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    objects = MarkedQuerySet.as_manager()

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
        permissions = (("activate_paymentconfig", _("启用和恢复支付配置")),)

    def __str__(self) -> str:
        return f"{self.payment_method}.{self.config_key}"


class PaymentConfigVersion(Asked, Marked):
    """A gateway's whole configuration as it was at one moment; an attempt keeps its version.

    ``encrypted_values`` is the encrypted JSON of all values. ``digest`` tells versions apart
    without decrypting them.
    """

    ASKED = ("revocation_asked_by", "revocation_asked_at", "revocation_reason")
    ANSWERED = ("revoked_by", "revoked_at", "revocation_reason")

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=GatewayMethod)
    number = models.PositiveIntegerField(_("版本"))
    encrypted_values = models.TextField()
    digest = models.CharField(max_length=64)
    activated_at = models.DateTimeField(_("启用时间"), db_default=UtcNow())
    retired_at = models.DateTimeField(_("停用时间"), null=True)
    created_by = UUIDTextField(_("创建人"), null=True)
    reason = models.CharField(_("原因"), max_length=500, blank=True, default="", db_default="")
    # The number of the earlier version whose values it brought back.
    restored_from = models.PositiveIntegerField(_("恢复自版本"), null=True, blank=True)
    # Its callback keys are believed no more from this moment on. Where two people are needed, one
    # asks for it and another does it; the reason is the asker's.
    revoked_at = models.DateTimeField(_("密钥作废时间"), null=True)
    revoked_by = UUIDTextField(_("作废人"), null=True)
    revocation_reason = models.CharField(
        _("作废原因"), max_length=500, blank=True, default="", db_default=""
    )
    revocation_asked_by = UUIDTextField(_("申请作废人"), null=True)
    revocation_asked_at = models.DateTimeField(_("申请作废时间"), null=True)

    objects = MarkedQuerySet.as_manager()

    class Meta:
        db_table = "payment_config_versions"
        verbose_name = _("支付配置版本")
        verbose_name_plural = _("支付配置版本")
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "number"),
                name="payment_config_version_unique",
            ),
            models.CheckConstraint(
                condition=Q(revocation_asked_by__isnull=True)
                | Q(revoked_by__isnull=True)
                | ~Q(revoked_by=models.F("revocation_asked_by")),
                name="payment_config_revoked_by_two",
            ),
            # What is in force is changed first: the running version's keys can't be withdrawn.
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True) | Q(retired_at__isnull=False),
                name="payment_config_revoked_is_retired",
            ),
        )

    def __str__(self) -> str:
        return f"{self.payment_method} v{self.number}"

    @property
    def is_waiting(self) -> bool:
        """Whether the withdrawal of its keys waits for a second person."""
        return self.revocation_asked_by is not None and self.revoked_at is None


class PaymentConfigDraft(Asked, Marked):
    """Changes of one gateway's configuration that are not in force yet.

    ``encrypted_values`` is JSON of sealed values by key, an empty text for a key to be cleared;
    what it doesn't name stays as it is in force. ``revision`` counts the savings, ``editors`` are
    the ids of all who saved. ``tested_as`` names exactly what a passed test was about. Activated
    or discarded, it is gone: as long as it is there, it waits.
    """

    ASKED = ("updated_by", "updated_at")
    is_waiting = True

    id = id_field()
    payment_method = models.CharField(
        _("支付方式"), max_length=16, choices=GatewayMethod, unique=True
    )
    encrypted_values = models.TextField()
    revision = models.PositiveIntegerField(_("修订"), default=1)
    editors = models.JSONField(default=list)
    updated_by = UUIDTextField(_("修改人"), null=True)
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())
    tested_as = models.CharField(max_length=128, blank=True, default="", db_default="")
    tested_at = models.DateTimeField(_("测试时间"), null=True)
    tested_by = UUIDTextField(_("测试人"), null=True)
    is_test_passed = models.BooleanField(_("测试通过"), default=False, db_default=False)
    test_findings = models.JSONField(default=list)

    objects = MarkedQuerySet.as_manager()

    class Meta:
        db_table = "payment_config_drafts"
        verbose_name = _("支付配置草稿")
        verbose_name_plural = _("支付配置草稿")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.payment_method} draft {self.revision}"

    @property
    def askers(self) -> list[object]:
        return list(self.editors)


class GatewayCertificate(Marked):
    """A certificate that a gateway went over to, with its chain as PEM, fetched from it. Public;
    believed for its chain to the configured root alone, whenever it is read."""

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=GatewayMethod)
    serial = models.CharField(_("证书序列号"), max_length=64)
    pem = models.TextField()
    fetched_at = models.DateTimeField(_("获取时间"), db_default=UtcNow())

    objects = MarkedQuerySet.as_manager()

    class Meta:
        db_table = "payment_gateway_certificates"
        verbose_name = _("支付平台证书")
        verbose_name_plural = _("支付平台证书")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "serial"), name="gateway_certificate_unique"
            ),
            models.CheckConstraint(
                condition=Q(payment_method__in=GatewayMethod.values),
                name="gateway_certificate_method_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.payment_method} {self.serial}"


class PriceConfig(Marked):
    """What a service costs during one period; both dates belong to it (Asia/Shanghai)."""

    IS_SQL_ALLOWED = True

    id = id_field()
    service_type = models.CharField(_("服务类型"), max_length=64)
    service_name = models.CharField(_("服务名称"), max_length=100)
    # Which orders it prices. Empty where a row was written by SQL, as the guide allows: see
    # ``priced_order_type``. All periods of a service say the same.
    order_type = models.CharField(
        _("订单类型"), max_length=16, choices=SERVICE_TYPES, blank=True, default="", db_default=""
    )
    price = MoneyField(_("价格（元）"))
    discount_price = MoneyField(_("优惠价（元）"), null=True, blank=True)
    is_active = models.BooleanField(_("启用"), default=True, db_default=True)
    effective_date = models.DateField(_("生效日期"), db_default=ShanghaiToday())
    expiry_date = models.DateField(_("失效日期"), null=True, blank=True)
    description = models.CharField(_("说明"), max_length=500, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())
    # The last day, written so that "for ever" is a day too: two running periods of one service
    # can't both last for ever, whoever writes them. Empty for a period that is switched off.
    last_day = models.GeneratedField(
        expression=Case(
            When(is_active=True, then=Coalesce("expiry_date", Value(FOREVER))),
            default=Value(None),
            output_field=models.DateField(),
        ),
        output_field=models.DateField(null=True),
        db_persist=True,
    )

    objects = MarkedQuerySet.as_manager()

    class Meta:
        db_table = "price_configs"
        verbose_name = _("价格")
        verbose_name_plural = _("价格")
        constraints = (
            models.UniqueConstraint(
                fields=("service_type", "effective_date"),
                name="price_service_start_unique",
            ),
            models.UniqueConstraint(
                fields=("service_type", "last_day"), name="price_service_end_unique"
            ),
            models.CheckConstraint(
                condition=Q(order_type__in=["", *SERVICE_TYPE_CODES]),
                name="price_order_type_known",
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


class PriceChangeStatus(models.TextChoices):
    PENDING = "pending", _("待确认")
    CONFIRMED = "confirmed", _("已确认")
    REFUSED = "refused", _("已拒绝")
    WITHDRAWN = "withdrawn", _("已撤回")


class PriceChangeRequest(Asked, Marked):
    """A change of a price that waits for a second person, and what became of it.

    ``wanted`` holds the change as text. ``waiting_service`` is the service
    while it waits, else empty: at most one change of a service waits at a time.
    """

    id = id_field()
    service_type = models.CharField(_("服务类型"), max_length=64)
    wanted = models.JSONField(_("改价内容"))
    amount_before = MoneyField(_("现收（元）"))
    amount_after = MoneyField(_("改后收（元）"))
    percent = models.DecimalField(_("变动幅度（%）"), max_digits=12, decimal_places=1)
    reason = models.CharField(_("原因"), max_length=500)
    status = models.CharField(
        _("状态"), max_length=16, choices=PriceChangeStatus, default=PriceChangeStatus.PENDING
    )
    waiting_service = models.CharField(max_length=64, null=True, unique=True)
    requested_by = UUIDTextField(_("提交人"))
    decided_by = UUIDTextField(_("处理人"), null=True)
    decision_notes = models.CharField(
        _("备注"), max_length=500, blank=True, default="", db_default=""
    )
    created_at = models.DateTimeField(_("提交时间"), db_default=UtcNow())
    decided_at = models.DateTimeField(_("处理时间"), null=True)

    objects = MarkedQuerySet.as_manager()

    class Meta:
        db_table = "price_change_requests"
        verbose_name = _("待确认的改价")
        verbose_name_plural = _("待确认的改价")
        default_permissions = ("view",)
        permissions = (("confirm_pricechange", _("确认他人提交的改价")),)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=PriceChangeStatus.values), name="price_change_status_known"
            ),
            # Whoever asked neither confirms nor refuses: they may only withdraw.
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | Q(status=PriceChangeStatus.WITHDRAWN)
                | ~Q(decided_by=models.F("requested_by")),
                name="price_change_by_two",
            ),
        )
        indexes = (models.Index(fields=("created_at",), name="price_change_created_at"),)

    def __str__(self) -> str:
        return f"{self.service_type} {self.amount_before} → {self.amount_after}"
