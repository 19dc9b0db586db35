"""The functions that change a refund: one of them its state."""

from typing import Any
from uuid import UUID

from payments.models import PaymentOrder, PaymentTransaction
from payments.services.orders import order_lock
from payments.services.refund_money import payment_lock
from refunds.errors import RefundNotFound
from refunds.models import Refund
from refunds.states import REFUND_TRANSITIONS, RefundStatus
from tcmpay.audit.transitions import Cause, row_change, transition
from tcmpay.common import clock
from tcmpay.common.actor import Actor


def refund_lock(refund_id: UUID) -> tuple[PaymentOrder, PaymentTransaction, Refund]:
    """The refund with its order and payment, locked in that order and freshly read.

    Raises RefundNotFound.
    """
    keys = Refund.objects.filter(id=refund_id).values("order_id", "transaction_id").first()
    if keys is None:
        raise RefundNotFound()
    order = order_lock(keys["order_id"])
    payment = payment_lock(keys["transaction_id"])
    return order, payment, Refund.objects.select_for_update().get(id=refund_id)


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
    transition(refund, to_state, table=REFUND_TRANSITIONS, cause=cause, **changes)


def refund_change(refund: Refund, cause: Cause, **changes: Any) -> None:
    """Write ``changes`` to the locked refund, whose state stays. Raises LostUpdate."""
    row_change(refund, cause, updated_at=clock.now(), **changes)
