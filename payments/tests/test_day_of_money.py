"""The day of money is the gateway's, whoever tells of it and however late."""

import uuid
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from balances.services import balance_top_up
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.models import PaymentOrder, PaymentTransaction
from payments.selectors import order_statistics
from payments.services.attempts import PayCommand, attempt_check, pay
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db

# Ten minutes before midnight in Shanghai.
ORDERED_AT = datetime(2026, 11, 24, 15, 50, tzinfo=UTC)
PAID_AT = datetime(2026, 11, 24, 15, 59, 56, tzinfo=UTC)
NOTICED_AT = datetime(2026, 11, 24, 16, 0, 7, tzinfo=UTC)
THE_DAY, THE_NEXT = date(2026, 11, 24), date(2026, 11, 25)
METHODS = ("wechat", "alipay")


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


@pytest.fixture
def owner():
    return Actor(uuid.uuid4(), Role.PATIENT)


def ordered(owner: Actor) -> PaymentOrder:
    command = OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("30.00"))
    return order_create(actor=Actor(uuid.uuid4(), Role.SERVICE), command=command)


def started(owner: Actor, method: str) -> PaymentTransaction:
    """An attempt that began ten minutes before midnight."""
    with clock.frozen(ORDERED_AT):
        order = ordered(owner)
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
    return PaymentTransaction.objects.get(order=order)


def report(attempt: PaymentTransaction, paid_at: datetime | None) -> TradeReport:
    return TradeReport(
        attempt.out_trade_no, TradeState.PAID, "4200001234", attempt.amount, paid_at=paid_at
    )


def told(attempt: PaymentTransaction, paid_at: datetime | None, at: datetime = NOTICED_AT) -> None:
    with clock.frozen(at):
        trade_report_apply(method=attempt.payment_method, report=report(attempt, paid_at))


def times(attempt: PaymentTransaction) -> tuple[datetime | None, date | None, datetime | None]:
    """When the order was paid, its day, when it was booked; the attempt says the same."""
    order = PaymentOrder.objects.get(id=attempt.order_id)
    attempt.refresh_from_db()
    assert (attempt.completed_at, attempt.booked_at) == (order.payment_time, order.booked_at)
    return order.payment_time, order.paid_on, order.booked_at


@pytest.mark.parametrize("method", METHODS)
def test_a_notice_after_midnight_of_a_payment_before_it_counts_on_the_day_it_was_paid(
    owner, method
):
    attempt = started(owner, method)
    told(attempt, PAID_AT)
    assert times(attempt) == (PAID_AT, THE_DAY, NOTICED_AT)
    day = clock.day_start(THE_DAY)
    paid = order_statistics(start_date=day, end_date=day + timedelta(days=1))
    assert (paid.paid_orders, paid.paid_amount) == (1, Decimal("30.00"))


@contextmanager
def gateway_says(monkeypatch, said: TradeReport):
    with monkeypatch.context() as patched:
        patched.setattr(MockGateway, "query_payment", lambda _self, _number: said)
        yield


@pytest.mark.parametrize("method", METHODS)
def test_so_does_one_that_a_question_brings_to_light_a_day_later(monkeypatch, owner, method):
    attempt = started(owner, method)
    later = NOTICED_AT + timedelta(days=1)
    with gateway_says(monkeypatch, report(attempt, PAID_AT)), clock.frozen(later):
        attempt_check(attempt.id)
    assert times(attempt) == (PAID_AT, THE_DAY, later)


def test_told_again_with_another_time_it_keeps_the_first(owner):
    attempt = started(owner, "wechat")
    told(attempt, PAID_AT)
    told(attempt, NOTICED_AT + timedelta(hours=1), NOTICED_AT + timedelta(hours=2))
    assert times(attempt) == (PAID_AT, THE_DAY, NOTICED_AT)


def test_money_that_came_for_an_ended_order_says_when_it_came(owner):
    attempt = started(owner, "alipay")
    with clock.frozen(ORDERED_AT + timedelta(minutes=1)):
        PaymentOrder.objects.filter(id=attempt.order_id).update(status="cancelled")
    told(attempt, PAID_AT)
    attempt.refresh_from_db()
    assert (attempt.disposition, attempt.completed_at) == ("late", PAID_AT)
    assert attempt.booked_at == NOTICED_AT


SILLY = {
    "none": None,
    "before the order": ORDERED_AT - timedelta(seconds=61),
    "in the future": NOTICED_AT + timedelta(seconds=61),
    "in another century": datetime(1970, 1, 1, tzinfo=UTC),
    "at the end of time": datetime.max.replace(tzinfo=UTC),
}


@pytest.mark.parametrize("paid_at", SILLY.values(), ids=SILLY)
def test_without_a_credible_time_the_moment_of_booking_counts(owner, paid_at):
    attempt = started(owner, "wechat")
    told(attempt, paid_at)
    assert times(attempt) == (NOTICED_AT, THE_NEXT, NOTICED_AT)


CLOCKS_DIFFER = {
    "in the second of its order": ORDERED_AT - timedelta(seconds=1),
    "a minute before its order": ORDERED_AT - timedelta(seconds=60),
    "by a clock that is a minute ahead": NOTICED_AT + timedelta(seconds=60),
}


@pytest.mark.parametrize("paid_at", CLOCKS_DIFFER.values(), ids=CLOCKS_DIFFER)
def test_the_gateways_clock_may_differ_from_ours_by_a_minute(owner, paid_at):
    attempt = started(owner, "wechat")
    told(attempt, paid_at)
    assert times(attempt)[0] == paid_at


def test_a_payment_from_the_balance_counts_when_it_is_booked(owner):
    with clock.frozen(NOTICED_AT):
        balance_top_up(user_id=owner.id, amount=Decimal("50.00"), reason="x", actor=SYSTEM)
        order = ordered(owner)
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    payment = PaymentTransaction.objects.get(order=order)
    assert times(payment) == (NOTICED_AT, THE_NEXT, NOTICED_AT)


def test_the_trail_tells_the_time_and_the_day(owner):
    attempt = started(owner, "wechat")
    told(attempt, PAID_AT)
    for object_id in (attempt.id, attempt.order_id):
        event = AuditEvent.objects.filter(object_id=str(object_id)).latest("version")
        assert (event.details["moved_at"], event.details["day"]) == (
            "2026-11-24T15:59:56.000000+00:00",
            "2026-11-24",
        )


def test_an_attempt_that_failed_has_nothing_booked(owner):
    attempt = started(owner, "wechat")
    with clock.frozen(NOTICED_AT):
        closed = TradeReport(attempt.out_trade_no, TradeState.CLOSED)
        trade_report_apply(method="wechat", report=closed)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.completed_at) == ("failed", NOTICED_AT)
    assert attempt.booked_at is None
