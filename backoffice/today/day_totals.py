"""Sums by business day, way of paying and service: from the kept totals where a day has them,
from the rows themselves where not (today, and days that were never totalled)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import Count, Max, QuerySet

from backoffice.models import DayTotal, TotalKind, TotalledDay
from payments.day_figures import Total, orders_counted
from payments.states import SURPLUS_DISPOSITIONS
from refunds.day_figures import refunds_counted
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import exact_sum

# What is booked now may be committed a little later; nothing takes this long.
SETTLED_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One business day (Asia/Shanghai), one way of paying, one service."""

    day: date
    method: str
    service: str


Totals = dict[Cell, Total]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a kind of total comes from: its rows, and how their columns are called."""

    rows: Callable[[str], QuerySet[Any]]
    day: str
    method: str
    order: str  # the way from a row to its order, ending in "__"; "" where the row is the order
    amount: str


def _surplus(using: str) -> QuerySet[Any]:
    """What came late or twice and went back: in no other figure."""
    done = Refund.objects.using(using).filter(status=RefundStatus.SUCCESS)
    return done.filter(transaction__disposition__in=SURPLUS_DISPOSITIONS)


_REFUND = {
    "day": "completed_on",
    "method": "transaction__payment_method",
    "order": "order__",
    "amount": "refund_amount",
}
SOURCES: Mapping[TotalKind, Source] = {
    TotalKind.RECEIPTS: Source(orders_counted, "paid_on", "payment_method", "", "amount"),
    TotalKind.REFUNDS: Source(refunds_counted, **_REFUND),
    TotalKind.SURPLUS: Source(_surplus, **_REFUND),
}


def totals(kind: TotalKind, first: date, last: date) -> Totals:
    """The sums of every day from ``first`` to ``last``, both included."""
    kept_days = set(
        TotalledDay.objects.filter(day__gte=first, day__lte=last).values_list("day", flat=True)
    )
    changed = changed_days() if kept_days else set()
    kept_days -= changed
    stated = _kept(kind, first, last) if kept_days else {}
    found = {cell: total for cell, total in stated.items() if cell.day not in changed}
    for start, end in _gaps(first, last, kept_days):
        found |= counted(kind, start, end)
    return found


def changed_days(*, using: str = "default") -> set[date]:
    """Totalled days for which money was booked since: a notice that came late, a payment that
    only a question brought to light. Their kept sums lack it until they are totalled anew.

    The newest totalling tells until when all totals are known to hold what was booked.
    """
    days = TotalledDay.objects.using(using).order_by("-day")
    newest = days.first()
    if newest is None:
        return set()
    looked_at = days.aggregate(at=Max("totalled_at"))["at"]
    changed: set[date] = set()
    for source in SOURCES.values():
        since = source.rows(using).filter(
            booked_at__gte=looked_at - SETTLED_AFTER, **{f"{source.day}__lte": newest.day}
        )
        changed.update(since.order_by().values_list(source.day, flat=True).distinct())
    return changed & set(days.filter(day__in=changed).values_list("day", flat=True))


def counted(kind: TotalKind, first: date, last: date, *, using: str = "default") -> Totals:
    """The sums from the rows themselves, exact on every database."""
    source = SOURCES[kind]
    expression, to_money = exact_sum(source.amount, using=using)
    rows = source.rows(using).filter(**{f"{source.day}__gte": first, f"{source.day}__lte": last})
    names = (
        source.day, source.method, f"{source.order}order_type", f"{source.order}service_type",
    )  # fmt: skip
    groups = rows.order_by().values_list(*names).annotate(rows=Count("pk"), total=expression)
    found: Totals = {}
    for day, method, order_type, service_type, count, amount in groups:
        cell = Cell(day, method or "", service_type or order_type)
        found[cell] = found.get(cell, Total()) + Total(count, to_money(amount))
    return found


def kept(kind: TotalKind, day: date, *, using: str = "default") -> Totals:
    """The kept sums of one day."""
    return _kept(kind, day, day, using=using)


def _kept(kind: TotalKind, first: date, last: date, *, using: str = "default") -> Totals:
    rows = DayTotal.objects.using(using).filter(kind=kind, day__gte=first, day__lte=last)
    names = ("day", "payment_method", "service", "number", "amount")
    return {
        Cell(day, method, service): Total(number, amount)
        for day, method, service, number, amount in rows.values_list(*names)
    }


def _gaps(first: date, last: date, days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """The stretches of ``first`` to ``last`` that lie between ``days``."""
    edges = [first - ONE_DAY, *sorted(days), last + ONE_DAY]
    for before, after in pairwise(edges):
        if after - before > ONE_DAY:
            yield before + ONE_DAY, after - ONE_DAY
