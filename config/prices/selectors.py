"""Reading prices."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db.models import Q

from config.models import PriceChangeRequest, PriceConfig
from config.prices.errors import PriceNotFound
from config.prices.plan import priced_order_type
from config.prices.serializers import ServicePriceSchema
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.api.presenters import present_row
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

PRICES_CACHE_KEY = "config:prices:2"

PriceRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChargedPrice:
    """A price in force; ``amount`` is what is charged: the discount price where set."""

    id: UUID
    service_type: str
    service_name: str
    order_type: str  # empty: any, see priced_order_type
    price: Money
    discount_price: Money | None
    amount: Money


def price_in_force(service_type: str, day: date) -> ChargedPrice | None:
    """What ``service_type`` costs on the business day ``day``; None when it has no price.

    Reads the database, never the cache: an order is charged by this. Where rows written by SQL
    overlap, the later beginning wins.
    """
    rows = PriceConfig.objects.filter(
        Q(expiry_date__isnull=True) | Q(expiry_date__gte=day),
        service_type=service_type,
        is_active=True,
        effective_date__lte=day,
    ).order_by("-effective_date", "-id")
    for row in rows:
        # MariaDB's comparison ignores case and trailing spaces; a service type does not.
        if row.service_type == service_type:
            return ChargedPrice(
                id=row.id,
                service_type=row.service_type,
                service_name=row.service_name,
                order_type=priced_order_type(row),
                price=row.price,
                discount_price=row.discount_price,
                amount=row.price if row.discount_price is None else row.discount_price,
            )
    return None


def prices_list(*, is_active: bool | None = None, on: date | None = None) -> list[PriceRow]:
    """One period of each service, presented: the one that runs on the business day ``on`` (None:
    today). From a cache of at most PRICE_CACHE_SECONDS.

    A period that was switched off stands for its service only where no other one runs.
    """
    running = {
        row["service_type"]: row
        for row in sorted(_periods_of(on), key=_precedence)
        if is_active is None or row["is_active"] is is_active
    }
    return [running[service_type] for service_type in sorted(running)]


def price_on(service_type: str, on: date | None = None) -> PriceRow:
    """The price in force on the business day ``on`` (None: today), presented, from the same cache.
    Raises PriceNotFound.
    """
    periods = [
        row for row in _periods_of(on) if row["service_type"] == service_type and row["is_active"]
    ]
    if not periods:
        raise PriceNotFound()
    return max(periods, key=_precedence)


def _periods_of(on: date | None) -> list[PriceRow]:
    """What is cached is rows, not an answer, so that a new day's price begins at midnight."""
    day = (on or clock.today()).isoformat()
    return [
        row
        for row in _cached_prices()
        if row["effective_date"] <= day
        and (row["expiry_date"] is None or row["expiry_date"] >= day)
    ]


def _precedence(row: PriceRow) -> tuple[bool, str, str]:
    """As ``price_in_force`` has it: where rows written by SQL overlap, the later beginning wins."""
    return row["is_active"], row["effective_date"], row["id"]


def priced_services() -> dict[str, str]:
    """The services of the price list by their code, each with its newest period's name."""
    newest = PriceConfig.objects.order_by("effective_date")
    return dict(newest.values_list("service_type", "service_name"))


def price_periods(service_type: str) -> list[PriceConfig]:
    """All periods of a service, the earliest first."""
    rows = PriceConfig.objects.filter(service_type=service_type).order_by("effective_date", "id")
    return [row for row in rows if row.service_type == service_type]


def periods_digest(periods: Iterable[PriceConfig]) -> str:
    """What a service's periods were when somebody looked at them, to be compared later."""
    facts = sorted(
        f"{row.id} {row.price:.2f} {row.discount_price} {row.is_active}"
        f" {row.effective_date} {row.expiry_date}"
        for row in periods
    )
    return hashlib.sha256("\n".join(["periods", *facts]).encode()).hexdigest()


def price_row(price: PriceConfig) -> PriceRow:
    return present_row(price, ServicePriceSchema)


def price_history(service_type: str) -> list[AuditEvent]:
    """What happened to all periods of a service, and to what was only asked for, newest first."""
    prices = PriceConfig.objects.filter(service_type=service_type)
    asked = PriceChangeRequest.objects.filter(service_type=service_type)
    return _newest_first(
        AuditEvent.objects.filter(
            Q(object_type="price", object_id__in=[str(row.pk) for row in prices])
            | Q(object_type="price_change", object_id__in=[str(row.pk) for row in asked])
        )
    )


def price_events_since(price_ids: Iterable[str], moment: datetime) -> list[AuditEvent]:
    """What happened to these periods after ``moment``, newest first."""
    return _newest_first(
        AuditEvent.objects.filter(
            object_type="price", object_id__in=list(price_ids), created_at__gt=moment
        )
    )


def _cached_prices() -> list[PriceRow]:
    try:
        cached = cache.get(PRICES_CACHE_KEY)
    except Exception:
        # Whatever the cache's trouble is, prices are answered from the database.
        logger.warning("price_cache_unavailable", exc_info=True)
        cached = None
    if isinstance(cached, list):
        return cached
    rows = [
        price_row(price)
        for price in PriceConfig.objects.order_by("service_type", "-effective_date", "id")
    ]
    try:
        cache.set(PRICES_CACHE_KEY, rows, timeout=settings.PRICE_CACHE_SECONDS)
    except Exception:
        logger.warning("price_cache_unavailable", exc_info=True)
    return rows


def _newest_first(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    return sorted(events, key=lambda event: (event.created_at, event.version), reverse=True)
