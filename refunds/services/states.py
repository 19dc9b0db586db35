"""The functions that change a refund: one of them its state."""

from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Subquery

from gateways.interface import RefundReport
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.refund_money import payment_lock
from refunds.errors import RefundNotFound
from refunds.events import refund_announce
from refunds.models import Refund
from refunds.states import REFUND_TRANSITIONS, RefundStatus
from tcmpay.audit.transitions import Cause, row_change, transition
from tcmpay.common import clock
from tcmpay.common.actor import Actor


class LockedRefund(NamedTuple):
    """A refund with its order and payment, locked in that order and freshly read."""

    order: PaymentOrder
    payment: PaymentTransaction
    refund: Refund


def refund_lock(refund_id: UUID) -> LockedRefund:
    """Raises RefundNotFound."""
    refunds = Refund.objects.filter(id=refund_id)
    # Whose refund it is never changes, so that it needs no lock to be read.
    order_id = Subquery(refunds.order_by().values("order_id"))
    order = PaymentOrder.objects.select_for_update().filter(id=order_id).first()
    if order is None:
        raise RefundNotFound()
    payment = payment_lock(Subquery(refunds.order_by().values("transaction_id")))
    return LockedRefund(order, payment, refunds.select_for_update().get())


def refund_transition(
    refund: Refund,
    to_state: RefundStatus,
    *,
    actor: Actor,
    action: str,
    reason: str = "",
    details: dict[str, Any] | None = None,
    **changes: Any,
) -> None:
    """Move the locked refund to ``to_state``: the only code that assigns a refund's status.

    Raises IllegalTransition.
    """
    changes["updated_at"] = clock.now()
    cause = Cause(actor=actor, action=action, reason=reason, details=details)
    told = transition(refund, to_state, table=REFUND_TRANSITIONS, cause=cause, **changes)
    refund_announce(refund, told)


def refund_change(refund: Refund, cause: Cause, **changes: Any) -> None:
    """Write ``changes`` to the locked refund, whose state stays. Raises LostUpdate."""
    row_change(refund, cause, updated_at=clock.now(), **changes)


def with_acceptance(refund: Refund, report: RefundReport) -> dict[str, object]:
    """What the gateway said, with the moment of acceptance that its notices leave out: WeChat
    Pay's bill has a refund on that day."""
    accepted_at = (refund.refund_response or {}).get("create_time")
    return {**({"create_time": accepted_at} if accepted_at else {}), **report.raw}
