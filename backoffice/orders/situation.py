"""Why an order is in its state, and what happens next, in plain words."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.orders.timeline import Story
from backoffice.site.words import method_text
from payments.models import PaymentTransaction
from payments.states import (
    SURPLUS_DISPOSITIONS,
    Disposition,
    OrderStatus,
    TransactionStatus,
)
from refunds.models import Refund
from refunds.services.own_cases import is_retryable
from refunds.services.surplus import surplus_written_off
from refunds.states import RefundStatus
from tcmpay.common import clock


@dataclass(frozen=True, slots=True)
class Situation:
    """Why the order is as it is, and what comes next; sentences for reading."""

    why: str
    next_steps: list[str]


def situation(story: Story) -> Situation:
    order = story.order
    return Situation(
        why=WHY[OrderStatus(order.status)](story) + "".join(_surplus(story)),
        next_steps=list(_next_steps(story)) or [_("没有待办，订单到此为止。")],
    )


# --- why ----------------------------------------------------------------------------------------


def _why_pending(story: Story) -> str:
    attempts = story.payments
    if not attempts:
        return _("订单已创建，用户还没有发起支付。")
    opened = [attempt for attempt in attempts if attempt.status == TransactionStatus.PENDING]
    if opened:
        return _("用户已于 %(time)s 发起%(method)s，网关还没有确认收款。") % {
            "time": _local(opened[-1].initiated_at),
            "method": method_text(opened[-1].payment_method),
        }
    last = attempts[-1]
    return _("用户发起过 %(number)d 次支付，都没有成功；最近一次的原因：%(reason)s") % {
        "number": len(attempts),
        "reason": last.error_message or last.error_code or _("未说明"),
    }


def _why_paid(story: Story) -> str:
    order = story.order
    return _("用户于 %(time)s 以%(method)s支付了 %(amount)s 元，已入账。") % {
        "time": _local(order.payment_time),
        "method": method_text(order.payment_method),
        "amount": order.amount,
    }


def _why_refunded(story: Story) -> str:
    applied = {attempt.pk for attempt in story.attempts if attempt.applied_order_id is not None}
    done = [
        refund
        for refund in story.refunds
        if refund.status == RefundStatus.SUCCESS and refund.transaction_id in applied
    ]
    returned = _("其中 %(amount)s 元已退回付款人。") % {
        "amount": sum(refund.refund_amount for refund in done)
    }
    return f"{_why_paid(story)}{returned}"


def _why_cancelled(story: Story) -> str:
    return _("订单在付款前被取消，没有入账的款项。")


def _why_expired(story: Story) -> str:
    return _("到 %(time)s 仍未收到付款，订单自动过期，没有入账的款项。") % {
        "time": _local(story.order.expire_time)
    }


WHY: Mapping[OrderStatus, Callable[[Story], str]] = {
    OrderStatus.PENDING: _why_pending,
    OrderStatus.PAID: _why_paid,
    OrderStatus.PARTIAL_REFUNDED: _why_refunded,
    OrderStatus.REFUNDED: _why_refunded,
    OrderStatus.CANCELLED: _why_cancelled,
    OrderStatus.EXPIRED: _why_expired,
}


# --- money that came beside -----------------------------------------------------------------------


def _surplus(story: Story) -> Iterator[str]:
    """Money that came late or twice, and what became of it: the order's state tells neither."""
    for attempt in story.payments:
        came = SURPLUS_TEXTS.get(Disposition(attempt.disposition))
        if came is None:
            continue
        yield came % {
            "time": _local(attempt.completed_at),
            "method": method_text(attempt.payment_method),
            "amount": attempt.amount,
        }
        yield _gone_back(story, attempt)


def _gone_back(story: Story, attempt: PaymentTransaction) -> str:
    last = next((one for one in reversed(story.refunds) if one.transaction_id == attempt.pk), None)
    sentence = GONE_BACK.get(last.status) if last is not None else None
    if last is None or sentence is None:
        return _("还没有退回。")
    if last.status == RefundStatus.FAILED and not is_retryable(last):
        sentence = HANDLED
    return str(sentence) % {"time": _local(last.completed_at), "number": last.refund_no}


SURPLUS_TEXTS: Mapping[Disposition, Promise] = {
    Disposition.LATE: gettext_lazy(
        "订单结束后，于 %(time)s 又收到%(method)s %(amount)s 元，没有用于订单："
    ),
    Disposition.SECOND: gettext_lazy(
        "另于 %(time)s 重复收到%(method)s %(amount)s 元，没有用于订单："
    ),
}
HANDLED = gettext_lazy(
    "退款 %(number)s 没有由网关退出；差错已核销或正在申请核销：视为已另行退还，不会重试。"
)
GONE_BACK: Mapping[str, Promise] = {
    RefundStatus.SUCCESS: gettext_lazy("已于 %(time)s 原路退回付款人（%(number)s）。"),
    RefundStatus.PROCESSING: gettext_lazy("正在原路退回付款人（%(number)s）。"),
    RefundStatus.FAILED: gettext_lazy("退回失败，钱还没有退（%(number)s）。"),
}


# --- what happens next --------------------------------------------------------------------------


def _next_steps(story: Story) -> Iterator[str]:
    if story.order.status == OrderStatus.PENDING:
        yield _("到 %(time)s 未支付会自动过期。") % {"time": _local(story.order.expire_time)}
    for attempt in story.payments:
        yield from _next_of_attempt(attempt)
    for refund in story.refunds:
        if refund.status in REFUND_NEXT:
            yield _next_of_refund(refund)
    waiting = sum(case.closed_at is None for case in story.cases)
    if waiting:
        yield _("有 %(number)d 项差错等待财务在“差错”中处理。") % {"number": waiting}


def _next_of_attempt(attempt: PaymentTransaction) -> Iterator[str]:
    names = {"number": attempt.out_trade_no, "method": method_text(attempt.payment_method)}
    if attempt.status == TransactionStatus.PENDING and attempt.next_check_at is not None:
        names["time"] = _local(attempt.next_check_at)
        if attempt.is_close_owed:
            yield _("系统会在 %(time)s 再次到%(method)s关闭 %(number)s。") % names
        else:
            yield _("系统会在 %(time)s 向%(method)s查询 %(number)s 的结果。") % names
    is_kept = attempt.refund_reserved < attempt.amount
    is_surplus = attempt.disposition in SURPLUS_DISPOSITIONS
    if is_surplus and is_kept and not surplus_written_off(attempt).exists():
        if settings.LATE_PAYMENT_POLICY == "refund":
            yield _("%(method)s多收的 %(number)s 会自动原路退回。") % names
        else:
            yield _("%(method)s多收的 %(number)s 按设置留给财务处理：请在“差错”中退回。") % names


REFUND_NEXT: Mapping[str, Promise] = {
    RefundStatus.PENDING: gettext_lazy(
        "退款 %(number)s（%(amount)s 元）等待审核，还需 %(left)d 人批准。"
    ),
    RefundStatus.PROCESSING: gettext_lazy(
        "退款 %(number)s 网关处理中，系统会在 %(time)s 查询结果。"
    ),
    RefundStatus.FAILED: gettext_lazy(
        "退款 %(number)s 失败：%(reason)s。处理后请在退款页面重试，单号不变。"
    ),
}


def _next_of_refund(refund: Refund) -> str:
    is_handled = refund.status == RefundStatus.FAILED and not is_retryable(refund)
    sentence = HANDLED if is_handled else REFUND_NEXT[refund.status]
    return str(sentence) % {
        "number": refund.refund_no,
        "amount": refund.refund_amount,
        "left": refund.approvals_needed,
        "time": _local(refund.next_check_at),
        "reason": refund.error_message or refund.error_code or _("网关未说明原因"),
    }


def _local(moment: datetime | None) -> str:
    """``moment`` in Asia/Shanghai, to the minute."""
    return f"{moment.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}" if moment else _("稍后")
