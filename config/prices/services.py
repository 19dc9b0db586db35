"""Changing prices, at once or by a second person. Nothing else writes their tables.

The service's periods are always locked before a request, so that confirming a change and changing
the price directly never wait for each other.
"""

import logging
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, overload
from uuid import UUID

from django.core.cache import cache
from django.db import IntegrityError
from django.db.transaction import on_commit

from config.models import PriceChangeRequest, PriceChangeStatus, PriceConfig
from config.prices.errors import (
    PriceChangeDecided,
    PriceChangeIsOwn,
    PriceChangeNeedsSecondPerson,
    PriceChangeOutdated,
    PriceChangeWaiting,
    PricesChangedMeanwhile,
)
from config.prices.guard import guarded_plan
from config.prices.plan import PriceChange, PricePlan, Slip, change_from_json, change_to_json
from config.prices.selectors import PRICES_CACHE_KEY, periods_digest
from tcmpay.audit.services import audit_record
from tcmpay.audit.transitions import row_write
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.api.presenters import present
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import ObjectNotFound
from tcmpay.common.money import format_money

logger = logging.getLogger(__name__)

AUDIT_OBJECT = "price"
REQUEST_AUDIT_OBJECT = "price_change"


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


@overload
def price_change(
    *, actor: Actor, change: PriceChange, limit_percent: int = ..., may_wait: Literal[False] = ...
) -> PriceConfig: ...


@overload
def price_change(
    *,
    actor: Actor,
    change: PriceChange,
    limit_percent: int,
    may_wait: Literal[True],
    reason: str,
    seen: str,
    restored_from: UUID | None = ...,
) -> PriceConfig | PriceChangeRequest: ...


def price_change(
    *,
    actor: Actor,
    change: PriceChange,
    limit_percent: int = 0,
    may_wait: bool = False,
    reason: str = "",
    seen: str | None = None,
    restored_from: UUID | None = None,
) -> PriceConfig | PriceChangeRequest:
    """Change a price: the period as it is now or, where one person may not, what waits for another.

    A change that moves what is charged by more than ``limit_percent`` (0: no limit) needs a second
    person: it is refused unless it ``may_wait``. ``seen`` is the digest of the periods that the
    person looked at.

    Raises:
        InvalidInput: periods would overlap or be changed after their end, the discount is above
            the price, the expiry before the beginning, or a name is missing.
        PriceChangeNeedsSecondPerson, PriceChangeWaiting (another one of this service waits),
        PricesChangedMeanwhile: nothing is written.
    """
    because = Because(reason=reason, restored_from=restored_from)

    @money_unit
    def price_write_or_request() -> PriceConfig | PriceChangeRequest:
        periods = _periods_lock(change.service_type)
        if seen is not None and seen != periods_digest(periods):
            raise PricesChangedMeanwhile()
        plan = guarded_plan(periods, change)
        if plan.slip is None or not is_beyond(plan, limit_percent):
            return _plan_write(actor, plan, because)
        if not may_wait:
            raise PriceChangeNeedsSecondPerson(percent=plan.slip.percent)
        if PriceChangeRequest.objects.filter(waiting_service=change.service_type).exists():
            raise PriceChangeWaiting()
        return _request(actor, change, plan.slip, because)

    try:
        return price_write_or_request()
    except IntegrityError:
        # Somebody began the same period, or asked for another change, in between, and there was no
        # row to wait for.
        return price_write_or_request()


def is_beyond(plan: PricePlan, limit_percent: int) -> bool:
    """Whether what is charged moves by more than ``limit_percent`` (0: no limit)."""
    return bool(limit_percent) and plan.slip is not None and plan.slip.percent > limit_percent


def _request(actor: Actor, change: PriceChange, slip: Slip, because: Because) -> PriceChangeRequest:
    wanted = change_to_json(change)
    if because.restored_from is not None:
        wanted["restored_from"] = str(because.restored_from)
    request = PriceChangeRequest(
        service_type=change.service_type,
        waiting_service=change.service_type,
        wanted=wanted,
        amount_before=slip.before,
        amount_after=slip.after,
        percent=slip.percent,
        reason=because.reason,
        requested_by=actor.id,
        created_at=clock.now(),
    )
    request.save(force_insert=True)
    _audit_request(actor, request, "price_change_requested", because.reason)
    return request


@money_unit
def price_change_confirm(*, actor: Actor, request_id: UUID, notes: str = "") -> PriceConfig:
    """Carry out what somebody else asked for.

    Raises ObjectNotFound, PriceChangeIsOwn, PriceChangeDecided, PriceChangeOutdated, and
    InvalidInput when it no longer fits; it goes on waiting then.
    """
    periods, request = _lock(request_id)
    request.ensure_may_answer(actor, decided=PriceChangeDecided, own=PriceChangeIsOwn)
    change = change_due(request)
    is_new = all(period.effective_date != change.effective_date for period in periods)
    if change.effective_date and change.effective_date < clock.today() and is_new:
        raise PriceChangeOutdated()
    plan = guarded_plan(periods, change)
    restored = request.wanted.get("restored_from")
    because = Because(
        reason=request.reason,
        restored_from=UUID(restored) if restored else None,
        requested_by=request.requested_by,
    )
    row = _plan_write(actor, plan, because)
    _decide(actor, request, PriceChangeStatus.CONFIRMED, notes)
    return row


@money_unit
def price_change_refuse(*, actor: Actor, request_id: UUID, notes: str) -> None:
    """Raises ObjectNotFound, PriceChangeIsOwn, PriceChangeDecided."""
    _periods, request = _lock(request_id)
    request.ensure_may_answer(actor, decided=PriceChangeDecided, own=PriceChangeIsOwn)
    _decide(actor, request, PriceChangeStatus.REFUSED, notes)


@money_unit
def price_change_withdraw(*, actor: Actor, request_id: UUID, notes: str = "") -> None:
    """Taken back by whoever asked. Raises ObjectNotFound, PriceChangeDecided."""
    _periods, request = _lock(request_id)
    request.ensure_may_withdraw(actor, decided=PriceChangeDecided, others=ObjectNotFound)
    _decide(actor, request, PriceChangeStatus.WITHDRAWN, notes)


def _lock(request_id: UUID) -> tuple[list[PriceConfig], PriceChangeRequest]:
    found = PriceChangeRequest.objects.filter(id=request_id).first()
    if found is None:
        raise ObjectNotFound()
    periods = _periods_lock(found.service_type)
    return periods, PriceChangeRequest.objects.select_for_update().get(id=request_id)


def _decide(
    actor: Actor, request: PriceChangeRequest, status: PriceChangeStatus, notes: str
) -> None:
    row_write(request, status=status, waiting_service=None, **request.answering(actor, notes))
    _audit_request(actor, request, f"price_change_{status}", notes, to_state=status)


def _audit_request(
    actor: Actor, request: PriceChangeRequest, action: str, reason: str, to_state: str = ""
) -> None:
    audit_record(
        object_type=REQUEST_AUDIT_OBJECT,
        object_id=request.id,
        action=action,
        actor=actor,
        reason=reason,
        from_state=PriceChangeStatus.PENDING if to_state else "",
        to_state=to_state or PriceChangeStatus.PENDING,
        details={
            "service_type": request.service_type,
            "before": {"amount": format_money(request.amount_before)},
            "after": {"amount": format_money(request.amount_after)},
            "percent": str(request.percent),
        },
    )


def change_due(request: PriceChangeRequest) -> PriceChange:
    """The change that waits, as it would be carried out now: one that was to be in force at once
    begins on the day on which it is confirmed."""
    change, today = change_from_json(request.service_type, request.wanted), clock.today()
    if change.effective_date == clock.business_day(request.created_at) < today:
        return replace(change, effective_date=today)
    return change


# --- writing ------------------------------------------------------------------------------------
def _periods_lock(service_type: str) -> list[PriceConfig]:
    """All periods of a service, locked, with those of all others: a service that has none yet
    has no row that could be locked."""
    everything = PriceConfig.objects.select_for_update().order_by("id")
    return [row for row in everything if row.service_type == service_type]


def _plan_write(actor: Actor, plan: PricePlan, because: Because) -> PriceConfig:
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
    columns_write(row, expiry_date=row.expiry_date, updated_at=clock.now())
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
