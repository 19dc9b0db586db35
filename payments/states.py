"""The states of orders and attempts, and which may follow which: data, not branches."""

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _


class OrderStatus(models.TextChoices):
    PENDING = "pending", _("待支付")
    PAID = "paid", _("已支付")
    PARTIAL_REFUNDED = "partial_refunded", _("部分退款")
    REFUNDED = "refunded", _("已退款")
    CANCELLED = "cancelled", _("已取消")
    EXPIRED = "expired", _("已过期")


ORDER_TRANSITIONS: Mapping[str, frozenset[str]] = {
    OrderStatus.PENDING: frozenset({OrderStatus.PAID, OrderStatus.CANCELLED, OrderStatus.EXPIRED}),
    OrderStatus.PAID: frozenset({OrderStatus.PARTIAL_REFUNDED, OrderStatus.REFUNDED}),
    OrderStatus.PARTIAL_REFUNDED: frozenset({OrderStatus.REFUNDED}),
    OrderStatus.REFUNDED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
}

# Orders to which a payment is applied.
PAID_STATUSES = frozenset({OrderStatus.PAID, OrderStatus.PARTIAL_REFUNDED, OrderStatus.REFUNDED})
# Orders that hold their appointment. A partly refunded one still does: its service was paid for.
LIVE_STATUSES = frozenset({OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.PARTIAL_REFUNDED})
REFUNDABLE_STATUSES = frozenset({OrderStatus.PAID, OrderStatus.PARTIAL_REFUNDED})


class OrderType(models.TextChoices):
    APPOINTMENT = "appointment", _("预约问诊")
    CONSULTATION = "consultation", _("图文咨询")
    PRESCRIPTION = "prescription", _("处方")
    OTHER = "other", _("其他")


class PaymentMethod(models.TextChoices):
    BALANCE = "balance", _("余额支付")
    WECHAT = "wechat", _("微信支付")
    ALIPAY = "alipay", _("支付宝")


class TransactionType(models.TextChoices):
    PAYMENT = "payment", _("支付")
    REFUND = "refund", _("退款")


class TransactionStatus(models.TextChoices):
    PENDING = "pending", _("处理中")
    SUCCESS = "success", _("成功")
    FAILED = "failed", _("失败")


TRANSACTION_TRANSITIONS: Mapping[str, frozenset[str]] = {
    TransactionStatus.PENDING: frozenset({TransactionStatus.SUCCESS, TransactionStatus.FAILED}),
    # Verified gateway proof only.
    TransactionStatus.FAILED: frozenset({TransactionStatus.SUCCESS}),
    TransactionStatus.SUCCESS: frozenset(),
}


class Disposition(models.TextChoices):
    """What became of money that a gateway reported as paid."""

    NONE = "", _("无")
    APPLIED = "applied", _("已入账")
    LATE = "late", _("订单结束后到账")
    SECOND = "second", _("重复支付")


# Money that is ours to give back: its refund is made by the refunds' task, or held for staff.
SURPLUS_DISPOSITIONS = frozenset({Disposition.LATE, Disposition.SECOND})


class Verdict(models.TextChoices):
    """What a received callback turned out to be."""

    APPLIED = "applied", _("已入账")
    REPEAT = "repeat", _("重复通知")
    LATE = "late", _("订单结束后到账")
    SECOND = "second", _("重复支付")
    NOT_PAID = "not_paid", _("非支付成功通知")
    CLOSED = "closed", _("交易关闭")
    REFUND_NOTICE = "refund_notice", _("退款通知")
    WRONG_AMOUNT = "wrong_amount", _("金额不符")
    MISMATCH = "mismatch", _("交易信息不符")
    UNKNOWN_ORDER = "unknown_order", _("订单不存在")
    IGNORED = "ignored", _("无关通知")
    UNTRUSTED = "untrusted", _("验证失败")


# Verified, but staff have to look at them.
HELD_VERDICTS = frozenset({Verdict.WRONG_AMOUNT, Verdict.MISMATCH, Verdict.UNKNOWN_ORDER})
