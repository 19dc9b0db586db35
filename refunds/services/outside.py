"""Refunds that were made in the merchant console: recorded, so that we can't give them again."""

from django.utils.translation import gettext as _

from gateways.interface import RefundReport
from payments.booking import booking_of
from payments.models import PaymentCallback, PaymentTransaction
from payments.services.callbacks import refund_notice_lock
from payments.services.exceptions import exception_open, exception_settle
from payments.services.orders import order_lock
from payments.services.refund_money import (
    RefundExceedsPayment,
    payment_lock,
    refund_reserve,
    refund_transaction_insert,
)
from payments.states import ExceptionKind
from refunds.models import Refund
from refunds.selectors import refunded_total
from refunds.services.give_back import give_back_hold, is_short_for_give_back
from refunds.services.requests import refund_insert
from refunds.services.states import LockedRefund, refund_transition
from refunds.services.submission import refund_finish
from refunds.states import RefundCause, RefundStatus
from tcmpay.common.actor import gateway_actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import Money


def outside_refund(payment: PaymentTransaction, report: RefundReport) -> Refund | None:
    """This console refund among the payment's refunds, if it is recorded already."""
    known = Refund.objects.filter(transaction=payment, cause=RefundCause.OUTSIDE)
    return next((refund for refund in known if _number(refund) == report.out_refund_no), None)


def _number(refund: Refund) -> str:
    return str((refund.refund_response or {}).get("out_refund_no", ""))


@money_unit
def outside_refund_record(
    payment: PaymentTransaction,
    report: RefundReport,
    amount: Money,
    notice: PaymentCallback | None = None,
) -> bool:
    """Book a refund of ``amount`` (yuan) that the gateway says is done, with a case for staff.

    ``notice`` is where it says so, if it wasn't asked.

    False when a request of ours holds what went back already: the gateway will refuse that one,
    or staff decide about it, and then there is room. False, too, while it is no longer on the
    balance that it has to be taken off. What went back beyond the payment itself
    never finds any: the open case is all that can be said. Raises NoticeGone.
    """
    order = order_lock(payment.order_id)
    payment = payment_lock(payment.id)
    if notice is not None:
        refund_notice_lock(notice)
    actor = gateway_actor(payment.payment_method)
    if outside_refund(payment, report) is not None:
        return True
    exception_open(
        ExceptionKind.OUTSIDE_REFUND,
        method=payment.payment_method,
        fact=f"{payment.out_trade_no}:{report.out_refund_no}",
        attempt=payment,
        out_trade_no=payment.out_trade_no or "",
        external_transaction_id=payment.trade_no or "",
        amount=amount,
        reason=_("商户平台退款 %(number)s") % {"number": report.out_refund_no[:64]},
    )
    if is_short_for_give_back(order, payment, amount):
        return False
    try:
        refund_reserve(payment, amount)
    except RefundExceedsPayment:
        return refunded_total(payment.id) + amount > payment.amount
    refund = refund_insert(
        order=order,
        payment=payment,
        amount=amount,
        reason=_("商户平台直接退款"),
        cause=RefundCause.OUTSIDE,
        actor=actor,
    )
    locked = LockedRefund(order, payment, refund)
    give_back_hold(locked, actor)
    refund_transition(
        refund,
        RefundStatus.PROCESSING,
        actor=actor,
        action="refund_outside",
        approvals_needed=0,
    )
    money_back = refund_transaction_insert(
        payment=payment, refund_id=refund.id, amount=amount, actor=actor
    )
    refund_finish(
        locked,
        money_back,
        booking_of(order, report.completed_at),
        actor=actor,
        external_id=report.refund_id,
        response=dict(report.raw),
    )
    exception_settle(
        (ExceptionKind.UNBOOKED_REFUND, payment.id),
        method=payment.payment_method,
        resolution=_("已记入商户平台退款 %(number)s") % {"number": refund.refund_no},
        actor=actor,
    )
    return True
