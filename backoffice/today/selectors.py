"""What the back office reads across rooms: how orders stand and what waits for somebody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet

from backoffice.cases.words import is_of_bills
from balances.models import AdjustmentStatus, BalanceAdjustment, UserBalance
from balances.selectors import unadopted_openings
from config.gateways.examine import expiries_current
from config.models import GatewayMethod, PriceChangeRequest, PriceChangeStatus
from gateways.findings import EXPIRY_WARNING_DAYS
from gateways.key_texts import Expiry
from payments.models import (
    PaymentCallback,
    PaymentException,
    PaymentOrder,
    PaymentTransaction,
)
from payments.selectors import surplus_payments
from payments.states import HELD_VERDICTS, OrderStatus
from reconciliation.models import DailyClose, DayReopening
from reconciliation.states import CloseStatus, ReopeningStatus
from refunds.models import Refund, RefundBulk
from refunds.services.funds import WAITS
from refunds.services.own_cases import is_to_retry
from refunds.states import BulkStatus, RefundStatus
from tcmpay.common import clock
from webhooks.models import WebhookEndpoint
from webhooks.selectors import deliveries_owed

COUNT_MAX = 10_000


def orders_by_state(first: date, last: date) -> Mapping[tuple[date, str], int]:
    """How many orders were created on each business day, by the state that they are in now."""
    orders = PaymentOrder.objects.filter(created_on__gte=first, created_on__lte=last)
    groups = orders.order_by().values_list("created_on", "status").annotate(rows=Count("pk"))
    return {(day, status): count for day, status, count in groups}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for somebody, each figure counted up to COUNT_MAX."""

    orders: int
    refunds: int
    oldest_refund: datetime | None
    refunds_processing: int
    oldest_processing: datetime | None
    refunds_short: int
    refunds_failed: int
    bulks: int
    bill_cases: int
    cases: int
    closes: int
    reopenings: int
    callbacks_held: int
    surplus_held: int
    openings: int
    adjustments: int
    price_changes: int
    events: "EventsWaiting"


def waiting(held_since: date) -> Waiting:
    """What waits now; callbacks held for staff are those received since ``held_since``."""
    queue = Refund.objects.filter(status=RefundStatus.PENDING)
    processing = Refund.objects.filter(status=RefundStatus.PROCESSING)
    return Waiting(
        orders=bounded_count(PaymentOrder.objects.filter(status=OrderStatus.PENDING)),
        refunds=bounded_count(queue),
        oldest_refund=_oldest(queue),
        refunds_processing=bounded_count(processing),
        oldest_processing=_oldest(processing),
        refunds_short=bounded_count(Refund.objects.filter(WAITS)),
        refunds_failed=bounded_count(Refund.objects.filter(is_to_retry())),
        bulks=bounded_count(RefundBulk.objects.filter(status=BulkStatus.PENDING)),
        bill_cases=bounded_count(PaymentException.objects.filter(is_of_bills(), closed_at=None)),
        cases=bounded_count(PaymentException.objects.filter(~is_of_bills(), closed_at=None)),
        closes=bounded_count(DailyClose.objects.filter(status=CloseStatus.PENDING)),
        reopenings=bounded_count(DayReopening.objects.filter(status=ReopeningStatus.PENDING)),
        callbacks_held=bounded_count(callbacks_held(held_since)),
        surplus_held=bounded_count(surplus_held()),
        openings=bounded_count(openings()),
        adjustments=bounded_count(
            BalanceAdjustment.objects.filter(status=AdjustmentStatus.PENDING)
        ),
        price_changes=bounded_count(
            PriceChangeRequest.objects.filter(status=PriceChangeStatus.PENDING)
        ),
        events=events_waiting(),
    )


@dataclass(frozen=True, slots=True)
class EventsWaiting:
    """What the platform is not told, until somebody acts."""

    endpoints_disabled: int
    deliveries_owed: int


def events_waiting() -> EventsWaiting:
    return EventsWaiting(
        endpoints_disabled=bounded_count(WebhookEndpoint.objects.disabled_by_itself()),
        deliveries_owed=bounded_count(deliveries_owed()),
    )


def _oldest(refunds: QuerySet[Refund]) -> datetime | None:
    return refunds.order_by("created_at").values_list("created_at", flat=True).first()


def callbacks_held(since: date) -> QuerySet[PaymentCallback]:
    return PaymentCallback.objects.filter(
        verdict__in=HELD_VERDICTS, received_at__gte=clock.day_start(since)
    )


def surplus_held() -> QuerySet[PaymentTransaction]:
    return surplus_payments()


def openings() -> QuerySet[UserBalance]:
    return unadopted_openings()


def certificates_ending() -> list[Expiry]:
    """The gateways' certificates that have ended or soon will, the first one first."""
    found = [one for method in GatewayMethod.values for one in expiries_current(method)]
    ending = [one for one in found if one.days_left < EXPIRY_WARNING_DAYS]
    return sorted(ending, key=lambda one: one.ends_at)


def refund_queue_length() -> int:
    return bounded_count(Refund.objects.filter(status=RefundStatus.PENDING))


def bounded_count(rows: QuerySet[Any]) -> int:
    """How many, but not further than to COUNT_MAX."""
    return min(rows.order_by()[: COUNT_MAX + 1].count(), COUNT_MAX)


def days_back(last: date, number: int) -> list[date]:
    """``number`` business days up to ``last``, oldest first."""
    return [last - timedelta(days=back) for back in range(number - 1, -1, -1)]
