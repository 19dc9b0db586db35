"""Statistics from kept figures are those of the rows, whatever came late, whenever it was kept."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from conftest import SEED
from payments.day_figures import BEGINNING, CREATED, PAID, check_created, check_paid
from payments.models import DayFigure, FiguresUntil, PaymentOrder, PaymentTransaction
from payments.selectors import order_statistics
from payments.services.day_figures import SETTLED_AFTER, figures_keep, keep
from refunds.day_figures import REFUNDED, check_refunded
from refunds.models import Refund
from refunds.selectors import refund_statistics
from tcmpay.common import clock
from tcmpay.common.clock import business_day
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope
from tcmpay.common.money import ZERO

pytestmark = pytest.mark.django_db
BEGIN = datetime(2026, 3, 1, 16, tzinfo=UTC)  # midnight in Shanghai
DAYS = 5
Fact = tuple[datetime, Decimal, UUID]


@dataclass
class Books:
    """Orders, payments and refunds with their moments of money, as they were written."""

    created: list[Fact]
    paid: list[Fact]
    refunded: list[Fact]

    def order(self, at: datetime, amount: Decimal) -> PaymentOrder:
        order = PaymentOrder.objects.create(
            order_no=f"ORD{len(self.created)}", user_id=new_id(), order_type="other", amount=amount,
            expire_time=at, created_at=at, created_on=business_day(at),
        )  # fmt: skip
        self.created.append((at, amount, order.id))
        return order

    def pay(self, order: PaymentOrder, moved: datetime, booked: datetime) -> PaymentTransaction:
        PaymentOrder.objects.filter(pk=order.pk).update(
            status="paid", payment_method="wechat", payment_time=moved,
            paid_on=business_day(moved), booked_at=booked,
        )  # fmt: skip
        self.paid.append((moved, order.amount, order.id))
        return PaymentTransaction.objects.create(
            transaction_no=f"TXN{len(self.paid)}", order=order, payment_method="wechat",
            amount=order.amount, status="success", disposition="applied",
            applied_order_id=order.id, completed_at=moved, booked_at=booked,
        )  # fmt: skip

    def refund(self, payment: PaymentTransaction, moved: datetime, booked: datetime) -> None:
        Refund.objects.create(
            refund_no=f"RFD{len(self.refunded)}", order=payment.order, transaction=payment,
            user_id=payment.order.user_id, refund_amount=Decimal("0.10"), refund_reason="x",
            status="success", completed_at=moved, completed_on=business_day(moved),
            booked_at=booked,
        )  # fmt: skip
        self.refunded.append((moved, Decimal("0.10"), payment.order_id))


def keep_all() -> None:
    figures_keep()
    keep(REFUNDED)


def figures(start: datetime | None, end: datetime | None, user_id: UUID | None = None) -> list[Any]:
    query: dict[str, Any] = {"start_date": start, "end_date": end, "user_id": user_id}
    orders, refunds = order_statistics(**query), refund_statistics(**query)
    return [
        orders.total_orders, orders.total_amount, orders.paid_orders, orders.paid_amount,
        refunds.refunded_orders, refunds.refunded_amount,
    ]  # fmt: skip


def expected(books: Books, start: datetime | None, end: datetime | None) -> list[Any]:
    found: list[Any] = []
    for facts in (books.created, books.paid, books.refunded):
        within = [
            (order, amount)
            for at, amount, order in facts
            if (start is None or at >= start) and (end is None or at < end)
        ]
        found += [len({order for order, _amount in within})]
        found += [sum((amount for _order, amount in within), ZERO)]
    return found


def problems() -> list[str]:
    checks = (check_created, check_paid, check_refunded)
    return [found.object_id for check in checks for found in check(Scope())]


@pytest.fixture
def busy_days() -> Iterator[tuple[random.Random, Books, list[datetime]]]:
    """Five days of business, kept now and then; some of it booked a day late."""
    dice, books = random.Random(SEED), Books([], [], [])
    payments: list[PaymentTransaction] = []
    moments = sorted(BEGIN + timedelta(minutes=dice.randrange(DAYS * 1440)) for _step in range(80))
    for now in moments:
        with clock.frozen(now):
            late = now - timedelta(minutes=dice.choice([0, 0, 5, 1440]))
            match dice.randrange(4):
                case 0:
                    order = books.order(now, Decimal(dice.randrange(100, 999)) / 100)
                    payments.append(books.pay(order, late, now))
                case 1:
                    books.order(now, Decimal("0.10"))
                case 2 if payments:
                    books.refund(dice.choice(payments), late, now)
                case _:
                    keep_all()
                    assert problems() == []
    with clock.frozen(moments[-1] + timedelta(minutes=1)):
        yield dice, books, moments


def test_they_are_those_of_the_rows_in_every_period(busy_days):
    dice, books, moments = busy_days
    edges = [BEGIN + timedelta(days=day) for day in range(DAYS + 1)] + moments[:10] + [None]
    for _period in range(40):
        start, end = dice.choice(edges), dice.choice(edges)
        assert figures(start, end) == expected(books, start, end), (SEED, start, end)
    assert DayFigure.objects.count() > DAYS


@pytest.mark.parametrize("is_one_users", [False, True])
def test_of_a_period_without_a_whole_day_both_ends_count_and_an_order_once(is_one_users):
    books = Books([], [], [])
    paid_at, back_at = BEGIN + timedelta(hours=20), BEGIN + timedelta(hours=21)
    payment = books.pay(books.order(paid_at, Decimal("1.00")), paid_at, paid_at)
    for moment in (back_at, back_at + timedelta(hours=6)):
        books.refund(payment, moment, moment)
    user_id = payment.order.user_id if is_one_users else None
    period = (BEGIN + timedelta(hours=19), BEGIN + timedelta(hours=30))
    assert figures(*period, user_id) == [1, Decimal("1.00")] * 2 + [1, Decimal("0.20")]


def test_one_users_are_counted_from_their_rows(busy_days):
    _dice, _books, _moments = busy_days
    order = PaymentOrder.objects.exclude(paid_on=None).first()
    assert figures(None, None, order.user_id)[:4] == [1, order.amount, 1, order.amount]


def test_kept_twice_they_are_the_same(busy_days):
    keep_all()
    places = ("kind", "day", "previous_day", "number", "amount")
    once = set(DayFigure.objects.values_list(*places))
    keep_all()
    assert set(DayFigure.objects.values_list(*places)) == once


def test_of_two_who_keep_at_once_one_adds(busy_days):
    """The second counted the same rows and finds the moment moved on."""
    honest = PAID.changes

    def overtaken(source, using, since, until):
        found = honest(source, using, since, until)
        keep(PAID)
        return found

    with clock.frozen(clock.now() + SETTLED_AFTER):
        assert keep(replace(PAID, changes=overtaken)) == 0
        assert problems() == []


def test_a_figure_that_was_changed_is_found_and_mended_by_counting_anew(busy_days):
    keep_all()
    DayFigure.objects.filter(kind="paid").update(amount=1)
    assert "paid" in {place.split()[0] for place in problems()}
    call_command("recount_statistics")
    assert problems() == []


def test_figures_without_their_moment_and_a_moment_to_come_are_found(busy_days):
    keep_all()
    FiguresUntil.objects.filter(kind="created").delete()
    FiguresUntil.objects.filter(kind="paid").update(until=clock.now() + timedelta(days=1))
    assert {place.split()[0] for place in problems()} == {"created", "paid"}


def test_nothing_was_booked_before_the_beginning():
    books = Books([], [], [])
    books.order(BEGIN, Decimal("1.00"))
    assert CREATED.booked("default", BEGINNING, BEGIN).count() == 0
