"""What the back office reads across rooms: sums by business day and what waits for somebody."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, models
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Cast, Round

from balances.models import UserBalance
from balances.selectors import unadopted_openings
from payments.models import (
    PaymentCallback,
    PaymentException,
    PaymentOrder,
    PaymentTransaction,
)
from payments.selectors import surplus_payments
from payments.states import (
    HELD_VERDICTS,
    SURPLUS_DISPOSITIONS,
    Disposition,
    OrderStatus,
    PaymentMethod,
)
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common import clock
from tcmpay.common.money import ZERO, Money, fen_to_yuan

COUNT_MAX = 10_000
METHODS = (PaymentMethod.WECHAT, PaymentMethod.ALIPAY, PaymentMethod.BALANCE)


@dataclass(frozen=True, slots=True)
class Total:
    """How many, and how much together (yuan)."""

    count: int = 0
    amount: Money = ZERO

    def __add__(self, other: "Total") -> "Total":
        return Total(self.count + other.count, self.amount + other.amount)


Days = dict[tuple[date, str], Total]


def receipts_by_day(first: date, last: date) -> Days:
    """Orders paid on each business day, by method; also those refunded later."""
    orders = PaymentOrder.objects.filter(paid_on__gte=first, paid_on__lte=last)
    return _totals(orders, day="paid_on", method="payment_method", amount="amount")


def refunds_by_day(first: date, last: date) -> Days:
    """What went back of orders' payments on each business day, by the way it came."""
    return _refunds(first, last, transaction__disposition=Disposition.APPLIED)


def surplus_returned_by_day(first: date, last: date) -> Days:
    """What came late or twice and went back: in no other figure."""
    return _refunds(first, last, transaction__disposition__in=SURPLUS_DISPOSITIONS)


def _refunds(first: date, last: date, **which: Any) -> Days:
    refunds = Refund.objects.filter(
        status=RefundStatus.SUCCESS, completed_on__gte=first, completed_on__lte=last, **which
    )
    return _totals(
        refunds,
        day="completed_on",
        method="transaction__payment_method",
        amount="refund_amount",
    )


def _totals(rows: QuerySet[Any], *, day: str, method: str, amount: str) -> Days:
    """Sums by day and method in one query, exact on every database."""
    expression, to_money = _exact_sum(amount)
    groups = rows.order_by().values_list(day, method).annotate(rows=Count("pk"), total=expression)
    return {(on, way or ""): Total(count, to_money(total)) for on, way, count, total in groups}


def _exact_sum(field: str) -> tuple[models.Aggregate, Callable[[Any], Money]]:
    """SQLite keeps decimals as floating point: there the rounded fen are summed as integers."""
    if connection.vendor == "sqlite":
        return Sum(Cast(Round(F(field) * 100), models.BigIntegerField())), fen_to_yuan
    return Sum(field), Money


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for somebody, each figure counted up to COUNT_MAX."""

    orders: int
    refunds: int
    oldest_refund: datetime | None
    refunds_processing: int
    refunds_failed: int
    cases: int
    callbacks_held: int
    surplus_held: int
    openings: int


def waiting(held_since: date) -> Waiting:
    """What waits now; callbacks held for staff are those received since ``held_since``."""
    queue = Refund.objects.filter(status=RefundStatus.PENDING)
    oldest = queue.order_by("created_at").values_list("created_at", flat=True).first()
    return Waiting(
        orders=bounded_count(PaymentOrder.objects.filter(status=OrderStatus.PENDING)),
        refunds=bounded_count(queue),
        oldest_refund=oldest,
        refunds_processing=bounded_count(Refund.objects.filter(status=RefundStatus.PROCESSING)),
        refunds_failed=bounded_count(Refund.objects.filter(status=RefundStatus.FAILED)),
        cases=bounded_count(PaymentException.objects.filter(closed_at=None)),
        callbacks_held=bounded_count(callbacks_held(held_since)),
        surplus_held=bounded_count(surplus_held()),
        openings=bounded_count(openings()),
    )


def callbacks_held(since: date) -> QuerySet[PaymentCallback]:
    return PaymentCallback.objects.filter(
        verdict__in=HELD_VERDICTS, received_at__gte=clock.day_start(since)
    )


def surplus_held() -> QuerySet[PaymentTransaction]:
    return surplus_payments()


def openings() -> QuerySet[UserBalance]:
    return unadopted_openings()


def refund_queue_length() -> int:
    return bounded_count(Refund.objects.filter(status=RefundStatus.PENDING))


def bounded_count(rows: QuerySet[Any]) -> int:
    """How many, but not further than to COUNT_MAX."""
    return min(rows.order_by()[: COUNT_MAX + 1].count(), COUNT_MAX)


def days_back(last: date, number: int) -> list[date]:
    """``number`` business days up to ``last``, oldest first."""
    return [last - timedelta(days=back) for back in range(number - 1, -1, -1)]
