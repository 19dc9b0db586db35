"""The functions that change a refund: one of them its state."""

from typing import Any
from uuid import UUID

from payments.models import PaymentOrder, PaymentTransaction
from payments.services.orders import order_lock
from payments.services.refund_money import payment_lock
from refunds.errors import RefundNotFound
from refunds.models import Refund
from refunds.states import REFUND_TRANSITIONS, RefundStatus
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.transitions import ensure_allowed, ensure_one

AUDIT_OBJECT = "refund"


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
    from_state = refund.status
    ensure_allowed(
        REFUND_TRANSITIONS, from_state=from_state, to_state=to_state, what=refund.refund_no
    )
    refund_change(refund, status=to_state, **changes)
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=refund.id,
        action=action,
        actor=actor,
        reason=reason,
        from_state=from_state,
        to_state=to_state,
        details=details,
        row=refund,
    )


def refund_change(refund: Refund, **changes: Any) -> None:
    """Write ``changes`` to the locked refund, in the database and in hand; the caller audits them.

    Raises LostUpdate: its state is not the one in hand any more.
    """
    changes["updated_at"] = clock.now()
    updated = Refund.objects.filter(id=refund.id, status=refund.status).update(**changes)
    ensure_one(updated, refund.refund_no)
    for name, value in changes.items():
        setattr(refund, name, value)
