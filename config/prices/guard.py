"""What a change of a price is measured against: not against the small step before it.

Otherwise many changes, each within the bound, would make a large one within a minute. A service
that is new has no price before it: it is measured against the others.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import date, timedelta
from typing import Any

from config.models import PriceConfig
from config.prices.plan import PriceChange, PricePlan, price_plan
from config.prices.selectors import price_events_since
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.money import parse_money

MEASURED_DAYS = 7
# What decides about what is charged, from the text that the audit trail keeps.
READERS: Mapping[str, Any] = {
    "price": parse_money,
    "discount_price": parse_money,
    "is_active": bool,
    "expiry_date": date.fromisoformat,
}

Periods = Mapping[str, PriceConfig]


def guarded_plan(periods: Sequence[PriceConfig], change: PriceChange) -> PricePlan:
    """The plan of ``change`` today, measured. ``periods`` are changed in memory only.

    Raises InvalidInput.
    """
    others = () if periods else _settled_services(change.service_type)
    return price_plan(periods, change, clock.today(), periods_measured(periods), others)


def _settled_services(but: str) -> list[PriceConfig]:
    """The periods of the other services, without those that one person added within the days:
    each could lie just within the bound below the one before it."""
    periods = list(PriceConfig.objects.exclude(service_type=but).order_by("effective_date"))
    rows = {str(period.pk): period for period in periods}
    began: dict[str, str] = {}
    for period in periods:
        began.setdefault(period.service_type, str(period.pk))
    young = {
        rows[event.object_id].service_type
        for event in price_events_since(rows, clock.now() - timedelta(days=MEASURED_DAYS))
        if event.action == "price_created"
        and "requested_by" not in event.details
        and event.object_id in began.values()
    }
    return [period for period in periods if period.service_type not in young]


def periods_measured(periods: Sequence[PriceConfig]) -> list[PriceConfig]:
    """Copies of ``periods`` as they stood a week ago, or when two people last agreed on them.

    Of a service that is younger, as they stood first. What was changed by SQL counts as if it had
    always been so: the audit trail knows nothing of it.
    """
    rows = {str(period.pk): copy(period) for period in periods}
    for event in price_events_since(rows, clock.now() - timedelta(days=MEASURED_DAYS)):
        if "requested_by" in event.details:
            break  # whoever confirmed it saw all periods as they became
        earlier = _undone(rows, event)
        if not earlier:
            break
        rows = earlier
    return list(rows.values())


def _undone(rows: Periods, event: AuditEvent) -> dict[str, PriceConfig]:
    if event.action == "price_created":
        return {key: row for key, row in rows.items() if key != event.object_id}
    if event.object_id not in rows:
        return dict(rows)  # two hosts' clocks: written after its row was created, dated before
    row = copy(rows[event.object_id])
    for name, value in event.details.get("before", {}).items():
        if name in READERS:
            setattr(row, name, None if value is None else READERS[name](value))
    return {**rows, event.object_id: row}
