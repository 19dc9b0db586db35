"""Attempts to pay an order, and what carries out the giving back of a refund."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from payments.models.orders import PaymentOrder
from payments.states import Disposition, PaymentMethod, TransactionStatus, TransactionType
from tcmpay.common.fields import MoneyField, UtcNow, UUIDTextField, id_field, is_amount
from tcmpay.common.money import ZERO


class TransactionQuerySet(models.QuerySet["PaymentTransaction"]):
    def pending(self) -> Self:
        """Attempts to pay whose end nobody knows yet."""
        return self.filter(
            transaction_type=TransactionType.PAYMENT, status=TransactionStatus.PENDING
        )

    def open(self) -> Self:
        """Attempts that may still be paid and are meant to be; those with an owed close are not."""
        return self.pending().filter(is_close_owed=False)


class PaymentTransaction(models.Model):
    """An attempt to pay an order, or the giving back of one refund.

    ``external_transaction_id`` is the gateway's number of this transaction, ``trade_no`` its
    number of the trade that was paid: the same for a payment, different for a refund.
    ``out_trade_no`` is the number that a gateway knows a payment attempt by.
    """

    AUDIT_OBJECT: ClassVar = "payment_transaction"
    objects = TransactionQuerySet.as_manager()

    id = id_field()
    transaction_no = models.CharField(_("流水号"), max_length=28, unique=True)
    order = models.ForeignKey(
        PaymentOrder,
        on_delete=models.PROTECT,
        related_name="transactions",
        verbose_name=_("订单"),
    )
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    transaction_type = models.CharField(
        _("类型"),
        max_length=16,
        choices=TransactionType,
        default=TransactionType.PAYMENT,
        db_default=TransactionType.PAYMENT,
    )
    amount = MoneyField(_("金额（元）"))
    status = models.CharField(
        _("状态"),
        max_length=16,
        choices=TransactionStatus,
        default=TransactionStatus.PENDING,
        db_default=TransactionStatus.PENDING,
    )
    external_transaction_id = models.CharField(
        _("网关流水号"), max_length=64, null=True, blank=True
    )
    prepay_id = models.CharField(_("预支付编号"), max_length=128, null=True, blank=True)
    trade_no = models.CharField(
        _("网关交易号"), max_length=64, null=True, blank=True, db_index=True
    )
    request_data = models.JSONField(_("请求"), null=True, blank=True)
    response_data = models.JSONField(_("应答"), null=True, blank=True)
    callback_data = models.JSONField(_("通知"), null=True, blank=True)
    error_code = models.CharField(_("错误码"), max_length=64, null=True, blank=True)
    error_message = models.CharField(_("错误信息"), max_length=500, null=True, blank=True)
    initiated_at = models.DateTimeField(_("发起时间"), db_default=UtcNow())
    completed_at = models.DateTimeField(_("完成时间"), null=True, blank=True)

    # Ours, beyond the documented columns.
    out_trade_no = models.CharField(_("商户订单号"), max_length=32, null=True, blank=True)
    scene = models.CharField(_("场景"), max_length=16, blank=True, default="", db_default="")
    is_mock = models.BooleanField(_("模拟"), default=False, db_default=False)
    config_version_id = UUIDTextField(_("配置版本"), null=True, blank=True)
    disposition = models.CharField(
        _("入账情况"),
        max_length=16,
        choices=Disposition,
        blank=True,
        default=Disposition.NONE,
        db_default=Disposition.NONE,
    )
    # The order's id while this payment is the one applied to it: at most one per order.
    applied_order_id = UUIDTextField(null=True, blank=True, unique=True)
    # What refunds (pending, processing and done) hold of this payment.
    refund_reserved = MoneyField(_("已占用退款额（元）"), default=ZERO, db_default=ZERO)
    # The refund that a transaction of type refund carries out: one each.
    refund_id = UUIDTextField(_("退款"), null=True, blank=True, unique=True)
    gateway_expires_at = models.DateTimeField(_("网关截止时间"), null=True, blank=True)
    # Of a success: when we booked it. completed_at is when the money moved, as the gateway says.
    booked_at = models.DateTimeField(_("入账时间"), null=True, blank=True)
    next_check_at = models.DateTimeField(_("下次查询"), null=True, blank=True)
    checks = models.PositiveIntegerField(_("查询次数"), default=0, db_default=0)
    is_close_owed = models.BooleanField(_("待关闭"), default=False, db_default=False)
    # How often the gateway was asked to begin it while it had not answered yet, and when last.
    starts = models.PositiveIntegerField(_("发起次数"), default=1, db_default=1)
    started_at = models.DateTimeField(_("最近发起时间"), null=True, blank=True)
    idempotency_key_id = UUIDTextField(null=True, blank=True, unique=True)

    # What the sweepers and the refunds' sum move, without an event of the trail each time, and
    # what they note while it is open.
    UNTOLD_FIELDS = frozenset(
        {"next_check_at", "checks", "is_close_owed", "refund_reserved", "starts", "started_at"}
    )
    UNTOLD_WHILE_OPEN = frozenset({"error_code", "error_message"})

    class Meta:
        db_table = "payment_transactions"
        verbose_name = _("支付流水")
        verbose_name_plural = _("支付流水")
        permissions = (("view_messages", _("可以查看网关报文原文")),)
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "out_trade_no"),
                name="transaction_out_trade_no_unique",
            ),
            models.UniqueConstraint(
                fields=("payment_method", "external_transaction_id"),
                name="transaction_external_unique",
            ),
            models.CheckConstraint(condition=is_amount("amount"), name="transaction_is_amount"),
            models.CheckConstraint(
                condition=Q(status__in=TransactionStatus.values),
                name="transaction_status_known",
            ),
            models.CheckConstraint(
                condition=Q(payment_method__in=PaymentMethod.values),
                name="transaction_method_known",
            ),
            models.CheckConstraint(
                condition=Q(transaction_type="payment", refund_id__isnull=True)
                | Q(transaction_type="refund", refund_id__isnull=False),
                name="transaction_type_known",
            ),
            models.CheckConstraint(
                condition=Q(applied_order_id__isnull=True)
                | Q(
                    applied_order_id=F("order"),
                    transaction_type="payment",
                    status="success",
                    disposition="applied",
                ),
                name="transaction_applied_is_success",
            ),
            models.CheckConstraint(
                condition=Q(refund_reserved__gte=0) & Q(refund_reserved__lte=F("amount")),
                name="transaction_refunds_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(refund_reserved=0) | Q(transaction_type="payment", status="success"),
                name="transaction_refunds_of_success",
            ),
        )
        indexes = (
            models.Index(fields=("order", "initiated_at"), name="transaction_order"),
            models.Index(fields=("next_check_at",), name="transaction_next_check"),
            models.Index(fields=("disposition", "refund_reserved"), name="transaction_surplus"),
            # What moved on a day by the gateways' word, as their bills tell it.
            models.Index(fields=("payment_method", "completed_at"), name="transaction_moved"),
        )

    def __str__(self) -> str:
        return self.transaction_no

    @property
    def is_open(self) -> bool:
        return self.status == TransactionStatus.PENDING
