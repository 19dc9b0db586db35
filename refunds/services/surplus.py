"""Money that came late or twice: it goes back by itself (LATE_PAYMENT_POLICY=refund), or by staff.

Under ``hold`` it stays until a person gives it back with ``surplus_return``.
"""

import logging
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from payments.given_back import written_off
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.selectors import surplus_payments
from payments.services.exceptions import locked_first
from payments.services.orders import order_lock
from payments.services.refund_money import payment_lock, refund_reserve
from payments.services.settlement import SURPLUS_KINDS
from payments.states import SURPLUS_DISPOSITIONS, Disposition, TransactionStatus
from refunds.errors import NoSurplus, PaymentNotFound, SelfReview, SurplusRefundExists
from refunds.models import Refund
from refunds.services.requests import refund_insert
from refunds.services.states import refund_transition
from refunds.services.submission import refund_send_to_gateway
from refunds.states import SURPLUS_CAUSES, RefundCause, RefundStatus
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.db import money_unit
from tcmpay.common.second_person import ensure_not_one_of
from tcmpay.common.sweep import by_itself, in_turns

logger = logging.getLogger(__name__)

SWEEP_BATCH = 100
CAUSES = {
    Disposition.LATE: RefundCause.LATE_PAYMENT,
    Disposition.SECOND: RefundCause.SECOND_PAYMENT,
}


def surplus_sweep() -> int:
    """Begin the refund of every surplus payment; returns how many were begun."""
    if settings.LATE_PAYMENT_POLICY != "refund":
        return 0
    begun = 0
    untried = surplus_payments().exclude(refunds__cause__in=SURPLUS_CAUSES)
    untried = untried.exclude(exceptions__in=written_off(*SURPLUS_KINDS.values()))
    ids = in_turns(untried, of="order__user_id", by=("initiated_at",), count=SWEEP_BATCH)
    for payment in PaymentTransaction.objects.filter(id__in=ids).only("id", "order_id"):
        with by_itself(logger, "surplus_refund_failed", payment=str(payment.id)):
            refund = surplus_refund_begin(payment.id, payment.order_id)
            if refund is not None:
                refund_send_to_gateway(refund.id)
                begun += 1
    return begun


@money_unit
def surplus_refund_begin(transaction_id: UUID, order_id: UUID) -> Refund | None:
    """A processing refund of all that is left of a surplus payment; None when it is held already.

    Nor is one begun of what was written off. Needs no review: the money was never ours. A request
    that failed before is retried by staff.
    """
    order = order_lock(order_id)
    payment = payment_lock(transaction_id)
    if payment.refund_reserved >= payment.amount or _was_tried(payment):
        return None
    if _is_written_off(payment):
        return None
    return _begin(order, payment, actor=SYSTEM, reason=_("自动退回：订单未因这笔款项而成交"))


def surplus_return(*, actor: Actor, transaction_id: UUID, reason: str) -> Refund:
    """Staff give back all that is left of money that came late or twice; returns the refund.

    It is processing when this returns: one person's word with a ``reason`` is enough, since the
    money was never ours. Whether ``actor`` may do so is the caller's to check. A refund of it
    that failed is not begun anew but retried (``refund_retry``): the gateway must see its number.

    Raises:
        PaymentNotFound: no such payment.
        NoSurplus: it is no surplus, or all of it went back, is on its way or was written off.
        SurplusRefundExists: an earlier refund of it failed; retry that one.
        SelfReview: the money would go to ``actor``.
    """
    refund = _return(actor, transaction_id, reason)
    refund_send_to_gateway(refund.id)
    return refund


@money_unit
def _return(actor: Actor, transaction_id: UUID, reason: str) -> Refund:
    order_id = (
        PaymentTransaction.objects.filter(id=transaction_id)
        .values_list("order_id", flat=True)
        .first()
    )
    if order_id is None:
        raise PaymentNotFound()
    order = order_lock(order_id)
    payment = payment_lock(transaction_id)
    if payment.status != TransactionStatus.SUCCESS:
        raise NoSurplus()
    if payment.disposition not in SURPLUS_DISPOSITIONS:
        raise NoSurplus()
    if payment.refund_reserved >= payment.amount or _is_written_off(payment):
        raise NoSurplus()
    if _was_tried(payment):
        raise SurplusRefundExists()
    ensure_not_one_of(actor, order.user_id, error=SelfReview)
    return _begin(order, payment, actor=actor, reason=reason, is_reviewed=True)


def _begin(
    order: PaymentOrder,
    payment: PaymentTransaction,
    *,
    actor: Actor,
    reason: str,
    is_reviewed: bool = False,
) -> Refund:
    """A processing refund of what is left of the locked payment."""
    left = payment.amount - payment.refund_reserved
    refund_reserve(payment, left)
    cause = CAUSES[Disposition(payment.disposition)]
    refund = refund_insert(
        order=order,
        payment=payment,
        amount=left,
        reason=str(RefundCause(cause).label),
        cause=cause,
        actor=actor,
    )
    refund_transition(
        refund,
        RefundStatus.PROCESSING,
        actor=actor,
        action="refund_approved",
        reason=reason,
        approvals_needed=0,
        next_check_at=clock.now(),
        **(refund.answering(actor, reason) if is_reviewed else {}),
    )
    return refund


def surplus_written_off(payment: PaymentTransaction) -> QuerySet[PaymentException]:
    """The case by which staff say that it went back another way, or is not pursued."""
    return written_off(*SURPLUS_KINDS.values()).filter(transaction=payment)


def _is_written_off(payment: PaymentTransaction) -> bool:
    return locked_first(surplus_written_off(payment)) is not None


def _was_tried(payment: PaymentTransaction) -> bool:
    return Refund.objects.filter(transaction=payment, cause__in=SURPLUS_CAUSES).exists()
