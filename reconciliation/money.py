"""Our side of business days: what came and went, by way of paying, merchant number and service.

The day is the one that the money counts in (CONTRACT 3): that of the gateway's success time, or
the first open one where that was closed when it was booked.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Min, Q, QuerySet

from balances.models import BalanceTransaction
from payments.booking import CLOCKS_DIFFER_BY
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.closed_days import ClosedDays
from payments.states import (
    PAID_STATUSES,
    SURPLUS_DISPOSITIONS,
    Disposition,
    TransactionStatus,
    TransactionType,
)
from reconciliation.merchants import Accounts
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.clock import ONE_DAY, business_day, day_start
from tcmpay.common.db import exact_sum
from tcmpay.common.fields import BusinessDay
from tcmpay.common.money import ZERO, Money


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One way of paying, one merchant number ("" where no gateway holds the money: balance and
    mock), one type of order, one service (the type again where none was named)."""

    method: str
    merchant: str
    order_type: str
    service: str


@dataclass(frozen=True, slots=True)
class Sums:
    """How many payments and refunds, and how much (yuan)."""

    receipts_number: int = 0
    receipts: Money = ZERO
    refunds_number: int = 0
    refunds: Money = ZERO

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.receipts_number + other.receipts_number,
            self.receipts + other.receipts,
            self.refunds_number + other.refunds_number,
            self.refunds + other.refunds,
        )


@dataclass(slots=True)
class DayMoney:
    """One business day: ``cells`` of what orders brought and what went back of it; ``surplus`` by
    method and merchant number, money that came late or twice and what went back of that; ``late``,
    what of the cells belongs to days that were closed already."""

    cells: dict[Cell, Sums] = field(default_factory=lambda: defaultdict(Sums))
    surplus: dict[tuple[str, str], Sums] = field(default_factory=lambda: defaultdict(Sums))
    late: Sums = field(default_factory=Sums)

    @property
    def total(self) -> Sums:
        return sum(self.cells.values(), Sums())


Days = dict[date, DayMoney]


def money_of_days(first: date, last: date, *, using: str = "default") -> Days:
    """What counts in each day from ``first`` to ``last``; days without money are left out."""
    days: Days = defaultdict(DayMoney)
    accounts = Accounts()
    for day, cell, number, amount in _orders(first, last, accounts, using):
        days[day].cells[cell] += Sums(receipts_number=number, receipts=amount)
    for day, cell, disposition, number, amount in _refunds(first, last, accounts, using):
        sums = Sums(refunds_number=number, refunds=amount)
        if disposition == Disposition.APPLIED:
            days[day].cells[cell] += sums
        else:
            days[day].surplus[cell.method, cell.merchant] += sums
    for day, method, merchant, amount in _surplus(first, last, accounts, using):
        days[day].surplus[method, merchant] += Sums(receipts_number=1, receipts=amount)
    for day, sums in _late(first, last, using):
        days[day].late += sums
    return dict(days)


def _orders(
    first: date, last: date, accounts: Accounts, using: str
) -> Iterator[tuple[date, Cell, int, Money]]:
    rows = PaymentOrder.objects.using(using).filter(
        paid_on__gte=first,
        paid_on__lte=last,
        status__in=PAID_STATUSES,
        transactions__applied_order_id__isnull=False,
    )
    names = (
        *("paid_on", "payment_method", "order_type", "service_type"),
        *("transactions__config_version_id", "transactions__is_mock"),
    )
    for day, method, *facts, number, amount in _grouped(rows, names, "amount"):
        yield day, _cell(accounts, method, *facts), number, amount


def _refunds(
    first: date, last: date, accounts: Accounts, using: str
) -> Iterator[tuple[date, Cell, str, int, Money]]:
    rows = Refund.objects.using(using).filter(
        completed_on__gte=first, completed_on__lte=last, status=RefundStatus.SUCCESS
    )
    names = (
        *("completed_on", "transaction__disposition", "transaction__payment_method"),
        *("order__order_type", "order__service_type"),
        *("transaction__config_version_id", "transaction__is_mock"),
    )
    for day, disposition, method, *facts, number, amount in _grouped(rows, names, "refund_amount"):
        yield day, _cell(accounts, method, *facts), disposition, number, amount


def _grouped(rows: QuerySet[Any], names: tuple[str, ...], amount: str) -> Iterator[tuple[Any, ...]]:
    expression, to_money = exact_sum(amount, using=rows.db)
    groups = rows.order_by().values_list(*names).annotate(number=Count("pk"), total=expression)
    for *facts, number, total in groups:
        yield *facts, number, to_money(total)


def _cell(
    accounts: Accounts,
    method: str,
    order_type: str,
    service: str,
    version_id: UUID | None,
    is_mock: bool,
) -> Cell:
    merchant = _number(accounts, method, version_id, is_mock)
    return Cell(method, merchant, order_type, service or order_type)


def _number(accounts: Accounts, method: str, version_id: UUID | None, is_mock: bool) -> str:
    """ "" where no gateway holds it."""
    found = accounts.of(method, version_id, is_mock)
    return found.number if found is not None else ""


def surplus_received(*, using: str = "default") -> QuerySet[PaymentTransaction]:
    """Payments that came late or twice, also those given back since."""
    return PaymentTransaction.objects.using(using).filter(
        disposition__in=SURPLUS_DISPOSITIONS,
        status=TransactionStatus.SUCCESS,
        transaction_type=TransactionType.PAYMENT,
    )


def _surplus(
    first: date, last: date, accounts: Accounts, using: str
) -> Iterator[tuple[date, str, str, Money]]:
    """These rows keep no day of their own: it follows from their times and from what was closed."""
    rows = surplus_received(using=using).filter(
        Q(booked_at=None) | Q(booked_at__gte=day_start(first) - CLOCKS_DIFFER_BY),
        completed_at__lt=day_start(last + ONE_DAY),
    )
    names = (
        *("payment_method", "config_version_id", "is_mock"),
        *("completed_at", "booked_at", "amount"),
    )
    closed = ClosedDays.read(using=using)
    for method, version_id, is_mock, moved_at, booked_at, amount in rows.values_list(*names):
        day = closed.day_of(moved_at, booked_at)
        if first <= day <= last:
            yield day, method, _number(accounts, method, version_id, is_mock), amount


def _late(first: date, last: date, using: str) -> Iterator[tuple[date, Sums]]:
    """What of the days' money moved on a day before: on a closed one."""
    orders = PaymentOrder.objects.using(using).filter(paid_on__gte=first, paid_on__lte=last)
    for day, number, amount in _moved(orders, "paid_on", "payment_time", "amount"):
        yield day, Sums(receipts_number=number, receipts=amount)
    refunds = Refund.objects.using(using).filter(
        completed_on__gte=first,
        completed_on__lte=last,
        status=RefundStatus.SUCCESS,
        transaction__disposition=Disposition.APPLIED,
    )
    for day, number, amount in _moved(refunds, "completed_on", "completed_at", "refund_amount"):
        yield day, Sums(refunds_number=number, refunds=amount)


def _moved(rows: QuerySet[Any], day: str, moment: str, amount: str) -> Iterator[tuple[Any, ...]]:
    late = rows.annotate(moved=BusinessDay(moment)).filter(**{f"{day}__gt": F("moved")})
    yield from _grouped(late, (day,), amount)


def first_day_with_money(*, using: str = "default") -> date | None:
    """The first day in which anything counts: the first that can be closed."""
    paid = PaymentOrder.objects.using(using).aggregate(day=Min("paid_on"))["day"]
    entries = BalanceTransaction.objects.using(using).aggregate(at=Min("created_at"))["at"]
    came = surplus_received(using=using).aggregate(at=Min("completed_at"))["at"]
    days = [paid, *(business_day(moment) for moment in (entries, came) if moment)]
    return min((day for day in days if day), default=None)
