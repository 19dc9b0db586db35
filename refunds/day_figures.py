"""What went back of orders' payments, by business day: the third of the kept figures."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from payments.day_figures import (
    Figures,
    Period,
    Source,
    Total,
    check_kept,
    in_period,
)
from payments.states import Disposition, FigureKind
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.invariants import Check, Scope, Violation, batches
from tcmpay.common.money import ZERO, Money
from tcmpay.common.order_types import OrderType

ORDERS_AT_ONCE = 500


def refunds_counted(using: str) -> QuerySet[Any]:
    """Money that came late or twice and went back counts in none, nor what went back of top-ups."""
    done = Refund.objects.using(using).filter(status=RefundStatus.SUCCESS)
    applied = done.filter(transaction__disposition=Disposition.APPLIED)
    return applied.exclude(order__order_type=OrderType.TOPUP)


def _by_day(source: Source, using: str, since: datetime, until: datetime) -> Figures:
    """An order counts on each day on which it got money back, bound to the day before.

    What is booked late may lie before or between what is kept already: so the days of every order
    that got something back since are taken out as they are kept, and put in as they are now.
    """
    changes: Figures = {}
    booked = source.booked(using, since, until).order_by("order_id")
    orders = booked.values_list("order_id", flat=True).distinct().iterator()
    for some in batches(orders, ORDERS_AT_ONCE):
        rows = source.rows(using).exclude(completed_on=None).filter(order_id__in=some)
        facts = rows.filter(booked_at__lt=until).order_by("order_id").values_list(
            "order_id", "completed_on", "refund_amount", "booked_at"
        )  # fmt: skip
        for _order, group in groupby(facts, key=lambda fact: fact[0]):
            of_order = list(group)
            before = [(day, amount) for _o, day, amount, at in of_order if at < since]
            _put(changes, _linked(before), sign=-1)
            _put(changes, _linked((day, amount) for _o, day, amount, _at in of_order), sign=1)
    return {place: total for place, total in changes.items() if total != Total()}


def _linked(facts: Iterable[tuple[date, Money]]) -> Figures:
    """One order's refunds by day, each bound to the day before."""
    by_day: dict[date, Money] = {}
    for day, amount in facts:
        by_day[day] = by_day.get(day, ZERO) + amount
    days = sorted(by_day)
    before: Mapping[date, date] = dict(zip(days[1:], days, strict=False))
    return {(day, before.get(day, day)): Total(1, by_day[day]) for day in days}


def _put(changes: Figures, figures: Figures, *, sign: int) -> None:
    for place, total in figures.items():
        change = Total(sign * total.number, sign * total.amount)
        changes[place] = changes.get(place, Total()) + change


REFUNDED = Source(
    FigureKind.REFUNDED, refunds_counted, "completed_on", "completed_at", "booked_at",
    "refund_amount", _by_day,
)  # fmt: skip


def kept_orders(orders: Collection[UUID], period: Period, until: datetime) -> int:
    """How many of ``orders`` are in what is kept, until then, of the period's whole days."""
    kept = in_period(refunds_counted("default"), "completed_on", period.first, period.last)
    kept = kept.filter(order_id__in=orders, booked_at__lt=until)
    return kept.values("order_id").distinct().count()


def check_refunded(scope: Scope) -> Iterator[Violation]:
    yield from check_kept(REFUNDED, scope)


CHECKS: tuple[Check, ...] = (check_refunded,)
