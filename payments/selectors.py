"""Reading orders and payments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_datetime

from config.prices.selectors import priced_services
from payments.day_figures import CREATED, PAID, Kept, Period, Source, Total, kept_figures
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import (
    SURPLUS_DISPOSITIONS,
    TransactionStatus,
    TransactionType,
)
from tcmpay.common import clock
from tcmpay.common.db import exact_sum
from tcmpay.common.ids import first_id_at
from tcmpay.common.money import Money
from tcmpay.common.order_types import OrderType

CLOCKS_APART_MAX = timedelta(minutes=10)
# A little less than gateways let a code live: two hours.
CODE_LIVES = timedelta(minutes=115)


def applied_payment(order_id: UUID) -> PaymentTransaction | None:
    """The one payment that is applied to the order."""
    return PaymentTransaction.objects.filter(applied_order_id=order_id).first()


def topups_of(user_id: UUID) -> QuerySet[PaymentOrder]:
    """The user's top-up orders, newest first."""
    orders = PaymentOrder.objects.filter(user_id=user_id, order_type=OrderType.TOPUP)
    return orders.order_by("-created_at", "-id")


def newest_open(order_id: UUID | OuterRef) -> QuerySet[PaymentTransaction]:
    """The order's attempts that may still be paid, the newest first."""
    return PaymentTransaction.objects.open().filter(order_id=order_id).order_by("-initiated_at")


def answer_age(attempt: PaymentTransaction) -> timedelta:
    """How long ago the gateway answered its newest start: what it handed out lives from there."""
    answered_at = parse_datetime((attempt.response_data or {}).get("answered_at") or "")
    return clock.now() - (answered_at or attempt.initiated_at)


def code_of(attempt: PaymentTransaction) -> str:
    """The text of its QR code; "" without one, or when it is dead by now: a new start brings
    another."""
    if answer_age(attempt) >= CODE_LIVES:
        return ""
    return str((attempt.response_data or {}).get("qr_code") or "")


def shown_code(order_id: UUID) -> str:
    """The QR text of the order's newest open attempt; "" when it shows none."""
    attempt = newest_open(order_id).first()
    return code_of(attempt) if attempt else ""


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
    period = Period.of(start_date, end_date)
    kept = kept_figures(period, user_id)
    created = _counted(CREATED, CREATED.parts(period, user_id, kept), kept)
    paid = _counted(PAID, PAID.parts(period, user_id, kept), kept)
    return OrderStatistics(created.number, created.amount, paid.number, paid.amount)


def _counted(source: Source, parts: Iterable[QuerySet[Any]], kept: Mapping[str, Kept]) -> Total:
    total: Total = kept.get(source.kind, Total())
    for rows in parts:
        expression, to_money = exact_sum(source.amount, using=rows.db)
        found = rows.aggregate(number=Count("pk"), amount=expression)
        total += Total(found["number"], to_money(found["amount"] or 0))
    return total
