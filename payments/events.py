"""What the platform is told of orders and cases: one table of states, one shape each."""

from collections.abc import Mapping
from typing import Any

from payments.models import PaymentException, PaymentOrder
from payments.states import OrderStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.common.money import Money, format_money
from webhooks.outbox import event_announce
from webhooks.states import EventType

ORDER, TOPUP, CASE = "order", "topup", "case"
# Every state of an order is told: the table is whole, or the order's unit fails.
ORDER_EVENTS: Mapping[str, EventType] = {
    OrderStatus.PENDING: EventType.ORDER_CREATED,
    OrderStatus.PAID: EventType.ORDER_PAID,
    OrderStatus.CANCELLED: EventType.ORDER_CANCELLED,
    OrderStatus.EXPIRED: EventType.ORDER_EXPIRED,
    OrderStatus.PARTIAL_REFUNDED: EventType.ORDER_REFUNDED,
    OrderStatus.REFUNDED: EventType.ORDER_REFUNDED,
}


def order_announce(
    order: PaymentOrder, told: AuditEvent, *, refunded_total: Money | None = None
) -> None:
    """The order's state as it is in hand; ``refunded_total`` (yuan) of its applied payment."""
    data = order_data(order, refunded_total=refunded_total)
    event_announce(told, type=ORDER_EVENTS[order.status], object_type=ORDER, data=data)


def order_data(order: PaymentOrder, *, refunded_total: Money | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "order_no": order.order_no,
        "user_id": str(order.user_id),
        "appointment_id": str(order.appointment_id) if order.appointment_id else None,
        "order_type": str(order.order_type),
        "amount": format_money(order.amount),
        "currency": order.currency,
        "status": str(order.status),
        "payment_method": str(order.payment_method) if order.payment_method else None,
    }
    if refunded_total is not None:
        data["refunded_amount"] = format_money(refunded_total)
    return data


def topup_announce(order: PaymentOrder, told: AuditEvent) -> None:
    """The top-up's money is on the balance; ``told`` is that its order was paid."""
    data = topup_data(order)
    event_announce(told, type=EventType.TOPUP_SUCCEEDED, object_type=TOPUP, data=data)


def topup_data(order: PaymentOrder) -> dict[str, Any]:
    return {
        "order_id": str(order.id),
        "order_no": order.order_no,
        "user_id": str(order.user_id),
        "amount": format_money(order.amount),
        "currency": order.currency,
        "status": "succeeded",
    }


def case_announce(case: PaymentException, told: AuditEvent) -> None:
    """A new case; what it says in words stays inside."""
    event_announce(told, type=EventType.CASE_OPENED, object_type=CASE, data=case_data(case))


def case_data(case: PaymentException) -> dict[str, Any]:
    return {
        "kind": str(case.kind),
        "status": "open",
        "payment_method": str(case.payment_method),
        "order_id": str(case.order_id) if case.order_id else None,
        "out_trade_no": case.out_trade_no,
        "amount": None if case.amount is None else format_money(case.amount),
    }
