"""What the platform is told of refunds: one table of states, one shape."""

from collections.abc import Mapping
from typing import Any

from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.common.money import format_money
from webhooks.outbox import event_announce
from webhooks.states import EventType

REFUND = "refund"
WITHDRAWN = "refund_withdrawn"
# That a refund was approved, or sent again, is on its way to one of these: nothing to tell of.
REFUND_EVENTS: Mapping[str, EventType | None] = {
    RefundStatus.PENDING: EventType.REFUND_REQUESTED,
    RefundStatus.PROCESSING: None,
    RefundStatus.SUCCESS: EventType.REFUND_SUCCEEDED,
    RefundStatus.FAILED: EventType.REFUND_FAILED,
    RefundStatus.CANCELLED: EventType.REFUND_REJECTED,
}


def refund_announce(refund: Refund, told: AuditEvent) -> None:
    """The refund's state as it is in hand. A request that was taken back is ``cancelled`` as a
    rejected one is, and its event says so."""
    event = REFUND_EVENTS[refund.status]
    if event is not None:
        event_announce(told, type=event, object_type=REFUND, data=refund_data(refund, told))


def refund_data(refund: Refund, told: AuditEvent) -> dict[str, Any]:
    data: dict[str, Any] = {
        "refund_no": refund.refund_no,
        "order_id": str(refund.order_id),
        "user_id": str(refund.user_id),
        "refund_amount": format_money(refund.refund_amount),
        "status": str(refund.status),
    }
    if refund.status == RefundStatus.CANCELLED:
        data["is_withdrawn"] = told.action == WITHDRAWN
    return data
