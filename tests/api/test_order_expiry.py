"""Orders that nobody pays in time (CONTRACT sections 5 and 6)."""

from datetime import timedelta
from decimal import Decimal
from typing import NoReturn

import pytest
from django.db import OperationalError
from django.db.models import QuerySet

from gateways.errors import GatewayUnknown
from gateways.interface import CloseState, TradeReport, TradeState
from gateways.mock import MockGateway
from payments.models import PaymentOrder, PaymentTransaction
from payments.services import endings
from payments.services.endings import ExpiryReport, orders_expire
from tests.api.kit import nothing_moves


def attempt_of(order) -> PaymentTransaction:
    return PaymentTransaction.objects.get(order_id=order["id"])


@pytest.fixture
def started(story, patient) -> dict:
    """A pending order with an open attempt."""
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    return order


class Line:
    """The way to the gateway, cut and mended by hand."""

    def __init__(self, monkeypatch) -> None:
        self._monkeypatch = monkeypatch

    def cut(self) -> None:
        for call in ("query_payment", "close_payment"):
            self._monkeypatch.setattr(MockGateway, call, self._no_answer)

    def mend(self) -> None:
        self._monkeypatch.undo()

    @staticmethod
    def _no_answer(*arguments) -> NoReturn:
        raise GatewayUnknown("timeout")


@pytest.fixture
def line(monkeypatch) -> Line:
    return Line(monkeypatch)


# --- without an attempt -----------------------------------------------------------------------


def test_it_expires_an_order_at_its_expire_time(story, clock, patient):
    order = story.order(patient)
    clock.advance(hours=2)
    assert orders_expire() == ExpiryReport(expired=1)
    expired = story.reread(order, patient)
    assert expired["status"] == "expired"
    assert expired["updated_at"] == order["expire_time"]
    assert (expired["payment_method"], expired["payment_time"]) == (None, None)


def test_it_leaves_an_order_alone_one_second_before(story, clock, patient):
    order = story.order(patient)
    clock.advance(hours=2, seconds=-1)
    with nothing_moves():
        assert orders_expire() == ExpiryReport()
    assert story.status(order, patient) == "pending"


@pytest.mark.parametrize("minutes", [1, 30])
def test_the_time_is_order_expire_minutes_when_the_order_was_made(
    settings, story, clock, patient, minutes
):
    settings.ORDER_EXPIRE_MINUTES = minutes
    order = story.order(patient)
    settings.ORDER_EXPIRE_MINUTES = 120
    clock.advance(minutes=minutes, seconds=-1)
    orders_expire()
    assert story.status(order, patient) == "pending"
    clock.advance(seconds=1)
    orders_expire()
    assert story.status(order, patient) == "expired"


def test_it_expires_only_what_is_pending(story, clock, rich_patient, admin):
    paid = story.paid_from_balance(rich_patient, "10.00")
    cancelled = story.order(rich_patient)
    story.cancel(cancelled, rich_patient)
    clock.advance(days=30)
    with nothing_moves():
        assert orders_expire() == ExpiryReport()
    assert story.status(paid, rich_patient) == "paid"
    assert story.status(cancelled, rich_patient) == "cancelled"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_it_works_in_batches_until_nothing_is_due(monkeypatch, story, clock, patient, count):
    monkeypatch.setattr(endings, "EXPIRE_BATCH", 2)
    for _ in range(count):
        story.order(patient)
    clock.advance(hours=2)
    late = story.order(patient)  # not due yet
    assert orders_expire() == ExpiryReport(expired=count)
    assert PaymentOrder.objects.filter(status="expired").count() == count
    assert story.status(late, patient) == "pending"
    assert orders_expire() == ExpiryReport()


def test_an_expired_order_never_becomes_paid(api, story, clock, rich_patient):
    order = story.order(rich_patient)
    clock.advance(hours=2)
    orders_expire()
    with nothing_moves():
        body = {"order_id": order["id"], "payment_method": "balance"}
        api.post("pay", body, by=rich_patient).refused(400, "ORDER_EXPIRED")


# --- with an open attempt ---------------------------------------------------------------------


def test_an_open_attempt_is_closed_at_its_gateway_first(story, clock, patient, started):
    clock.advance(hours=2)
    assert orders_expire() == ExpiryReport(expired=1)
    attempt = attempt_of(started)
    assert (attempt.status, attempt.error_code) == ("failed", "CLOSED")
    assert story.status(started, patient) == "expired"


@pytest.mark.parametrize("told_by", ["query", "close"])
def test_paid_wins(monkeypatch, story, clock, patient, started, told_by):
    paid = TradeReport(
        started["order_no"], TradeState.PAID, transaction_id="T1", amount=Decimal("30.00")
    )
    unpaid = TradeReport(started["order_no"], TradeState.UNPAID)
    answers = iter([paid] if told_by == "query" else [unpaid, paid])
    monkeypatch.setattr(MockGateway, "query_payment", lambda self, number: next(answers))
    monkeypatch.setattr(MockGateway, "close_payment", lambda self, number: CloseState.ALREADY_PAID)
    clock.advance(hours=2)
    assert orders_expire() == ExpiryReport(paid=1)
    assert story.status(started, patient) == "paid"


def test_a_gateway_that_does_not_answer_holds_the_expiry_up_for_three_minutes(
    story, clock, patient, started, line
):
    line.cut()
    clock.advance(hours=2)
    with nothing_moves():
        assert orders_expire() == ExpiryReport(waiting=1)
    clock.advance(minutes=3, seconds=-1)
    with nothing_moves():
        assert orders_expire() == ExpiryReport(waiting=1)
    clock.advance(seconds=1)
    assert orders_expire() == ExpiryReport(expired=1)
    assert story.status(started, patient) == "expired"


def test_the_close_stays_owed_and_the_sweeper_pays_it(story, clock, started, line):
    from payments.services.sweeping import attempts_sweep

    line.cut()
    clock.advance(hours=2, minutes=3)
    orders_expire()
    attempt = attempt_of(started)
    assert (attempt.status, attempt.is_close_owed) == ("pending", True)
    assert attempt.next_check_at == clock.now
    assert attempts_sweep() == 1
    assert attempt_of(started).status == "pending"
    line.mend()
    clock.advance(minutes=30)
    assert attempts_sweep() == 1
    attempt = attempt_of(started)
    assert (attempt.status, attempt.is_close_owed) == ("failed", False)


def test_one_gateways_silence_holds_up_no_other_order(story, clock, patient, started, line):
    plain = story.order(patient)
    line.cut()
    clock.advance(hours=2)
    assert orders_expire() == ExpiryReport(expired=1, waiting=1)
    assert story.status(plain, patient) == "expired"


def test_one_order_that_is_locked_holds_up_no_other(monkeypatch, story, clock, patient):
    orders = [story.order(patient) for _order in range(2)]
    for order in orders:
        story.pay(order, patient, "wechat")
    locked = PaymentOrder.objects.filter(id=orders[0]["id"])
    update = QuerySet.update

    def refused(rows, **changes):
        if "expiry_tried_at" in changes and rows.filter(id__in=locked).exists():
            raise OperationalError(1205, "Lock wait timeout exceeded")
        return update(rows, **changes)

    monkeypatch.setattr(QuerySet, "update", refused)
    clock.advance(hours=2)
    assert orders_expire().expired == 1


# --- cancelling while the gateway is silent ---------------------------------------------------


def test_a_cancel_that_the_gateway_can_not_confirm_is_503_and_changes_nothing(
    api, story, patient, started, line
):
    line.cut()
    with nothing_moves():
        answer = api.put(f"orders/{started['id']}/cancel", by=patient)
    answer.refused(503, "GATEWAY_UNAVAILABLE")
    line.mend()
    story.cancel(started, patient)


def test_a_cancel_finds_out_that_the_order_was_paid(monkeypatch, api, story, patient, started):
    paid = TradeReport(
        started["order_no"], TradeState.PAID, transaction_id="T1", amount=Decimal("30.00")
    )
    monkeypatch.setattr(MockGateway, "query_payment", lambda self, number: paid)
    answer = api.put(f"orders/{started['id']}/cancel", by=patient)
    answer.refused(400, "ORDER_NOT_CANCELLABLE")
    assert story.status(started, patient) == "paid"


def test_money_that_came_before_the_end_is_applied_though_the_order_is_due(
    story, clock, patient, started
):
    """The sweep decides the state, not the clock: until then the order is pending."""
    clock.set(clock.now + timedelta(hours=2, seconds=30))
    story.gateway_reports(started, method="wechat")
    assert story.status(started, patient) == "paid"
    assert orders_expire() == ExpiryReport()
