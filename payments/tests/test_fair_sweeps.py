"""One payer's many rows never hold up the others."""

from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from gateways.errors import GatewayUnknown
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.models import PaymentOrder, PaymentTransaction
from payments.services import endings, sweeping
from payments.services.attempts import PayCommand, pay
from payments.services.endings import orders_expire
from payments.services.sweeping import attempts_sweep
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tests.clinic import new_order, patient

MANY = 12
BATCH = 4


@pytest.fixture(autouse=True)
def _small_batches(db, settings, monkeypatch):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    monkeypatch.setattr(sweeping, "SWEEP_BATCH", BATCH)
    monkeypatch.setattr(endings, "EXPIRE_BATCH", BATCH)


def begun(owner: Actor, count: int) -> list[PaymentOrder]:
    orders = [new_order(owner) for _ in range(count)]
    for order in orders:
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    return orders


@pytest.fixture
def crowd() -> SimpleNamespace:
    """One payer with many orders, all due before anybody else's, and one each of three others."""
    greedy = begun(patient(), MANY)
    others = [begun(patient(), 1)[0] for _ in range(BATCH - 1)]
    early = clock.now() - timedelta(hours=1)
    PaymentTransaction.objects.filter(order__in=greedy).update(next_check_at=early)
    return SimpleNamespace(greedy=greedy, others=others)


def test_everybody_is_asked_about_before_anybody_twice(crowd, monkeypatch):
    asked = []

    def query(_self, number):
        asked.append(number)
        return TradeReport(number, TradeState.UNPAID)

    monkeypatch.setattr(MockGateway, "query_payment", query)
    with clock.frozen(clock.now() + timedelta(minutes=2)):
        assert attempts_sweep() == BATCH
    assert {order.order_no for order in crowd.others} <= set(asked)
    assert len({order.order_no for order in crowd.greedy} & set(asked)) == 1


def test_everybody_expires_before_anybody_twice(crowd):
    earlier = clock.now() - timedelta(hours=3)
    PaymentOrder.objects.filter(id__in=[order.id for order in crowd.greedy]).update(
        expire_time=earlier
    )
    with clock.frozen(clock.now() + timedelta(hours=2, minutes=1)):
        assert orders_expire().expired == BATCH
    left = PaymentOrder.objects.filter(status="pending")
    assert {order.id for order in left} <= {order.id for order in crowd.greedy}
    assert left.count() == MANY - 1


def test_all_of_them_get_their_turn(crowd):
    with clock.frozen(clock.now() + timedelta(minutes=2)):
        rounds = 0
        while attempts_sweep():
            rounds += 1
    assert rounds == -(-(MANY + BATCH - 1) // BATCH)


def test_orders_that_a_slow_gateway_holds_up_are_not_tried_before_the_others_again(monkeypatch):
    orders = [begun(patient(), 1)[0] for _ in range(3)]
    asked = []

    def query(_self, number):
        asked.append(number)
        raise GatewayUnknown("slow")

    monkeypatch.setattr(MockGateway, "query_payment", query)
    due = clock.now() + timedelta(hours=2)
    slow = count(step=endings.RUN_SECONDS * 0.9)
    monkeypatch.setattr("tcmpay.common.sweep.time.monotonic", lambda: next(slow))
    for seconds in (0, 20, 40):
        with clock.frozen(due + timedelta(seconds=seconds)):
            assert orders_expire().waiting == 1
    assert asked == [order.order_no for order in orders]
