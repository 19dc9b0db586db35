"""Changing prices. Nothing else writes their table."""

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db import IntegrityError
from django.db.transaction import on_commit

from config.models import PriceConfig
from config.prices.errors import PriceChangeNeedsSecondPerson, PricesChangedMeanwhile
from config.prices.guard import guarded_plan
from config.prices.plan import UNSET, Maybe, PriceChange, PricePlan
from config.prices.selectors import PRICES_CACHE_KEY, periods_digest
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.api.presenters import present
from tcmpay.common.db import money_unit
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

AUDIT_OBJECT = "price"


def price_set(
    *,
    actor: Actor,
    service_type: str,
    price: Money,
    service_name: str | None = None,
    discount_price: Money | Maybe | None = UNSET,
    is_active: bool | None = None,
    effective_date: date | None = None,
    expiry_date: date | Maybe | None = UNSET,
    description: str | None = None,
    order_type: str | None = None,
    guard_percent: int = 0,
) -> PriceConfig:
    """Change the running price of a service, or begin a new period.

    Without ``effective_date``, or with that of a period that has not ended, that period is
    changed and keeps whatever was not given. A later ``effective_date`` begins a new period: the
    one before ends the day before, and the new one has its own discount and expiry (none unless
    given; the day before the next period where there is one). A service that is not known yet
    needs a ``service_name``; ``order_type`` says which orders it prices, "other" unless it is
    named after one, and never changes. None clears a discount or an expiry date.

    Raises:
        InvalidInput: periods would overlap or be changed after their end, the discount is above
            the price, the expiry before the beginning, or a name is missing.
        PriceChangeNeedsSecondPerson: it moves what is charged by more than ``guard_percent``
            (0: any change goes through); nothing is written.
    """
    change = PriceChange(
        service_type=service_type,
        price=price,
        service_name=service_name,
        discount_price=discount_price,
        is_active=is_active,
        effective_date=effective_date,
        expiry_date=expiry_date,
        description=description,
        order_type=order_type,
    )
    return price_change_apply(actor=actor, change=change, guard_percent=guard_percent)


def price_change_apply(
    *,
    actor: Actor,
    change: PriceChange,
    guard_percent: int = 0,
    reason: str = "",
    restored_from: UUID | None = None,
    seen: str = "",
) -> PriceConfig:
    """As price_set, with a reason; ``seen`` is the digest of the periods that were previewed.

    Raises also PricesChangedMeanwhile: the periods are others than those that were seen.
    """
    because = Because(reason=reason, restored_from=restored_from)

    def unit() -> PriceConfig:
        return _price_set(
            actor=actor, change=change, guard_percent=guard_percent, because=because, seen=seen
        )

    try:
        return unit()
    except IntegrityError:
        # Somebody began the same period in between, and there was no row to wait for.
        return unit()


@dataclass(frozen=True, slots=True)
class Because:
    """Why a price is changed, for the audit trail."""

    reason: str = ""
    restored_from: UUID | None = None
    requested_by: UUID | None = None

    @property
    def facts(self) -> dict[str, str]:
        given = {"restored_from": self.restored_from, "requested_by": self.requested_by}
        return {name: str(value) for name, value in given.items() if value is not None}


@money_unit
def _price_set(
    *, actor: Actor, change: PriceChange, guard_percent: int, because: Because, seen: str
) -> PriceConfig:
    periods = price_periods_lock(change.service_type)
    if seen and seen != periods_digest(periods):
        raise PricesChangedMeanwhile()
    plan = guarded_plan(periods, change)
    if guard_percent and plan.slip and plan.slip.percent > guard_percent:
        raise PriceChangeNeedsSecondPerson(percent=plan.slip.percent)
    return price_plan_write(actor, plan, because)


def price_periods_lock(service_type: str) -> list[PriceConfig]:
    """All periods of a service, locked, with those of all others: a service that has none yet
    has no row that could be locked."""
    everything = PriceConfig.objects.select_for_update().order_by("id")
    return [row for row in everything if row.service_type == service_type]


def price_plan_write(actor: Actor, plan: PricePlan, because: Because) -> PriceConfig:
    """Carry out a plan made on locked periods, inside the caller's transaction."""
    row = plan.row
    if plan.ended is not None:
        _price_end(actor, plan.ended, plan.ended_before, because)
    if plan.is_new:
        row.save(force_insert=True)
        names = [
            "order_type",
            "price",
            "discount_price",
            "is_active",
            "effective_date",
            "expiry_date",
        ]
        _audit_price(actor, row, "price_created", {"after": _facts(row, names)}, because)
    elif plan.before:
        row.updated_at = clock.now()
        row.save(update_fields=[*plan.before, "updated_at"])
        before = {name: present(value) for name, value in plan.before.items()}
        facts = {"before": before, "after": _facts(row, list(plan.before))}
        _audit_price(actor, row, "price_changed", facts, because)
    on_commit(price_cache_forget)
    return row


def _price_end(actor: Actor, row: PriceConfig, before: date | None, because: Because) -> None:
    row.updated_at = clock.now()
    row.save(update_fields=["expiry_date", "updated_at"])
    facts = {
        "before": {"expiry_date": present(before)},
        "after": {"expiry_date": present(row.expiry_date)},
    }
    _audit_price(actor, row, "price_ended", facts, because)


def _facts(row: PriceConfig, names: list[str]) -> dict[str, Any]:
    return {name: present(getattr(row, name)) for name in names}


def _audit_price(
    actor: Actor, row: PriceConfig, action: str, facts: dict[str, Any], because: Because
) -> None:
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=row.id,
        action=action,
        actor=actor,
        reason=because.reason,
        details={"service_type": row.service_type, **facts, **because.facts},
    )


def price_cache_forget() -> None:
    """Let the next answer be read from the database; a broken cache ends by its timeout."""
    try:
        cache.delete(PRICES_CACHE_KEY)
    except Exception:
        logger.warning("price_cache_unavailable", exc_info=True)
