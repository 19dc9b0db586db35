"""A closed day never changes: what is booked for it afterwards counts in the first open one."""

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import IntegrityError, connection
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext

from conftest import SEED
from gateways.interface import TradeReport, TradeState
from payments.invariants_days import check_closed_days, check_order_days
from payments.models import BookingWatermark, ClosedDay, PaymentOrder, PaymentTransaction
from payments.selectors import order_statistics
from payments.services.attempts import PayCommand, pay
from payments.services.closed_days import (
    ClosedDays,
    DayNotOver,
    DaysOutOfOrder,
    closed_through,
    day_close,
    day_reopen,
    watermark_lock,
)
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 24)
ONE_DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


def closed(day: date, at: datetime | None = None) -> None:
    with clock.frozen(at or clock.day_start(day + ONE_DAY) + timedelta(hours=10)), atomic():
        day_close(watermark_lock(), day)


def reopened(day: date, at: datetime) -> None:
    with clock.frozen(at), atomic():
        day_reopen(watermark_lock(), day)


def started(at: datetime = NOON, amount: str = "30.00") -> PaymentTransaction:
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    with clock.frozen(at):
        command = OrderCommand(user_id=owner.id, order_type="other", amount=Decimal(amount))
        order = order_create(actor=Actor(uuid.uuid4(), Role.SERVICE), command=command)
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    return PaymentTransaction.objects.get(order=order)


def told(attempt: PaymentTransaction, paid_at: datetime, at: datetime) -> PaymentOrder:
    number = attempt.out_trade_no
    report = TradeReport(number, TradeState.PAID, f"42{number}", attempt.amount, paid_at=paid_at)
    with clock.frozen(at):
        trade_report_apply(method="wechat", report=report)
    return PaymentOrder.objects.get(id=attempt.order_id)


def problems() -> list[str]:
    return [str(found.message) for check in (check_order_days, check_closed_days)
            for found in check(Scope())]  # fmt: skip


def test_what_is_booked_late_counts_in_the_first_open_day_and_says_so():
    attempt = started()
    closed(DAY)
    closed(DAY + ONE_DAY)
    order = told(attempt, NOON + MINUTE, at=NOON + 4 * ONE_DAY)
    assert (order.payment_time, order.paid_on) == (NOON + MINUTE, DAY + 2 * ONE_DAY)
    event = AuditEvent.objects.filter(object_id=str(order.id)).latest("version")
    assert (event.details["day"], event.details["closed_day"]) == ("2026-11-26", "2026-11-24")
    assert problems() == []


def test_what_is_booked_late_for_an_open_day_counts_in_it():
    attempt = started(NOON + ONE_DAY)
    closed(DAY)
    order = told(attempt, NOON + ONE_DAY + MINUTE, at=NOON + 3 * ONE_DAY)
    assert order.paid_on == DAY + ONE_DAY
    assert problems() == []


def test_what_moved_before_the_first_closed_day_counts_after_it_too():
    attempt = started(NOON - ONE_DAY)
    closed(DAY)
    assert told(attempt, NOON - ONE_DAY + MINUTE, at=NOON + ONE_DAY).paid_on == DAY + ONE_DAY
    assert problems() == []


def test_a_day_that_was_opened_again_counts_what_comes_then():
    first, second = started(), started()
    closed(DAY)
    moved = told(first, NOON + MINUTE, at=NOON + ONE_DAY)
    reopened(DAY, NOON + ONE_DAY + MINUTE)
    order = told(second, NOON + MINUTE, at=NOON + ONE_DAY + 2 * MINUTE)
    assert (moved.paid_on, order.paid_on) == (DAY + ONE_DAY, DAY)
    assert closed_through() is None
    assert problems() == []


def test_a_payment_of_today_asks_nothing_of_closed_days():
    closed(DAY)
    attempt = started(NOON + ONE_DAY)
    with CaptureQueriesContext(connection) as kept:
        told(attempt, NOON + ONE_DAY, at=NOON + ONE_DAY + MINUTE)
    assert [one["sql"] for one in kept if "watermark" in one["sql"]] == []


def test_a_day_closes_an_hour_after_its_end():
    ends = clock.day_start(DAY + ONE_DAY)
    with pytest.raises(DayNotOver):
        closed(DAY, ends + timedelta(minutes=59))
    closed(DAY, ends + timedelta(minutes=60))
    assert closed_through() == DAY


def test_days_close_in_order_and_open_again_in_reverse():
    closed(DAY)
    for day in (DAY, DAY + 2 * ONE_DAY, DAY - ONE_DAY):
        with pytest.raises(DaysOutOfOrder):
            closed(day, NOON + 9 * ONE_DAY)
    closed(DAY + ONE_DAY)
    with pytest.raises(DaysOutOfOrder):
        reopened(DAY, NOON + 9 * ONE_DAY)
    reopened(DAY + ONE_DAY, NOON + 9 * ONE_DAY)
    reopened(DAY, NOON + 9 * ONE_DAY)
    assert closed_through() is None


def test_a_booking_after_a_closing_never_looks_as_if_it_came_before():
    """The host that books has a clock that is behind that of the host which closed the day."""
    attempt = started()
    closed(DAY, NOON + ONE_DAY)
    order = told(attempt, NOON + MINUTE, at=NOON + ONE_DAY - MINUTE)
    assert (order.paid_on, order.booked_at) == (DAY + ONE_DAY, NOON + ONE_DAY)
    assert problems() == []


def test_a_closing_after_a_booking_never_looks_as_if_it_came_before():
    attempt = started()
    order = told(attempt, NOON + MINUTE, at=NOON + ONE_DAY)
    closed(DAY, NOON + ONE_DAY - MINUTE)
    assert (order.paid_on, order.booked_at) == (DAY, NOON + ONE_DAY)
    assert ClosedDay.objects.get().closed_at > NOON + ONE_DAY
    assert problems() == []


# --- what the audit takes for wrong -----------------------------------------------------------


def paid_on(day: date, *, booked_at: datetime) -> None:
    PaymentOrder.objects.update(paid_on=day, booked_at=booked_at)


BEFORE, AFTER = NOON + ONE_DAY - MINUTE, NOON + ONE_DAY + MINUTE
WRONG = {
    "moved though its day was open": (DAY + ONE_DAY, BEFORE),
    "stayed though its day was closed": (DAY, AFTER),
    "moved further than to the first open day": (DAY + 2 * ONE_DAY, AFTER),
    "moved to a day before": (DAY - ONE_DAY, BEFORE),
    "without a day": (None, AFTER),
}


@pytest.mark.parametrize(("day", "booked_at"), WRONG.values(), ids=WRONG)
def test_the_audit_finds_what_counts_in_a_wrong_day(day, booked_at):
    told(started(), NOON + MINUTE, at=NOON + 2 * MINUTE)
    closed(DAY, NOON + ONE_DAY)
    assert problems() == []
    paid_on(day, booked_at=booked_at)
    assert len(problems()) >= 1


def test_the_audit_finds_a_gap_between_closed_days_and_a_wrong_watermark():
    closed(DAY)
    ClosedDay.objects.create(day=DAY + 2 * ONE_DAY, closed_at=NOON, closed_day=DAY + 2 * ONE_DAY)
    assert len(problems()) == 2
    ClosedDay.objects.filter(day__gt=DAY).delete()
    BookingWatermark.objects.update(closed_through=DAY + ONE_DAY)
    assert len(problems()) == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"closed_day": None, "reopened_at": None},
        {"closed_day": DAY + ONE_DAY},
        {"closed_day": DAY, "reopened_at": NOON + MINUTE},
        {"closed_day": None, "reopened_at": NOON - MINUTE},
    ],
)
def test_the_database_refuses_a_day_that_is_neither_closed_nor_open(facts):
    with pytest.raises(IntegrityError):
        ClosedDay.objects.create(day=DAY, closed_at=NOON, **facts)


# --- sums ---------------------------------------------------------------------------------------


def test_a_moved_payment_is_counted_once_wherever_a_period_begins_and_ends():
    """Whatever periods lie side by side, together they count everything, and nothing twice."""
    chance = random.Random(SEED)
    late = [started(NOON + MINUTE * number, f"{number + 1}.00") for number in range(4)]
    closed(DAY)
    for number, attempt in enumerate(late):
        told(attempt, NOON + MINUTE * (number + 1), at=NOON + ONE_DAY + MINUTE * number)
    told(started(NOON + ONE_DAY, "100.00"), NOON + ONE_DAY + MINUTE, at=NOON + ONE_DAY + MINUTE)
    assert _sum(clock.day_start(DAY), clock.day_start(DAY + ONE_DAY)) == 0
    assert _sum(clock.day_start(DAY + ONE_DAY), None) == 110
    for _period in range(30):
        minutes = sorted(chance.randrange(3 * 24 * 60) for _edge in range(3))
        edges = [None, *(clock.day_start(DAY) + MINUTE * number for number in minutes), None]
        assert sum(_sum(start, end) for start, end in pairwise(edges)) == 110


def _sum(start: datetime | None, end: datetime | None) -> Decimal:
    return order_statistics(start_date=start, end_date=end).paid_amount


def test_the_day_is_told_again_from_the_rows():
    closed(DAY, NOON + ONE_DAY)
    closed(DAY + ONE_DAY, NOON + 2 * ONE_DAY)
    reopened(DAY + ONE_DAY, NOON + 2 * ONE_DAY + MINUTE)
    days = ClosedDays.read()
    assert days.day_of(NOON, NOON + ONE_DAY - MINUTE) == DAY
    assert days.day_of(NOON, NOON + ONE_DAY) == DAY + ONE_DAY
    assert days.day_of(NOON, NOON + 2 * ONE_DAY) == DAY + 2 * ONE_DAY
    assert days.day_of(NOON, NOON + 2 * ONE_DAY + MINUTE) == DAY + ONE_DAY
    assert days.day_of(NOON, None) == DAY
