"""The states of orders and attempts, and which may follow which: data, not branches."""

from collections.abc import Mapping
from typing import Any

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


class ExchangeKind(models.TextChoices):
    """What we asked a gateway for."""

    CREATE = "create", _("下单")
    QUERY = "query", _("查询支付结果")
    CLOSE = "close", _("关闭交易")
    REFUND = "refund", _("请求退款")
    QUERY_REFUND = "query_refund", _("查询退款结果")


# Asking how something stands, or that it end unpaid. What a gateway answers to these moves nothing
# by itself; CREATE and REFUND are deeds.
QUESTIONS = frozenset({ExchangeKind.QUERY, ExchangeKind.CLOSE, ExchangeKind.QUERY_REFUND})


class ExchangeOutcome(models.TextChoices):
    """How a gateway answered, or that it did not."""

    ANSWERED = "answered", _("已答复")
    REJECTED = "rejected", _("已拒绝")
    UNKNOWN = "unknown", _("结果未知")
    UNTRUSTED = "untrusted", _("答复不可信")


class ExceptionKind(models.TextChoices):
    """Why a person has to look at money."""

    WRONG_AMOUNT = "wrong_amount", _("金额不符")
    MISMATCH = "mismatch", _("交易信息不符")
    UNKNOWN_ORDER = "unknown_order", _("订单不存在")
    LATE_PAYMENT = "late_payment", _("订单结束后到账")
    SECOND_PAYMENT = "second_payment", _("重复支付")
    REFUND_ABNORMAL = "refund_abnormal", _("退款异常")
    REFUND_REFUSED = "refund_refused", _("退款被网关拒绝")
    OUTSIDE_REFUND = "outside_refund", _("商户平台直接退款")
    UNBOOKED_REFUND = "unbooked_refund", _("退款通知未入账")
    STUCK_PAYMENT = "stuck_payment", _("支付结果不明")
    STUCK_REFUND = "stuck_refund", _("退款迟迟无结果")
    GATEWAY_SILENT = "gateway_silent", _("网关不再回答询问")


class ExceptionAction(models.TextChoices):
    """What staff may do about a case."""

    REFUND = "refund", _("原路退回")
    MATCH = "match", _("匹配到订单")
    QUERY = "query", _("立即查询网关")
    RETRY = "retry", _("用原单号重试")
    WRITE_OFF = "write_off", _("核销")
    CLOSE = "close", _("关闭")


class ExceptionOutcome(models.TextChoices):
    """How a case ended."""

    NONE = "", _("未结束")
    SETTLED = "settled", _("自动了结")
    MATCHED = "matched", _("已匹配入账")
    WRITTEN_OFF = "written_off", _("已核销")
    CLOSED = "closed", _("已说明关闭")


_A = ExceptionAction
# The safe actions offered for each kind, in the order of the page. Whatever is not here is refused.
# Where money of ours or of a payer's is held, one person alone never ends the case: whatever was
# done elsewhere is written down in a write-off, which a second person confirms.
EXCEPTION_ACTIONS: Mapping[str, tuple[ExceptionAction, ...]] = {
    ExceptionKind.WRONG_AMOUNT: (_A.QUERY, _A.WRITE_OFF),
    ExceptionKind.MISMATCH: (_A.QUERY, _A.WRITE_OFF),
    ExceptionKind.UNKNOWN_ORDER: (_A.MATCH, _A.WRITE_OFF),
    ExceptionKind.LATE_PAYMENT: (_A.REFUND, _A.WRITE_OFF),
    ExceptionKind.SECOND_PAYMENT: (_A.REFUND, _A.WRITE_OFF),
    ExceptionKind.REFUND_ABNORMAL: (_A.RETRY, _A.WRITE_OFF),
    ExceptionKind.REFUND_REFUSED: (_A.RETRY, _A.WRITE_OFF),
    ExceptionKind.OUTSIDE_REFUND: (_A.CLOSE,),
    ExceptionKind.UNBOOKED_REFUND: (_A.WRITE_OFF,),
    ExceptionKind.STUCK_PAYMENT: (_A.QUERY, _A.CLOSE),
    ExceptionKind.STUCK_REFUND: (_A.RETRY, _A.CLOSE),
    ExceptionKind.GATEWAY_SILENT: (_A.CLOSE,),
}

# What happened, in plain words.
EXCEPTION_STORY: Mapping[str, Any] = {
    ExceptionKind.WRONG_AMOUNT: _(
        "网关通知说用户付了款，但金额与应付的不一致。这笔钱没有入账，订单状态没有变。"
    ),
    ExceptionKind.MISMATCH: _(
        "网关通知说用户付了款，但它的交易号与我们记录的不一致。这笔钱没有入账。"
    ),
    ExceptionKind.UNKNOWN_ORDER: _(
        "网关通知说用户付了款，但我们没有这个商户订单号。这笔钱在商户账户里，没有入账到任何订单。"
    ),
    ExceptionKind.LATE_PAYMENT: _(
        "订单已取消或过期之后，用户的付款才到账。钱已收到，没有用于订单，应退还用户。"
    ),
    ExceptionKind.SECOND_PAYMENT: _("同一订单付了两次。第一笔已入账，这一笔是多付的，应退还用户。"),
    ExceptionKind.REFUND_ABNORMAL: _(
        "网关接受了退款，但钱退不到用户的账户（例如银行卡已注销）。钱还在商户账户里。"
    ),
    ExceptionKind.REFUND_REFUSED: _("网关拒绝了这笔退款。钱还在商户账户里，用户还没有收到退款。"),
    ExceptionKind.OUTSIDE_REFUND: _(
        "有人在商户平台上直接退了款。金额已计入该支付的退款，请核对是谁、为什么退的。"
    ),
    ExceptionKind.UNBOOKED_REFUND: _(
        "网关说退了一笔款，但它无法记入：与我们的记录对不上，或多次查询仍没有结果。没有改动任何退款和订单；这笔钱可能已经退出。"
    ),
    ExceptionKind.STUCK_PAYMENT: _(
        "付款时间早已结束，网关仍没有给出明确结果。系统会继续查询；钱可能已付，也可能没有。"
    ),
    ExceptionKind.STUCK_REFUND: _(
        "退款已提交，但迟迟没有明确结果。系统会用同一单号继续查询，请勿另行退款。"
    ),
    ExceptionKind.GATEWAY_SILENT: _(
        "网关持续拒绝我们的询问（查询、关闭、退款查询）。支付和退款都保持原状，没有任何一笔因此失败；系统会一直询问，恢复后自动补上结果。"
    ),
}

# What staff should do about each, in the words of the exceptions list.
EXCEPTION_ADVICE: Mapping[str, Any] = {
    ExceptionKind.WRONG_AMOUNT: _(
        "在商户平台核对该笔交易；如确已收款，请在商户平台原路退回，再申请核销"
    ),
    ExceptionKind.MISMATCH: _("核对两个网关交易号；多收的一笔请在商户平台原路退回，再申请核销"),
    ExceptionKind.UNKNOWN_ORDER: _(
        "能确定属于哪个待支付订单时可匹配；若是其他系统的收款，请在商户平台原路退回，再申请核销"
    ),
    ExceptionKind.LATE_PAYMENT: _("款项会自动原路退回；若策略为人工处理，请点击“原路退回”"),
    ExceptionKind.SECOND_PAYMENT: _("款项会自动原路退回；若策略为人工处理，请点击“原路退回”"),
    ExceptionKind.REFUND_ABNORMAL: _(
        "在商户平台处理异常退款（如更换收款账户），系统会自动更新结果"
    ),
    ExceptionKind.REFUND_REFUSED: _("查看拒绝原因，处理后点击“用原单号重试”"),
    ExceptionKind.OUTSIDE_REFUND: _("核对商户平台的退款操作；金额已计入该支付的退款"),
    ExceptionKind.UNBOOKED_REFUND: _(
        "在商户平台核对这笔退款；核对清楚之前，请勿再为该支付退款，核对后申请核销"
    ),
    ExceptionKind.STUCK_PAYMENT: _("点击“立即查询网关”；仍无结果时检查支付配置和网络"),
    ExceptionKind.STUCK_REFUND: _("点击“用原单号重试”再问一次；仍无结果时请在商户平台核对"),
    ExceptionKind.GATEWAY_SILENT: _(
        "按说明检查密钥、证书序列号、权限、服务器时间和商户状态；恢复回答后差错自动了结，请勿另行退款"
    ),
}

# Verified, but staff have to look at them.
HELD_VERDICTS = frozenset({Verdict.WRONG_AMOUNT, Verdict.MISMATCH, Verdict.UNKNOWN_ORDER})
