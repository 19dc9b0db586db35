"""From when on an order that nobody paid counts as one that was forgotten."""

from datetime import timedelta

import pytest

from backoffice.ops.figures import _overdue_orders
from payments.models import PaymentOrder
from tcmpay.common import clock
from tests.clinic import new_order, patient

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("minutes", "is_overdue"), [(-1, False), (4.9, False), (5.1, True)])
def test_an_order_is_overdue_five_minutes_past_its_time(minutes, is_overdue):
    order = new_order(patient())
    ended = clock.now() - timedelta(minutes=minutes)
    created = ended - timedelta(hours=1)
    PaymentOrder.objects.filter(id=order.id).update(expire_time=ended, created_at=created)
    assert _overdue_orders().exists() == is_overdue
