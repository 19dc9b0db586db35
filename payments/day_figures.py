"""Counts and sums by business day, kept so that a month's statistics cost what a day's do.

A kind's kept figures hold whatever was booked before one moment (``FiguresUntil``); what was booked
since is added from the rows themselves, of whatever day it is. So money that came late counts at
once, and what is told is exact at every moment, whether the job that moves the moment on has run
(``services.day_figures``) or not. The audit compares them with their rows.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from payments.booking import CLOCKS_DIFFER_BY
from payments.models import DayFigure, FiguresUntil, PaymentOrder
from payments.states import PAID_STATUSES, FigureKind
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import exact_sum
from tcmpay.common.invariants import Check, Scope, Violation
from tcmpay.common.money import ZERO, Money, fen_to_yuan
from tcmpay.common.order_types import OrderType

# Before anything was booked.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Total:
    """How many orders, and how much together (yuan)."""

    number: int = 0
    amount: Money = ZERO

    def __add__(self, other: "Total") -> "Total":
        return Total(self.number + other.number, self.amount + other.amount)

    def __str__(self) -> str:
        return f"{self.number} × {self.amount}"


def in_period(
    rows: QuerySet[Any], field: str, start: date | None, end: date | None
) -> QuerySet[Any]:
    """Those whose ``field`` (a moment or a day) is ``start`` or later and before ``end``."""
    if start is not None:
        rows = rows.filter(**{f"{field}__gte": start})
    if end is not None:
        rows = rows.filter(**{f"{field}__lt": end})
    return rows


@dataclass(frozen=True, slots=True)
class Kept(Total):
    """What is kept of a period, of whatever was booked before ``until``."""

    until: datetime = BEGINNING


# By the day and the day before on which the same order is in the figure (itself: none).
Figures = dict[tuple[date, date], Total]


@dataclass(frozen=True, slots=True)
class Period:
    """A period as business days: whole ones from ``first`` to the one before ``last`` (None: no
    bound), and what of a day (from a moment, to a moment) is left at its ends."""

    first: date | None
    last: date | None
    ends: tuple[tuple[date, datetime | None, datetime | None], ...]

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None) -> "Period":
        """``start`` belongs to it, ``end`` no longer does."""
        first = clock.business_day(start) if start else None
        last = clock.business_day(end) if end else None
        begins = first if start and first and clock.day_start(first) < start else None
        ends = last if end and last and clock.day_start(last) < end else None
        if start and end and start >= end:
            return cls(first, first, ())
        if begins and begins == last:
            return cls(begins, begins, ((begins, start, end),))
        at_begin = ((begins, start, None),) if begins else ()
        at_end = ((ends, None, end),) if ends else ()
        return cls(begins + ONE_DAY if begins else first, last, (*at_begin, *at_end))

    @property
    def has_whole_days(self) -> bool:
        return self.first is None or self.last is None or self.first < self.last


@dataclass(frozen=True, slots=True)
class Source:
    """What is counted: the rows, their business day and moment, when they were booked, their
    amount."""

    kind: FigureKind
    rows: Callable[[str], QuerySet[Any]]
    day: str
    moment: str
    booked_at: str
    amount: str
    # (source, alias of the database, booked from, booked before) -> what the figures change by.
    changes: Callable[["Source", str, datetime, datetime], Figures]

    def parts(
        self, period: Period, user_id: UUID | None, kept: Mapping[str, "Kept"]
    ) -> list[QuerySet[Any]]:
        """The rows of a period that have to be added to what is ``kept`` of it, none twice: all of
        them where one user's are asked for.

        What counts in a later day than that of its moment, as that was closed, lies at the later
        day's beginning.
        """
        rows = self.rows("default")
        if user_id is not None:
            rows = rows.filter(user_id=user_id)
        parts = [
            in_period(rows.filter(**{self.day: day}), self.moment, start, end)
            for day, start, end in period.ends
        ]
        if period.has_whole_days:
            if period.first is None and period.last is None:
                rows = rows.exclude(**{self.day: None})
            whole = in_period(rows, self.day, period.first, period.last)
            if mine := kept.get(self.kind):
                whole = whole.filter(self.not_kept(mine.until))
            parts.append(whole)
        return parts

    def booked(self, using: str, since: datetime, until: datetime) -> Any:
        """Its rows that were booked from ``since`` on and before ``until``."""
        moment = {f"{self.booked_at}__gte": since, f"{self.booked_at}__lt": until}
        return self.rows(using).exclude(**{self.day: None}).filter(**moment)

    def not_kept(self, until: datetime) -> Q:
        """Booked since; or somebody wrote it by SQL and said no moment."""
        return Q(**{f"{self.booked_at}__gte": until}) | Q(**{f"{self.booked_at}__isnull": True})


def by_day(source: Source, using: str, since: datetime, until: datetime) -> Figures:
    """Each row is an order, and counts on its own day."""
    rows = source.booked(using, since, until)
    expression, to_money = exact_sum(source.amount, using=using)
    groups = rows.order_by().values_list(source.day).annotate(n=Count("pk"), sum=expression)
    return {(day, day): Total(number, to_money(amount)) for day, number, amount in groups}


def orders_counted(using: str) -> QuerySet[PaymentOrder]:
    """Without top-ups: their money counts where it is spent, and never twice."""
    return PaymentOrder.objects.using(using).exclude(order_type=OrderType.TOPUP)


def _paid(using: str) -> QuerySet[PaymentOrder]:
    """Also those refunded later."""
    return orders_counted(using).filter(status__in=PAID_STATUSES)


CREATED = Source(
    FigureKind.CREATED, orders_counted, "created_on", "created_at", "created_at", "amount", by_day
)
PAID = Source(FigureKind.PAID, _paid, "paid_on", "payment_time", "booked_at", "amount", by_day)


# The sums of every kind at once; in fen on SQLite, which adds decimals up in floating point.
_KEPT = (
    "SELECT until.kind, CAST(until.until AS CHAR),"
    " SUM(CASE WHEN previous_day = day OR previous_day < %s THEN number ELSE 0 END), {amount}"
    " FROM payment_figures_until until LEFT JOIN payment_day_figures figure"
    " ON figure.kind = until.kind AND day >= %s AND day < %s GROUP BY until.kind, until.until"
)
_AMOUNT = {"sqlite": "SUM(CAST(ROUND(amount * 100) AS INTEGER))", "mysql": "SUM(amount)"}


def kept_figures(period: Period, user_id: UUID | None) -> Mapping[str, Kept]:
    """What is kept of a period's whole days, by kind; kinds that were never kept are not in it, and
    none is where one user's are asked for."""
    if user_id is not None or not period.has_whole_days:
        return {}
    first = (period.first or date.min).isoformat()
    last = (period.last or date.max).isoformat()
    from_fen = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(_KEPT.format(amount=_AMOUNT[connection.vendor]), [first, first, last])
        return {
            kind: Kept(
                int(number or 0),
                (fen_to_yuan(amount) if from_fen else amount) if amount else ZERO,
                datetime.fromisoformat(until).replace(tzinfo=UTC),
            )
            for kind, until, number, amount in cursor.fetchall()
        }


def check_kept(source: Source, scope: Scope) -> Iterator[Violation]:
    """The kept figures of a kind equal their rows, to the cent (T2)."""
    stated = {
        (day, previous): Total(number, amount)
        for day, previous, number, amount in DayFigure.objects.using(scope.using)
        .filter(kind=source.kind)
        .values_list("day", "previous_day", "number", "amount")
    }
    kept = FiguresUntil.objects.using(scope.using).filter(kind=source.kind).first()
    if kept is None:
        found: Figures = {}
    elif kept.until > clock.now() + CLOCKS_DIFFER_BY:
        yield _violation(source, "", _("统计合计的截止时间晚于现在"))
        return
    else:
        found = source.changes(source, scope.using, BEGINNING, kept.until)
    for place in sorted(found.keys() | stated.keys()):
        is_, says = found.get(place, Total()), stated.get(place, Total())
        if is_ != says:
            text = _("统计合计为 %(says)s，实际为 %(is)s") % {"says": says, "is": is_}
            yield _violation(source, f" {place[0]}", text)


def _violation(source: Source, place: str, text: str) -> Violation:
    return Violation("T2", "day_figure", f"{source.kind}{place}", text)


def check_created(scope: Scope) -> Iterator[Violation]:
    yield from check_kept(CREATED, scope)


def check_paid(scope: Scope) -> Iterator[Violation]:
    yield from check_kept(PAID, scope)


CHECKS: tuple[Check, ...] = (check_created, check_paid)
