"""The states of orders and attempts, and which may follow which: data, not branches."""

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from config.models import GatewayMethod
from gateways.interface import Scene


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
# Orders of whose payment something went back.
REFUNDED_STATUSES = frozenset({OrderStatus.PARTIAL_REFUNDED, OrderStatus.REFUNDED})
REFUNDABLE_STATUSES = frozenset({OrderStatus.PAID, OrderStatus.PARTIAL_REFUNDED})


class PaymentMethod(models.TextChoices):
    BALANCE = "balance", _("余额支付")
    WECHAT = GatewayMethod.WECHAT.value, GatewayMethod.WECHAT.label
    ALIPAY = GatewayMethod.ALIPAY.value, GatewayMethod.ALIPAY.label


class PaymentScene(models.TextChoices):
    """Where the payer meets the gateway: the gateways' scenes, in words."""

    NATIVE = Scene.NATIVE.value, _("微信：电脑上扫码")
    JSAPI = Scene.JSAPI.value, _("微信：微信里的网页")
    MINI_PROGRAM = Scene.MINI_PROGRAM.value, _("微信：小程序")
    H5 = Scene.H5.value, _("微信：手机浏览器")
    APP = Scene.APP.value, _("微信或支付宝：App")
    PAGE = Scene.PAGE.value, _("支付宝：电脑网页")
    WAP = Scene.WAP.value, _("支付宝：手机网页")
    QR = Scene.QR.value, _("支付宝：扫码")


class FigureKind(models.TextChoices):
    """What is counted and summed by business day."""

    CREATED = "created", _("下单")
    PAID = "paid", _("收款")
    REFUNDED = "refunded", _("退款")


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

    CREATE = "create", pgettext_lazy("asked of a gateway", "下单")
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
    REFUND_REFUSED = "refund_refused", _("退款没有退出")
    OUTSIDE_REFUND = "outside_refund", _("商户平台直接退款")
    UNBOOKED_REFUND = "unbooked_refund", _("退款通知未入账")
    STUCK_PAYMENT = "stuck_payment", _("支付结果不明")
    STUCK_REFUND = "stuck_refund", _("退款迟迟无结果")
    STOPPED_REFUND = "stopped_refund", _("已停止的退款问不到结果")
    REFUNDED_TWICE = "refunded_twice", _("退款可能退了两次")
    ACCOUNT_SHORT = "account_short", _("商户账户余额不足")
    GATEWAY_SILENT = "gateway_silent", _("网关不再回答询问")
    GATEWAY_REFUSING = "gateway_refusing", _("网关拒绝我们的退款请求")
    GIVE_BACK_LEFT = "give_back_left", _("余额无法原路退回")
    ENDPOINT_DISABLED = "endpoint_disabled", _("事件推送地址已自动停用")
    # Where a gateway's bill and our books differ (reconciliation).
    BILL_OURS_ONLY = "bill_ours_only", _("对账：我方有，网关无")
    BILL_THEIRS_ONLY = "bill_theirs_only", _("对账：网关有，我方无")
    BILL_AMOUNT = "bill_amount", _("对账：金额不符")
    BILL_FEE = "bill_fee", _("对账：手续费不符")
    BILL_STATE = "bill_state", _("对账：状态不符")
    BILL_DUPLICATE = "bill_duplicate", _("对账：账单重复")
    BILL_WRONG_DAY = "bill_wrong_day", _("对账：记在另一日")
    BILL_FOREIGN = "bill_foreign", _("对账：不是我方的交易")
    BILL_FUND_GAP = "bill_fund_gap", _("对账：资金余额不连续")
    BILL_FUND_MISSING = "bill_fund_missing", _("对账：资金未到")
    BILL_LINE = "bill_line", _("对账：账单行无法读取")
    BILL_MISSING = "bill_missing", _("对账：账单迟迟未到")


class ExceptionAction(models.TextChoices):
    """What staff may do about a case."""

    REFUND = "refund", _("原路退回")
    MATCH = "match", _("匹配到订单")
    QUERY = "query", _("立即查询网关")
    RETRY = "retry", _("用原单号重试")
    RECORD = "record", _("按账单记录")
    WRITE_OFF = "write_off", _("核销")
    CLOSE = "close", _("关闭")


class ExceptionOutcome(models.TextChoices):
    """How a case ended."""

    NONE = "", _("未结束")
    SETTLED = "settled", _("自动了结")
    MATCHED = "matched", _("已匹配入账")
    RECORDED = "recorded", _("已按账单记录")
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
    ExceptionKind.STOPPED_REFUND: (_A.RETRY, _A.WRITE_OFF),
    ExceptionKind.REFUNDED_TWICE: (_A.WRITE_OFF,),
    ExceptionKind.ACCOUNT_SHORT: (_A.RETRY, _A.CLOSE),
    ExceptionKind.GATEWAY_SILENT: (_A.CLOSE,),
    ExceptionKind.GATEWAY_REFUSING: (_A.CLOSE,),
    ExceptionKind.GIVE_BACK_LEFT: (_A.WRITE_OFF,),
    ExceptionKind.ENDPOINT_DISABLED: (_A.CLOSE,),
    # Ends by itself once its cause is gone; QUERY asks the gateway and applies what it proves.
    ExceptionKind.BILL_OURS_ONLY: (_A.QUERY, _A.WRITE_OFF),
    ExceptionKind.BILL_THEIRS_ONLY: (_A.QUERY, _A.MATCH, _A.WRITE_OFF),
    ExceptionKind.BILL_AMOUNT: (_A.QUERY, _A.WRITE_OFF),
    ExceptionKind.BILL_FEE: (_A.RECORD, _A.WRITE_OFF),
    ExceptionKind.BILL_STATE: (_A.QUERY, _A.WRITE_OFF),
    ExceptionKind.BILL_DUPLICATE: (_A.WRITE_OFF,),
    ExceptionKind.BILL_WRONG_DAY: (_A.RECORD, _A.WRITE_OFF),
    ExceptionKind.BILL_FOREIGN: (_A.MATCH, _A.WRITE_OFF),
    ExceptionKind.BILL_FUND_GAP: (_A.WRITE_OFF,),
    ExceptionKind.BILL_FUND_MISSING: (_A.WRITE_OFF,),
    ExceptionKind.BILL_LINE: (_A.WRITE_OFF,),
    ExceptionKind.BILL_MISSING: (_A.CLOSE,),
}

# Facts that can come again, or go on, after their case has ended; each time is a case of its own.
# Staff still know of one after a person ended its case so; of a close by hand for a day only.
_O = ExceptionOutcome
COMES_AGAIN: Mapping[str, frozenset[ExceptionOutcome]] = {
    ExceptionKind.REFUND_REFUSED: frozenset({_O.WRITTEN_OFF}),
    ExceptionKind.REFUND_ABNORMAL: frozenset({_O.WRITTEN_OFF}),
    ExceptionKind.UNBOOKED_REFUND: frozenset({_O.WRITTEN_OFF}),
    ExceptionKind.STUCK_REFUND: frozenset({_O.CLOSED}),
    ExceptionKind.STOPPED_REFUND: frozenset({_O.WRITTEN_OFF}),
    ExceptionKind.ACCOUNT_SHORT: frozenset({_O.CLOSED}),
    ExceptionKind.GATEWAY_SILENT: frozenset({_O.CLOSED}),
    ExceptionKind.GATEWAY_REFUSING: frozenset({_O.CLOSED}),
    ExceptionKind.ENDPOINT_DISABLED: frozenset({_O.CLOSED}),
    # What staff have dealt with stays at its difference; what had gone and is back is another.
    **{str(kind): frozenset() for kind in ExceptionKind if kind.startswith("bill_")},
    ExceptionKind.BILL_MISSING: frozenset({_O.CLOSED}),
}

# Of an attempt that its gateway reports paid, but not as it should be.
HELD_KINDS = frozenset({ExceptionKind.WRONG_AMOUNT, ExceptionKind.MISMATCH})
# Verified, but staff have to look at them.
HELD_VERDICTS = frozenset({Verdict.WRONG_AMOUNT, Verdict.MISMATCH, Verdict.UNKNOWN_ORDER})
