"""What passed between a gateway and us: callbacks received, and calls made. Insert only."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.models.transactions import PaymentTransaction
from payments.states import ExchangeKind, ExchangeOutcome, PaymentMethod, Verdict
from tcmpay.common.fields import MoneyField, UtcNow, UUIDTextField, id_field


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
