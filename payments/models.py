"""Orders, the attempts to pay them, and the callbacks received about them."""

import re
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from payments.states import (
    Disposition,
    ExceptionKind,
    ExceptionOutcome,
    ExchangeKind,
    ExchangeOutcome,
    FigureKind,
    OrderStatus,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
    Verdict,
)
from tcmpay.common.fields import (
    ExactCharField,
    MoneyField,
    ShanghaiToday,
    UtcNow,
    UUIDTextField,
    id_field,
    is_amount,
)
from tcmpay.common.money import CURRENCY, ZERO
from tcmpay.common.order_types import OrderType
from tcmpay.common.second_person import Asked

_EPISODE = re.compile(r":[0-9]{1,6}\Z")


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

    UNTOLD_FIELDS = frozenset({"expiry_tried_at"})

    class Meta:
        db_table = "payment_orders"
        verbose_name = _("订单")
        verbose_name_plural = _("订单")
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


class PaymentCallback(models.Model):
    """A callback as it came in, and what was made of it. Insert only."""

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16)
    received_at = models.DateTimeField(_("收到时间"), db_default=UtcNow())
    verdict = models.CharField(_("结论"), max_length=16, choices=Verdict)
    reason = models.CharField(_("原因"), max_length=300, blank=True, default="")
    is_mock = models.BooleanField(_("模拟"), default=False)
    notice_id = models.CharField(_("通知编号"), max_length=128, blank=True, default="")
    event = models.CharField(_("事件"), max_length=64, blank=True, default="")
    out_trade_no = models.CharField(_("商户订单号"), max_length=64, blank=True, default="")
    external_transaction_id = models.CharField(
        _("网关交易号"), max_length=64, blank=True, default=""
    )
    amount = MoneyField(_("金额（元）"), null=True)
    transaction = models.ForeignKey(
        PaymentTransaction,
        on_delete=models.PROTECT,
        null=True,
        related_name="callbacks",
        verbose_name=_("支付流水"),
    )
    remote_address = models.CharField(_("来源地址"), max_length=64, blank=True, default="")
    body_sha256 = models.CharField(max_length=64)
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True, default="")
    # A verified refund notice waits here for refunds' task; NULL: nothing to pick up.
    is_picked_up = models.BooleanField(null=True)
    # How often it was taken up in vain, and when next (NULL: at once).
    takes = models.PositiveIntegerField(default=0, db_default=0)
    next_take_at = models.DateTimeField(null=True)
    # What a verified refund notice says, as refunds' task needs it.
    refund_notice = models.JSONField(null=True)
    # On whose word: the configuration version and the gateway's key that verified it.
    config_version_id = UUIDTextField(_("配置版本"), null=True)
    key_mark = models.CharField(_("验签密钥"), max_length=32, blank=True, default="", db_default="")
    # The digest of the headers and the body as kept; "" where none were.
    kept_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    # The chain that it is part of, its place there, and what binds it to the row before
    # (audit/logs.py): one chain for each number of an attempt, one for what names none.
    log_key = models.CharField(max_length=96, blank=True, default="", db_default="")
    log_number = models.PositiveIntegerField(null=True)
    log_hash = models.CharField(max_length=64, blank=True, default="", db_default="")

    # What the task that takes refund notices moves, and the hash itself.
    UNTOLD_FIELDS = frozenset({"is_picked_up", "takes", "next_take_at", "log_hash"})

    class Meta:
        db_table = "payment_callbacks"
        verbose_name = _("网关通知")
        verbose_name_plural = _("网关通知")
        indexes = (
            models.Index(fields=("received_at",), name="callback_received"),
            models.Index(fields=("out_trade_no",), name="callback_out_trade_no"),
            models.Index(fields=("verdict", "received_at"), name="callback_verdict"),
            models.Index(fields=("is_picked_up",), name="callback_picked_up"),
            models.Index(fields=("key_mark", "received_at"), name="callback_key_mark"),
            models.Index(fields=("config_version_id", "received_at"), name="callback_version"),
            models.Index(fields=("log_key", "log_number"), name="callback_log"),
        )

    def __str__(self) -> str:
        method = dict(PaymentMethod.choices).get(self.payment_method, self.payment_method)
        parts = (method, self.out_trade_no, self.get_verdict_display())
        return " ".join(str(part) for part in parts if part)


class GatewayExchange(models.Model):
    """One call to a gateway about one attempt or refund, and what came of it. Insert only.

    A log for people: what the money follows is the attempt's and the refund's own row.
    """

    id = id_field()
    transaction = models.ForeignKey(
        PaymentTransaction,
        on_delete=models.PROTECT,
        related_name="exchanges",
        # Without a foreign key in the database a line of this log waits for no payment's lock.
        db_constraint=False,
        verbose_name=_("支付流水"),
    )
    refund_id = UUIDTextField(_("退款"), null=True, blank=True)
    kind = models.CharField(_("内容"), max_length=16, choices=ExchangeKind)
    outcome = models.CharField(_("结果"), max_length=16, choices=ExchangeOutcome)
    # What the gateway said, in one word (paid, not_found, processing, …), or its error code.
    answer = models.CharField(_("答复"), max_length=64, blank=True, default="")
    message = models.CharField(_("说明"), max_length=300, blank=True, default="")
    # The gateway's number of what it told of, and the amount (yuan), where it named them.
    external_id = models.CharField(
        _("网关编号"), max_length=64, blank=True, default="", db_default=""
    )
    amount = MoneyField(_("金额（元）"), null=True)
    asked_at = models.DateTimeField(_("时间"), db_default=UtcNow())
    took_ms = models.PositiveIntegerField(_("耗时（毫秒）"), default=0)
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True, default="")
    # Its place in the log about this attempt, and what binds it to the row before (audit/logs.py).
    log_number = models.PositiveIntegerField(null=True)
    log_hash = models.CharField(max_length=64, blank=True, default="", db_default="")

    UNTOLD_FIELDS = frozenset({"log_hash"})

    class Meta:
        db_table = "payment_exchanges"
        verbose_name = _("网关往来")
        verbose_name_plural = _("网关往来")
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=ExchangeKind.values), name="exchange_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=ExchangeOutcome.values), name="exchange_outcome_known"
            ),
        )
        indexes = (
            models.Index(fields=("transaction", "asked_at"), name="exchange_transaction"),
            models.Index(fields=("asked_at",), name="exchange_asked"),
            models.Index(fields=("outcome", "asked_at"), name="exchange_outcome"),
            models.Index(fields=("transaction", "log_number"), name="exchange_log"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome} {self.answer}"

    @property
    def log_key(self) -> str:
        return str(self.transaction_id)


class PaymentException(Asked, models.Model):
    """A money anomaly that a person has to look at: what, why, and what was done about it."""

    id = id_field()
    kind = models.CharField(_("类型"), max_length=32, choices=ExceptionKind)
    # The fact behind it: told twice, it is still one case.
    fact_key = ExactCharField(max_length=120, unique=True)
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    order = models.ForeignKey(
        PaymentOrder,
        on_delete=models.PROTECT,
        null=True,
        related_name="exceptions",
        verbose_name=_("订单"),
    )
    transaction = models.ForeignKey(
        PaymentTransaction,
        on_delete=models.PROTECT,
        null=True,
        related_name="exceptions",
        verbose_name=_("支付流水"),
    )
    out_trade_no = models.CharField(_("商户订单号"), max_length=64, blank=True, default="")
    external_transaction_id = models.CharField(
        _("网关交易号"), max_length=64, blank=True, default=""
    )
    amount = MoneyField(_("金额（元）"), null=True)
    reason = models.CharField(_("说明"), max_length=500, blank=True, default="")
    opened_at = models.DateTimeField(_("发现时间"), db_default=UtcNow())
    closed_at = models.DateTimeField(_("处理时间"), null=True, blank=True)
    closed_by = UUIDTextField(_("处理人"), null=True, blank=True)
    resolution = models.CharField(_("处理说明"), max_length=500, blank=True, default="")
    outcome = models.CharField(
        _("结果"),
        max_length=16,
        choices=ExceptionOutcome,
        blank=True,
        default=ExceptionOutcome.NONE,
        db_default=ExceptionOutcome.NONE,
    )
    # Who works on it: others see it and leave it alone.
    owner_id = UUIDTextField(_("负责人"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("认领时间"), null=True, blank=True)
    # A write-off that waits for a second person.
    write_off_by = UUIDTextField(_("核销申请人"), null=True, blank=True)
    write_off_at = models.DateTimeField(_("核销申请时间"), null=True, blank=True)
    write_off_reason = models.CharField(
        _("核销理由"), max_length=500, blank=True, default="", db_default=""
    )

    ASKED = ("write_off_by", "write_off_at", "write_off_reason")
    ANSWERED = ("closed_by", "closed_at", "resolution")

    class Meta:
        db_table = "payment_exceptions"
        verbose_name = _("差错")
        verbose_name_plural = _("差错")
        permissions = (
            ("close_exception", _("可以处理差错")),
            ("assign_exception", _("可以分派差错")),
            ("write_off_exception", _("可以核销差错")),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=ExceptionKind.values), name="exception_kind_known"
            ),
            models.CheckConstraint(
                condition=~Q(outcome="written_off")
                | Q(write_off_by__isnull=False, closed_by__isnull=False)
                & ~Q(write_off_by=F("closed_by")),
                name="exception_written_off_by_two",
            ),
        )
        indexes = (
            models.Index(fields=("closed_at", "opened_at"), name="exception_open"),
            models.Index(fields=("owner_id", "closed_at"), name="exception_owner"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.out_trade_no}".strip()

    @property
    def is_waiting(self) -> bool:
        """Whether a write-off of it waits for a second person."""
        return self.write_off_by is not None and self.closed_at is None

    @property
    def fact(self) -> str:
        """What the case is about, as whoever opened it said: often an id."""
        return self.fact_key.split(":", 2)[-1]

    @property
    def subject(self) -> str:
        """The fact without the number of its episode, where it can come again."""
        return _EPISODE.sub("", self.fact)


class ClosedDay(models.Model):
    """A business day closed for bookings from ``closed_at`` on, until it was opened again, if ever.

    What is booked for it meanwhile counts in the first open day (services/closed_days.py).
    """

    id = id_field()
    day = models.DateField(_("营业日"))
    closed_at = models.DateTimeField(_("日结时间"))
    reopened_at = models.DateTimeField(_("重新打开时间"), null=True, blank=True)
    # The day while it is closed: at most once.
    closed_day = models.DateField(null=True, blank=True, unique=True)

    class Meta:
        db_table = "payment_closed_days"
        verbose_name = _("已日结的营业日")
        verbose_name_plural = _("已日结的营业日")
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(reopened_at=None, closed_day__isnull=False, closed_day=F("day"))
                | Q(reopened_at__isnull=False, reopened_at__gt=F("closed_at"), closed_day=None),
                name="closed_day_closed_or_reopened",
            ),
        )
        indexes = (models.Index(fields=("day", "closed_at"), name="closed_day_times"),)

    def __str__(self) -> str:
        return str(self.day)


class BookingWatermark(models.Model):
    """The one row that says through which day the books are closed: whoever books for a past day
    locks it, and so does whoever closes or opens one."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    closed_through = models.DateField(null=True)
    # When a day was closed or opened last, and when something was booked last for a past day:
    # each comes after all of the other kind that it saw, whatever the hosts' clocks say.
    changed_at = models.DateTimeField(null=True)
    booked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "payment_booking_watermark"
        default_permissions = ()
        constraints = (models.CheckConstraint(condition=Q(id=1), name="booking_watermark_one"),)

    def __str__(self) -> str:
        return str(self.closed_through)


class PaymentCallbackBody(models.Model):
    """The raw message of a callback; retention may trim this table."""

    callback = models.OneToOneField(
        PaymentCallback, on_delete=models.CASCADE, primary_key=True, related_name="body"
    )
    headers = models.JSONField(default=dict)
    body = models.TextField()

    class Meta:
        db_table = "payment_callback_bodies"
        verbose_name = _("网关通知原文")
        verbose_name_plural = _("网关通知原文")

    def __str__(self) -> str:
        return str(self.callback_id)


class DayFigure(models.Model):
    """How many orders, and how much (yuan), of one kind on one business day (Asia/Shanghai): of
    what was booked before its kind's ``FiguresUntil`` (``day_figures``).

    An order of which money went back on several days counts once in a period of them all:
    ``previous_day`` is the day before on which it got some back, or ``day`` itself.
    """

    id = id_field()
    kind = models.CharField(max_length=16, choices=FigureKind)
    day = models.DateField()
    previous_day = models.DateField()
    number = models.IntegerField()
    amount = MoneyField(max_digits=16)

    class Meta:
        db_table = "payment_day_figures"
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "day", "previous_day"), name="day_figure_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.kind}"


class FiguresUntil(models.Model):
    """Until when (UTC, by the moment of booking) the kept figures of a kind hold everything."""

    kind = models.CharField(max_length=16, choices=FigureKind, primary_key=True)
    until = models.DateTimeField()

    class Meta:
        db_table = "payment_figures_until"

    def __str__(self) -> str:
        return f"{self.kind} {self.until}"
