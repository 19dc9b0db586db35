"""Orders that change together change as each alone would: from their own state, each told of."""

import pytest
from django.db.transaction import atomic

from payments.models import PaymentOrder
from payments.services.orders import orders_transition
from payments.states import OrderStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.transitions import Cause
from tcmpay.common.actor import SYSTEM
from tcmpay.common.transitions import IllegalTransition, LostUpdate
from tests.guards.conftest import Stage

CAUSE = Cause(actor=SYSTEM, action="order_expired", reason="late")


def expire(*orders: PaymentOrder) -> None:
    with atomic():
        orders_transition(orders, OrderStatus.EXPIRED, CAUSE)


def states(*orders: PaymentOrder) -> list[str]:
    return [PaymentOrder.objects.get(pk=order.pk).status for order in orders]


def test_each_is_told_of_by_its_own_event(stage: Stage):
    orders = [stage.another_order() for _order in range(3)]
    expire(*orders)
    assert states(*orders) == ["expired"] * 3
    for order in orders:
        newest = AuditEvent.objects.filter(object_id=str(order.pk)).order_by("-version").first()
        assert newest is not None
        told = (newest.version, newest.from_state, newest.to_state, newest.reason)
        assert told == (2, "pending", "expired", "late")


def test_one_that_may_not_change_so_stops_all(stage: Stage):
    order = stage.another_order()
    with pytest.raises(IllegalTransition):
        expire(order, stage.order)
    assert states(order, stage.order) == ["pending", "paid"]


def test_one_that_changed_meanwhile_stops_all(stage: Stage):
    orders = [stage.another_order() for _order in range(2)]
    PaymentOrder.objects.filter(pk=orders[0].pk).update(status="cancelled")
    with pytest.raises(LostUpdate):
        expire(*orders)
    assert states(*orders) == ["cancelled", "pending"]
