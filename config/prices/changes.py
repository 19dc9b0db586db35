"""Changes of a price that wait for a second person. Nothing else writes their table.

The service's periods are always locked before the request, so that confirming a change and
changing the price directly never wait for each other.
"""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from config.models import PriceChangeRequest, PriceChangeStatus, PriceConfig
from config.prices.errors import (
    PriceChangeDecided,
    PriceChangeIsOwn,
    PriceChangeOutdated,
    PriceChangeWaiting,
    PricesChangedMeanwhile,
)
from config.prices.guard import guarded_plan
from config.prices.plan import UNSET, PriceChange, PricePlan, Slip
from config.prices.selectors import periods_digest
from config.prices.services import Because, price_periods_lock, price_plan_write
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.errors import ObjectNotFound
from tcmpay.common.money import format_money, parse_money
from tcmpay.common.second_person import is_somebody_else
from tcmpay.common.transitions import ensure_one

AUDIT_OBJECT = "price_change"


def needs_second_person(plan: PricePlan) -> bool:
    """Whether what is charged moves further than one person may move it."""
    limit = settings.PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT
    return bool(limit) and plan.slip is not None and plan.slip.percent > limit


def price_change_submit(
    *,
    actor: Actor,
    change: PriceChange,
    reason: str,
    seen: str,
    restored_from: UUID | None = None,
) -> PriceConfig | PriceChangeRequest:
    """Carry the change out, or let it wait for a second person where it goes too far.

    ``seen`` is the digest of the periods that the person looked at.
    Raises InvalidInput, PricesChangedMeanwhile, PriceChangeWaiting.
    """
    try:
        return _submit(
            actor=actor, change=change, reason=reason, seen=seen, restored_from=restored_from
        )
    except IntegrityError as error:
        # The database's own word: another change of this service, or the same period, came first.
        if _waiting(change.service_type):
            raise PriceChangeWaiting() from error
        raise PricesChangedMeanwhile() from error


@money_unit
def _submit(
    *, actor: Actor, change: PriceChange, reason: str, seen: str, restored_from: UUID | None
) -> PriceConfig | PriceChangeRequest:
    periods = price_periods_lock(change.service_type)
    if seen != periods_digest(periods):
        raise PricesChangedMeanwhile()
    plan = guarded_plan(periods, change)
    if plan.slip is None or not needs_second_person(plan):
        because = Because(reason=reason, restored_from=restored_from)
        return price_plan_write(actor, plan, because)
    if _waiting(change.service_type):
        raise PriceChangeWaiting()
    return _request(actor, change, plan.slip, reason, restored_from)


def _request(
    actor: Actor, change: PriceChange, slip: Slip, reason: str, restored_from: UUID | None
) -> PriceChangeRequest:
    wanted = change_to_json(change)
    if restored_from is not None:
        wanted["restored_from"] = str(restored_from)
    request = PriceChangeRequest(
        service_type=change.service_type,
        waiting_service=change.service_type,
        wanted=wanted,
        amount_before=slip.before,
        amount_after=slip.after,
        percent=slip.percent,
        reason=reason,
        requested_by=actor.id,
        created_at=clock.now(),
    )
    request.save(force_insert=True)
    _audit(actor, request, "price_change_requested", reason)
    return request


@money_unit
def price_change_confirm(*, actor: Actor, request_id: UUID, notes: str = "") -> PriceConfig:
    """Carry out what somebody else asked for.

    Raises ObjectNotFound, PriceChangeIsOwn, PriceChangeDecided, PriceChangeOutdated, and
    InvalidInput when it no longer fits; it goes on waiting then.
    """
    periods, request = _lock(request_id)
    _ensure_may_decide(actor, request)
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
    row = price_plan_write(actor, plan, because)
    _decide(actor, request, PriceChangeStatus.CONFIRMED, notes)
    return row


@money_unit
def price_change_refuse(*, actor: Actor, request_id: UUID, notes: str) -> None:
    """Raises ObjectNotFound, PriceChangeIsOwn, PriceChangeDecided."""
    _periods, request = _lock(request_id)
    _ensure_may_decide(actor, request)
    _decide(actor, request, PriceChangeStatus.REFUSED, notes)


@money_unit
def price_change_withdraw(*, actor: Actor, request_id: UUID, notes: str = "") -> None:
    """Taken back by whoever asked. Raises ObjectNotFound, PriceChangeDecided."""
    _periods, request = _lock(request_id)
    if request.requested_by != actor.id:
        raise ObjectNotFound()
    if request.status != PriceChangeStatus.PENDING:
        raise PriceChangeDecided()
    _decide(actor, request, PriceChangeStatus.WITHDRAWN, notes)


def _lock(request_id: UUID) -> tuple[list[PriceConfig], PriceChangeRequest]:
    found = PriceChangeRequest.objects.filter(id=request_id).first()
    if found is None:
        raise ObjectNotFound()
    periods = price_periods_lock(found.service_type)
    return periods, PriceChangeRequest.objects.select_for_update().get(id=request_id)


def _ensure_may_decide(actor: Actor, request: PriceChangeRequest) -> None:
    if request.status != PriceChangeStatus.PENDING:
        raise PriceChangeDecided()
    if not is_somebody_else(actor, request.requested_by):
        raise PriceChangeIsOwn()


def _decide(
    actor: Actor, request: PriceChangeRequest, status: PriceChangeStatus, notes: str
) -> None:
    updated = PriceChangeRequest.objects.filter(
        id=request.id, status=PriceChangeStatus.PENDING
    ).update(
        status=status,
        waiting_service=None,
        decided_by=actor.id,
        decided_at=clock.now(),
        decision_notes=notes[:500],
    )
    ensure_one(updated, f"price change {request.id}")
    _audit(actor, request, f"price_change_{status}", notes, to_state=status)


def _audit(
    actor: Actor, request: PriceChangeRequest, action: str, reason: str, to_state: str = ""
) -> None:
    audit_record(
        object_type=AUDIT_OBJECT,
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


def _waiting(service_type: str) -> bool:
    return PriceChangeRequest.objects.filter(waiting_service=service_type).exists()


# --- a change as JSON ---------------------------------------------------------------------------


def change_to_json(change: PriceChange) -> dict[str, Any]:
    """What was given, as text; what was not given is left out."""
    given: dict[str, Any] = {
        "price": format_money(change.price),
        "service_name": change.service_name,
        "is_active": change.is_active,
        "effective_date": _day_text(change.effective_date),
        "description": change.description,
        "order_type": change.order_type,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if change.discount_price is not UNSET:
        discount = change.discount_price
        wanted["discount_price"] = None if discount is None else format_money(discount)
    if change.expiry_date is not UNSET:
        wanted["expiry_date"] = _day_text(change.expiry_date)
    return wanted


def change_of(request: PriceChangeRequest) -> PriceChange:
    """The change that waits."""
    wanted = request.wanted
    discount = wanted.get("discount_price", UNSET)
    return PriceChange(
        service_type=request.service_type,
        price=parse_money(wanted["price"]),
        service_name=wanted.get("service_name"),
        discount_price=parse_money(discount) if isinstance(discount, str) else discount,
        is_active=wanted.get("is_active"),
        effective_date=_day(wanted.get("effective_date")),
        expiry_date=_day(wanted["expiry_date"]) if "expiry_date" in wanted else UNSET,
        description=wanted.get("description"),
        order_type=wanted.get("order_type"),
    )


def change_due(request: PriceChangeRequest) -> PriceChange:
    """The change that waits, as it would be carried out now: one that was to be in force at once
    begins on the day on which it is confirmed."""
    change, today = change_of(request), clock.today()
    if change.effective_date == clock.business_day(request.created_at) < today:
        return replace(change, effective_date=today)
    return change


def _day_text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
