"""Reading orders and payments."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from config.prices.selectors import priced_services
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import (
    PAID_STATUSES,
    SURPLUS_DISPOSITIONS,
    TransactionStatus,
    TransactionType,
)
from tcmpay.common.clock import business_day, day_start
from tcmpay.common.db import exact_sum
from tcmpay.common.ids import first_id_at
from tcmpay.common.money import ZERO, Money
from tcmpay.common.order_types import OrderType

CLOCKS_APART_MAX = timedelta(minutes=10)


def in_period(
    rows: QuerySet[Any], field: str, start: date | None, end: date | None
) -> QuerySet[Any]:
    """Those whose ``field`` (a moment or a day) is ``start`` or later and before ``end``."""
    if start is not None:
        rows = rows.filter(**{f"{field}__gte": start})
    if end is not None:
        rows = rows.filter(**{f"{field}__lt": end})
    return rows


def applied_payment(order_id: UUID) -> PaymentTransaction | None:
    """The one payment that is applied to the order."""
    return PaymentTransaction.objects.filter(applied_order_id=order_id).first()


def shown_code(order_id: UUID) -> str:
    """The QR text of the order's newest open attempt; "" when it shows none."""
    attempts = PaymentTransaction.objects.open().filter(order_id=order_id)
    attempt = attempts.order_by("-initiated_at").first()
    return str(((attempt.response_data if attempt else None) or {}).get("qr_code") or "")


def begun_since(moment: datetime) -> Q:
    """Attempts begun since ``moment``, found by their key: it grows with time."""
    # Hosts' clocks make the keys, the database's clock the moments.
    return Q(pk__gte=first_id_at(moment - CLOCKS_APART_MAX), initiated_at__gte=moment)


def in_service(code: str, order: str = "") -> Q:
    """Orders of a service: by its code, or by the order's type where no service was named.

    ``order`` is the way from the row to its order, ending in ``__``.
    """
    return Q(**{f"{order}service_type": code}) | Q(
        **{f"{order}service_type": "", f"{order}order_type": code}
    )


def service_names() -> dict[str, str]:
    """What services are called, by their code: as in the price list, else by the order's type."""
    names = {str(code): str(name) for code, name in OrderType.choices}
    return names | priced_services()


def surplus_payments() -> QuerySet[PaymentTransaction]:
    """Money that came late or twice and is not given back (or held for it) in full."""
    return PaymentTransaction.objects.filter(
        disposition__in=SURPLUS_DISPOSITIONS,
        status=TransactionStatus.SUCCESS,
        transaction_type=TransactionType.PAYMENT,
        refund_reserved__lt=F("amount"),
    ).order_by("initiated_at")


@dataclass(frozen=True, slots=True)
class OrderStatistics:
    """Counts and sums (yuan) of one user's or everybody's orders in a period."""

    total_orders: int
    total_amount: Money
    paid_orders: int
    paid_amount: Money


def order_statistics(
    *,
    user_id: UUID | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
) -> OrderStatistics:
    """``total_*`` by created_at, ``paid_*`` by the day of money, also when refunded later."""
    orders = PaymentOrder.objects.all()
    if user_id is not None:
        orders = orders.filter(user_id=user_id)
    paid = orders.filter(status__in=PAID_STATUSES)
    total = parts_of_period(orders, "created_on", "created_at", start_date, end_date)
    received = parts_of_period(paid, "paid_on", "payment_time", start_date, end_date)
    return OrderStatistics(*_number_and_sum(total), *_number_and_sum(received))


def _number_and_sum(parts: Iterable[QuerySet[PaymentOrder]]) -> tuple[int, Money]:
    number, amount = 0, ZERO
    for rows in parts:
        expression, to_money = exact_sum("amount", using=rows.db)
        found = rows.aggregate(number=Count("pk"), amount=expression)
        number += found["number"]
        amount += to_money(found["amount"] or 0)
    return number, amount


def parts_of_period(
    rows: QuerySet[Any], day: str, moment: str, start: datetime | None, end: datetime | None
) -> Iterator[QuerySet[Any]]:
    """The rows of a period, none twice: its whole business days by their ``day``, whose index
    holds all that is summed, and what is left of the days at both ends by their ``moment``.

    What counts in a later day than that of its moment, as that was closed, lies at the later day's
    beginning.
    """
    if start and end and start >= end:
        return
    first = business_day(start) if start else None
    last = business_day(end) if end else None  # belongs to it in part, or not at all
    begins_within = bool(start and first and day_start(first) < start)
    ends_within = bool(end and last and day_start(last) < end)
    if begins_within and first == last:
        yield in_period(rows.filter(**{day: first}), moment, start, end)
        return
    if begins_within and first:
        yield in_period(rows.filter(**{day: first}), moment, start, None)
        first += timedelta(days=1)
    if first is None or first != last:
        yield in_period(rows, day, first, last)
    if ends_within:
        yield in_period(rows.filter(**{day: last}), moment, None, end)
