"""What users are asked to pay."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from payments.states import OrderStatus, PaymentMethod
from tcmpay.common.fields import (
    MoneyField,
    ShanghaiToday,
    UtcNow,
    UUIDTextField,
    id_field,
    is_amount,
)
from tcmpay.common.money import CURRENCY
from tcmpay.common.order_types import OrderType


class PaymentOrder(models.Model):
    """What a user is asked to pay. Amount, owner, number and expiry never change."""

    AUDIT_OBJECT: ClassVar = "order"

    id = id_field()
    order_no = models.CharField(_("订单号"), max_length=28, unique=True)
    user_id = UUIDTextField(_("用户"))
    appointment_id = UUIDTextField(_("预约"), null=True, blank=True, db_index=True)
    order_type = models.CharField(_("订单类型"), max_length=16, choices=OrderType)
    amount = MoneyField(_("金额（元）"))
    currency = models.CharField(_("币种"), max_length=3, default=CURRENCY, db_default=CURRENCY)
    status = models.CharField(
        _("状态"),
        max_length=20,
        choices=OrderStatus,
        default=OrderStatus.PENDING,
        db_default=OrderStatus.PENDING,
    )
    payment_method = models.CharField(
        _("支付方式"), max_length=16, choices=PaymentMethod, null=True, blank=True
    )
    # When the money moved, as the gateway says; when we booked it is booked_at (booking.py).
    payment_time = models.DateTimeField(_("支付时间"), null=True, blank=True)
    expire_time = models.DateTimeField(_("过期时间"))
    description = models.CharField(_("说明"), max_length=500, blank=True, default="", db_default="")
    metadata = models.JSONField(_("附加信息"), null=True, blank=True)
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    # Ours, beyond the documented columns.
    service_type = models.CharField(
        _("服务类型"), max_length=64, blank=True, default="", db_default=""
    )
    price_id = UUIDTextField(_("价格"), null=True, blank=True)
    created_by = UUIDTextField(_("创建人"), null=True, blank=True)
    created_on = models.DateField(_("创建日"), db_default=ShanghaiToday())
    paid_on = models.DateField(_("支付日"), null=True, blank=True)
    booked_at = models.DateTimeField(_("入账时间"), null=True, blank=True)
    # appointment_id + order_type while the order is live: the database refuses a second one.
    live_appointment_key = models.CharField(max_length=64, null=True, blank=True, unique=True)
    idempotency_key_id = UUIDTextField(null=True, blank=True, unique=True)
    # When the sweep last asked a gateway in order to expire it (NULL: not yet).
    expiry_tried_at = models.DateTimeField(null=True, blank=True)
    # How often its refunds changed what may still be asked back: that it did is read here alone.
    refund_changes = models.PositiveIntegerField(default=0, db_default=0)

    UNTOLD_FIELDS = frozenset({"expiry_tried_at", "refund_changes"})

    class Meta:
        db_table = "payment_orders"
        verbose_name = _("订单")
        verbose_name_plural = pgettext_lazy("list", "订单")
        constraints = (
            models.CheckConstraint(condition=is_amount("amount"), name="order_is_amount"),
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values), name="order_status_known"
            ),
            models.CheckConstraint(
                condition=Q(order_type__in=OrderType.values), name="order_type_known"
            ),
            models.CheckConstraint(condition=Q(currency=CURRENCY), name="order_currency_cny"),
            models.CheckConstraint(
                condition=Q(payment_method__isnull=True)
                | Q(payment_method__in=PaymentMethod.values),
                name="order_method_known",
            ),
            # Money for the balance comes from outside, and is for nothing else.
            models.CheckConstraint(
                condition=~Q(order_type=OrderType.TOPUP)
                | Q(appointment_id=None, service_type="")
                & (Q(payment_method=None) | ~Q(payment_method=PaymentMethod.BALANCE)),
                name="order_topup_from_outside",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("pending", "cancelled", "expired"), payment_time=None)
                | Q(
                    status__in=("paid", "partial_refunded", "refunded"),
                    payment_time__isnull=False,
                    payment_method__isnull=False,
                ),
                name="order_paid_has_time_and_method",
            ),
        )
        indexes = (
            models.Index(fields=("user_id", "created_at", "id"), name="order_user_created"),
            models.Index(fields=("created_at", "id"), name="order_created"),
            models.Index(
                fields=("payment_method", "created_at", "id"), name="order_method_created"
            ),
            models.Index(fields=("status", "created_at", "id"), name="order_status_created"),
            models.Index(fields=("order_type", "created_at", "id"), name="order_type_created"),
            models.Index(fields=("updated_at",), name="order_updated"),
            models.Index(fields=("status", "expire_time"), name="order_status_expire"),
            models.Index(fields=("created_on", "status", "amount"), name="order_day"),
            models.Index(
                fields=("paid_on", "payment_method", "order_type", "service_type", "amount"),
                name="order_paid_day_service",
            ),
            models.Index(fields=("booked_at", "paid_on"), name="order_booked"),
        )

    def __str__(self) -> str:
        return self.order_no
