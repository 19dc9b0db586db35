"""Money that came late or twice goes back by itself (LATE_PAYMENT_POLICY=refund)."""

import logging
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from payments.models import PaymentTransaction
from payments.selectors import surplus_payments
from payments.services.orders import order_lock
from payments.services.refund_money import payment_lock, refund_reserve
from payments.states import Disposition
from refunds.models import Refund
from refunds.services.requests import refund_insert
from refunds.services.states import refund_transition
from refunds.services.submission import refund_send_to_gateway
from refunds.states import SURPLUS_CAUSES, RefundCause, RefundStatus
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

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
    for payment in untried[:SWEEP_BATCH]:
        try:
            refund = surplus_refund_begin(payment.id, payment.order_id)
        except Exception:
            # One broken payment must not hold up the others; its row stays due.
            logger.exception("surplus_refund_failed", extra={"payment": str(payment.id)})
            continue
        if refund is not None:
            refund_send_to_gateway(refund.id)
            begun += 1
    return begun


@money_unit
def surplus_refund_begin(transaction_id: UUID, order_id: UUID) -> Refund | None:
    """A processing refund of all that is left of a surplus payment; None when it is held already.

    Needs no review: the money was never ours. A request that failed before is retried by staff.
    """
    order = order_lock(order_id)
    payment = payment_lock(transaction_id)
    left = payment.amount - payment.refund_reserved
    if left <= 0 or _was_tried(payment):
        return None
    refund_reserve(payment, left)
    cause = CAUSES[Disposition(payment.disposition)]
    refund = refund_insert(
        order=order,
        payment=payment,
        amount=left,
        reason=str(RefundCause(cause).label),
        cause=cause,
        actor=SYSTEM,
    )
    refund_transition(
        refund,
        RefundStatus.PROCESSING,
        actor=SYSTEM,
        action="refund_approved",
        reason=_("自动退回：订单未因这笔款项而成交"),
        approvals_needed=0,
        next_check_at=clock.now(),
    )
    return refund


def _was_tried(payment: PaymentTransaction) -> bool:
    return Refund.objects.filter(transaction=payment, cause__in=SURPLUS_CAUSES).exists()
