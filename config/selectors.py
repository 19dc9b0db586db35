"""Reading prices and gateway configuration."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db.models import Q
from django.utils.translation import gettext

from config.crypto import ConfigSecretUnreadable, is_sealed
from config.errors import PriceNotFound
from config.keys import ConfigKey, keys_of
from config.models import (
    PaymentConfig,
    PaymentConfigVersion,
    PriceChangeRequest,
    PriceConfig,
)
from config.price_plan import priced_order_type
from config.versions import ConfigInForce, version_in_force, version_values
from gateways.registry import merchant_of
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.selectors import events_of
from tcmpay.common import clock
from tcmpay.common.api.presenters import present, present_row
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

PRICE_FIELDS = (
    "id",
    "service_type",
    "service_name",
    "order_type",
    "price",
    "discount_price",
    "is_active",
    "effective_date",
    "expiry_date",
    "description",
    "created_at",
    "updated_at",
)
PRICES_CACHE_KEY = "config:prices:2"
MASK = "********"
# How long the previous keys go on verifying callbacks, and how many of them at most.
KEY_OVERLAP = timedelta(days=14)
RECENT_VERSIONS_MAX = 20

PriceRow = dict[str, Any]


# --- prices -----------------------------------------------------------------------------------
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


def prices_list(is_active: bool | None = None) -> list[PriceRow]:
    """All prices, presented, from a cache of at most PRICE_CACHE_SECONDS."""
    rows = _cached_prices()
    if is_active is None:
        return rows
    return [row for row in rows if row["is_active"] is is_active]


def price_today(service_type: str) -> PriceRow:
    """The price in force today, presented, from the same cache. Raises PriceNotFound.

    What is cached is rows, not an answer, so that a new day's price begins at midnight.
    """
    today = clock.today().isoformat()
    running = [
        row
        for row in _cached_prices()
        if row["service_type"] == service_type
        and row["is_active"]
        and row["effective_date"] <= today
        and (row["expiry_date"] is None or row["expiry_date"] >= today)
    ]
    if not running:
        raise PriceNotFound()
    return max(running, key=lambda row: (row["effective_date"], row["id"]))


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
    return present_row(price, PRICE_FIELDS)


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


# --- gateway configuration --------------------------------------------------------------------
def gateway_config_current(method: str) -> ConfigInForce:
    """The version in force and its values (only those that are set).

    A change made by SQL becomes a version of its own here, so that an attempt always has one to
    keep. Raises MethodNotFound and ConfigSecretUnreadable.
    """
    keys_of(method)
    version = version_in_force(method)
    return ConfigInForce(version.id, version_values(version.id))


def gateway_config_version(version_id: UUID) -> dict[str, str]:
    """The values that an attempt began with. Raises ConfigSecretUnreadable."""
    return version_values(version_id)


def gateway_config_for_calls(method: str, began_with: UUID) -> Iterator[ConfigInForce]:
    """With what something that began with a version may be asked about now, the best first.

    The merchant's running keys, whatever keys it began with: a gateway takes no others. Where the
    running configuration is another merchant's, the newest one of its own merchant, in the end the
    very one it began with. Versions whose callback keys were withdrawn are left out: their answers
    could be anybody's.

    Raises ConfigSecretUnreadable: what it began with can't be read, so nobody knows whose it is.
    """
    merchant = merchant_of(method, version_values(began_with))
    for version_id in _calling_versions(method, began_with):
        try:
            values = version_values(version_id)
        except ConfigSecretUnreadable:
            continue
        if merchant_of(method, values) == merchant:
            yield ConfigInForce(version_id, values)


def _calling_versions(method: str, began_with: UUID) -> Iterator[UUID]:
    running = version_in_force(method).id
    yield running
    standing = PaymentConfigVersion.objects.filter(payment_method=method, revoked_at=None)
    newest = standing.exclude(id=running).order_by("-number").values_list("id", flat=True)
    found = list(newest[:RECENT_VERSIONS_MAX])
    yield from found
    if began_with not in {running, *found} and standing.filter(id=began_with).exists():
        yield began_with


def gateway_config_recent(method: str, overlap: timedelta = KEY_OVERLAP) -> list[ConfigInForce]:
    """The version in force, then those retired within ``overlap``, newest first.

    A callback may have been signed, or encrypted, for any of them, but for those whose keys were
    withdrawn: that is read from the database each time, so that it holds at once in every process.
    A retired version that can't be opened is left out; the running one raises
    ConfigSecretUnreadable.
    """
    found = [gateway_config_current(method)]
    retired = PaymentConfigVersion.objects.filter(
        payment_method=method, retired_at__gte=clock.now() - overlap, revoked_at=None
    ).order_by("-number")[:RECENT_VERSIONS_MAX]
    for version in retired:
        try:
            values = version_values(version.id)
        except ConfigSecretUnreadable:
            logger.warning("config_version_unreadable", extra={"config_version": version.number})
            continue
        if all(values != other.values for other in found):
            found.append(ConfigInForce(version.id, values))
    return found


def gateway_config_masked(method: str) -> list[dict[str, Any]]:
    """The configuration as people may see it: what is a secret, or was asked to be, is masked.

    Raises MethodNotFound.
    """
    rows = {row.config_key: row for row in PaymentConfig.objects.filter(payment_method=method)}
    return [
        {
            "config_key": key.name,
            "config_value": shown_value(rows[key.name]),
            "is_encrypted": rows[key.name].is_encrypted,
            "description": shown_description(rows[key.name], key),
            "updated_at": present(rows[key.name].updated_at),
        }
        for key in keys_of(method).values()
        if key.name in rows
    ]


def shown_value(row: PaymentConfig) -> str:
    """The value, or the mask, or nothing where nothing is set."""
    return MASK if row.config_value and is_write_only(row) else row.config_value


def shown_description(row: PaymentConfig, key: ConfigKey) -> str:
    # gettext of an empty text is the catalogue's head, so it is never asked for one.
    return gettext(row.description) if row.description else str(key.description)


def is_write_only(row: PaymentConfig) -> bool:
    """Whether the row's value is never shown: a secret key, an unknown one, or sealed."""
    key = keys_of(row.payment_method).get(row.config_key)
    return key is None or key.is_secret or row.is_encrypted or is_sealed(row.config_value)


def gateway_config_history(method: str, key: str) -> list[AuditEvent]:
    """What happened to one key, newest first."""
    return _newest_first(events_of("payment_config", f"{method}.{key}"))


def _newest_first(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    return sorted(events, key=lambda event: (event.created_at, event.version), reverse=True)
