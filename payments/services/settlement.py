"""Applying money: one function, whoever reports it (callback, query, sync, sweeper, balance)."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from gateways.interface import TradeReport, TradeState
from payments.booking import Booking, booking_of
from payments.channels import is_of_another_merchant
from payments.metrics import payment_timed
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.exceptions import exception_open
from payments.services.orders import order_lock, order_transition
from payments.services.topups import topup_credit, topup_refusal
from payments.states import (
    TRANSACTION_TRANSITIONS,
    Disposition,
    ExceptionKind,
    OrderStatus,
    TransactionStatus,
    TransactionType,
    Verdict,
)
from tcmpay.audit.transitions import Cause, row_change, transition
from tcmpay.common import clock
from tcmpay.common.actor import Actor, gateway_actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import CURRENCY
from tcmpay.common.order_types import OrderType

VERDICT_OF_DISPOSITION = {
    Disposition.APPLIED: Verdict.APPLIED,
    Disposition.LATE: Verdict.LATE,
    Disposition.SECOND: Verdict.SECOND,
}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a report."""

    verdict: Verdict
    transaction: PaymentTransaction | None = None
    reason: str = ""


def transaction_transition(
    attempt: PaymentTransaction,
    to_state: TransactionStatus,
    *,
    actor: Actor,
    action: str,
    reason: str = "",
    booking: Booking | None = None,
    **changes: Any,
) -> None:
    """Move an attempt of a locked order: the only code that assigns a transaction's status.

    It is completed now, unless ``booking`` says when its money moved.
    """
    details = booking.told if booking else None
    cause = Cause(actor=actor, action=action, reason=reason, details=details)
    changes |= {"next_check_at": None, **_completion(booking)}
    transition(attempt, to_state, table=TRANSACTION_TRANSITIONS, cause=cause, **changes)


def transaction_note(
    attempt: PaymentTransaction, *, actor: Actor, action: str, reason: str = "", **changes: Any
) -> None:
    """Keep what a gateway said about a locked attempt; its state stays. Told again, nothing."""
    if all(getattr(attempt, name) == value for name, value in changes.items()):
        return
    row_change(attempt, Cause(actor=actor, action=action, reason=reason), **changes)


def _completion(booking: Booking | None) -> dict[str, Any]:
    if booking is None:
        return {"completed_at": clock.now()}
    return {"completed_at": booking.moved_at, "booked_at": booking.booked_at}


@money_unit
def trade_report_apply(*, method: str, report: TradeReport, is_mock: bool = False) -> Settlement:
    """Apply a verified report in a unit of its own."""
    return settle(method=method, report=report, is_mock=is_mock)


def settle(*, method: str, report: TradeReport, is_mock: bool = False) -> Settlement:
    """Apply a verified report about a payment; inside the caller's unit.

    A payment is applied if and only if its order is pending. Money that came for an ended or a
    paid order is recorded as success, not applied, and marked to be given back. Told twice,
    nothing changes the second time.
    """
    attempt = PaymentTransaction.objects.filter(
        payment_method=method,
        out_trade_no=report.out_trade_no,
        transaction_type=TransactionType.PAYMENT,
    ).first()
    if attempt is None:
        return _settle_unknown(method, report)
    order = order_lock(attempt.order_id)
    attempt = PaymentTransaction.objects.select_for_update().get(id=attempt.id)
    if report.state not in {TradeState.PAID, TradeState.CLOSED}:
        return Settlement(Verdict.NOT_PAID, attempt)
    if is_of_another_merchant(attempt, app_id=report.app_id, merchant_id=report.merchant_id):
        return _hold(ExceptionKind.MISMATCH, attempt, report, _("通知属于另一个商户号或应用"))
    if report.state is TradeState.CLOSED:
        return _settle_closed(attempt, report)
    settlement = _settle_paid(order, attempt, report, is_mock)
    _tell_of_refunds(attempt, report)
    return settlement


def _settle_unknown(method: str, report: TradeReport) -> Settlement:
    reason = _("没有这个商户订单号")
    if report.state is TradeState.PAID:
        exception_open(
            ExceptionKind.UNKNOWN_ORDER,
            method=method,
            fact=f"{report.out_trade_no}:{report.transaction_id}",
            out_trade_no=report.out_trade_no,
            external_transaction_id=report.transaction_id,
            amount=report.amount,
            reason=reason,
        )
    return Settlement(Verdict.UNKNOWN_ORDER, reason=reason)


def _hold(
    kind: ExceptionKind, attempt: PaymentTransaction, report: TradeReport, reason: str
) -> Settlement:
    """Money that a gateway reports but that can't be ours as it stands: staff decide."""
    exception_open(
        kind,
        method=attempt.payment_method,
        fact=f"{attempt.out_trade_no}:{report.transaction_id}:{report.amount}",
        attempt=attempt,
        out_trade_no=report.out_trade_no,
        external_transaction_id=report.transaction_id,
        amount=report.amount,
        reason=reason,
    )
    return Settlement(Verdict(kind), attempt, reason)


def _settle_paid(
    order: PaymentOrder, attempt: PaymentTransaction, report: TradeReport, is_mock: bool
) -> Settlement:
    # The gateway's number, unique per method; a mock's is ours, since people reuse theirs.
    external_id = f"MOCK-{attempt.out_trade_no}" if is_mock else report.transaction_id
    if problem := _amount_problem(attempt, report):
        return _hold(ExceptionKind.WRONG_AMOUNT, attempt, report, problem)
    if attempt.status == TransactionStatus.SUCCESS:
        if attempt.external_transaction_id != external_id and not is_mock:
            return _hold(ExceptionKind.MISMATCH, attempt, report, _("网关交易号与已入账的不一致"))
        return Settlement(Verdict.REPEAT, attempt)
    if _is_taken(attempt, external_id):
        return _hold(ExceptionKind.MISMATCH, attempt, report, _("网关交易号已属于另一笔流水"))
    booking = booking_of(order, report.paid_at)
    if order.order_type == OrderType.TOPUP and order.status == OrderStatus.PENDING:
        _cancel_if_uncreditable(order, attempt, booking)
    disposition = _disposition(order)
    is_applied = disposition is Disposition.APPLIED
    transaction_transition(
        attempt,
        TransactionStatus.SUCCESS,
        actor=gateway_actor(attempt.payment_method),
        action=f"payment_{disposition}",
        booking=booking,
        external_transaction_id=external_id,
        trade_no=report.transaction_id,
        callback_data=dict(report.raw),
        disposition=disposition,
        applied_order_id=order.id if is_applied else None,
        is_mock=attempt.is_mock or is_mock,
        is_close_owed=False,
        error_code=None,
        error_message=None,
    )
    if is_applied:
        mark_paid(order, attempt, booking, actor=gateway_actor(attempt.payment_method))
    else:
        _report_surplus(attempt, report)
    return Settlement(VERDICT_OF_DISPOSITION[disposition], attempt)


def _cancel_if_uncreditable(
    order: PaymentOrder, attempt: PaymentTransaction, booking: Booking
) -> None:
    """A top-up that its balance can't take ends unpaid, so that its money is late and goes back."""
    refusal = topup_refusal(order)
    if refusal is None:
        return
    cause = Cause(
        actor=gateway_actor(attempt.payment_method),
        action="order_cancelled",
        reason=_("无法入账，款项退回：%(reason)s") % {"reason": refusal.text},
        details={"code": refusal.code},
    )
    order_transition(order, OrderStatus.CANCELLED, cause)
    others_owe_close(order, attempt, booking)


SURPLUS_KINDS = {
    Disposition.LATE: ExceptionKind.LATE_PAYMENT,
    Disposition.SECOND: ExceptionKind.SECOND_PAYMENT,
}


def _report_surplus(attempt: PaymentTransaction, report: TradeReport) -> None:
    kind = SURPLUS_KINDS[Disposition(attempt.disposition)]
    exception_open(
        kind,
        method=attempt.payment_method,
        fact=str(attempt.id),
        attempt=attempt,
        out_trade_no=report.out_trade_no,
        external_transaction_id=report.transaction_id,
        amount=attempt.amount,
        reason=str(kind.label),
    )


def mark_paid(
    order: PaymentOrder, attempt: PaymentTransaction, booking: Booking, *, actor: Actor
) -> None:
    """The order's side of an applied payment."""
    changes = paid_changes(attempt, booking)
    cause = paid_cause(attempt, booking, actor)
    told = order_transition(order, changes.pop("status"), cause, **changes)
    others_owe_close(order, attempt, booking)
    if order.order_type == OrderType.TOPUP:
        topup_credit(order, told, actor)
    payment_timed(attempt, booking)


def paid_changes(attempt: PaymentTransaction, booking: Booking) -> dict[str, Any]:
    """What an applied payment changes of its order."""
    return {
        "status": OrderStatus.PAID,
        "payment_method": attempt.payment_method,
        "payment_time": booking.moved_at,
        "paid_on": booking.day,
        "booked_at": booking.booked_at,
        "updated_at": booking.booked_at,
    }


def paid_cause(attempt: PaymentTransaction, booking: Booking, actor: Actor) -> Cause:
    """What the order's trail tells of an applied payment."""
    details = {
        "transaction_no": attempt.transaction_no,
        "payment_method": attempt.payment_method,
        "is_mock": attempt.is_mock,
        **booking.told,
    }
    return Cause(actor=actor, action="order_paid", details=details)


def others_owe_close(order: PaymentOrder, paid: PaymentTransaction, booking: Booking) -> None:
    """Other attempts of a paid order may still be payable at their gateways: close them soon."""
    others = PaymentTransaction.objects.pending().filter(order_id=order.id).exclude(id=paid.id)
    others.update(is_close_owed=True, next_check_at=booking.booked_at)


def _tell_of_refunds(attempt: PaymentTransaction, report: TradeReport) -> None:
    """The gateway gave money of this trade back that no refund of ours did: staff look into it."""
    if not report.has_refunds or _is_explained(attempt, report):
        return
    exception_open(
        ExceptionKind.UNBOOKED_REFUND,
        method=attempt.payment_method,
        fact=str(attempt.id),
        attempt=attempt,
        out_trade_no=report.out_trade_no,
        external_transaction_id=report.transaction_id,
        reason=_("网关说这笔交易有过退款，我们没有它的退款记录"),
    )


def _is_explained(attempt: PaymentTransaction, report: TradeReport) -> bool:
    """Alipay's trade is closed once all of it went back; WeChat's goes on saying that it was once
    asked for a refund, also when that one failed."""
    if not report.is_refundable:
        return attempt.refund_reserved >= attempt.amount
    asked_for = PaymentTransaction.objects.filter(
        order_id=attempt.order_id,
        transaction_type=TransactionType.REFUND,
        trade_no=attempt.trade_no,
    )
    return attempt.refund_reserved > 0 or asked_for.exists()


def _settle_closed(attempt: PaymentTransaction, report: TradeReport) -> Settlement:
    if attempt.status == TransactionStatus.SUCCESS and attempt.refund_reserved < attempt.amount:
        return _hold(ExceptionKind.MISMATCH, attempt, report, _("已入账，网关却说未付款并已关闭"))
    if attempt.status == TransactionStatus.PENDING:
        attempt_fail(attempt, code="CLOSED", message=_("交易已在网关关闭，未支付"))
    return Settlement(Verdict.CLOSED, attempt)


def attempt_fail(attempt: PaymentTransaction, *, code: str, message: str) -> None:
    """End a pending attempt that was not paid."""
    transaction_transition(
        attempt,
        TransactionStatus.FAILED,
        actor=gateway_actor(attempt.payment_method),
        action="payment_failed",
        reason=message,
        error_code=code[:64],
        error_message=message[:500],
        is_close_owed=False,
    )


def _disposition(order: PaymentOrder) -> Disposition:
    if order.status == OrderStatus.PENDING:
        return Disposition.APPLIED
    if order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED}:
        return Disposition.LATE
    return Disposition.SECOND


def _amount_problem(attempt: PaymentTransaction, report: TradeReport) -> str:
    if report.currency != CURRENCY:
        return _("币种不是人民币：%(currency)s") % {"currency": report.currency[:8]}
    if report.amount != attempt.amount:
        return _("应付 %(due)s 元，网关报告 %(paid)s 元") % {
            "due": attempt.amount,
            "paid": report.amount,
        }
    return ""


def _is_taken(attempt: PaymentTransaction, external_id: str) -> bool:
    return (
        PaymentTransaction.objects.filter(
            payment_method=attempt.payment_method, external_transaction_id=external_id
        )
        .exclude(id=attempt.id)
        .exists()
    )
