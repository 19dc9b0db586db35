"""The platform is told of every change that it was promised, and of nothing else (E3).

Each change of state that the trail tells has its event, of that type and with that version; each
event has its change. Of what is kept: events are deleted after 90 days, and what the trail told
before the product knew events has none.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _

from payments.events import CASE, ORDER, ORDER_EVENTS, TOPUP
from payments.services.exceptions import AUDIT_OBJECT as CASE_IN_TRAIL
from refunds.events import REFUND, REFUND_EVENTS
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.ids import first_id_at
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from webhooks.models import WebhookEvent
from webhooks.selectors import promised_from
from webhooks.services.purging import KEPT
from webhooks.states import EventType

BATCH = 1000
# What the purge may be deleting while we look, and hosts' clocks, by which ids are made.
LEEWAY = timedelta(days=1)
TOLD_AS: Mapping[str, str] = {"order": ORDER, "refund": REFUND, CASE_IN_TRAIL: CASE}
IN_TRAIL: Mapping[str, str] = {event: trail for trail, event in TOLD_AS.items()} | {TOPUP: "order"}


class Version(NamedTuple):
    """One version of an object, as its events are called."""

    object_type: str
    object_id: str
    number: int


def promised(event: AuditEvent) -> EventType | None:
    """The type of event that a change in the trail promises; None: nobody is told of it."""
    if event.object_type == CASE_IN_TRAIL:
        return EventType.CASE_OPENED if event.action == "exception_opened" else None
    is_change = event.from_state != event.to_state or event.action == "order_refunded"
    if not is_change:
        return None
    table = ORDER_EVENTS if event.object_type == "order" else REFUND_EVENTS
    return table.get(event.to_state)


def check_told(scope: Scope) -> Iterator[Violation]:
    begin = _begin(scope)
    trail = AuditEvent.objects.using(scope.using).filter(
        object_type__in=TOLD_AS, created_at__gte=begin, id__gte=first_id_at(begin - LEEWAY)
    )
    for batch in batches(in_chunks(trail, "id"), BATCH):
        expected = {
            Version(TOLD_AS[row.object_type], row.object_id, row.version): event
            for row in batch
            if (event := promised(row)) is not None
        }
        events = _events(scope, expected)
        for version, event in expected.items():
            found = events.get(version)
            if found is None:
                yield _violation(version, _("状态变化没有对应的事件：%(type)s") % {"type": event})
            elif found.type != event:
                text = _("事件的类型与审计记录不符：应为 %(type)s") % {"type": event}
                yield _violation(version, text)
            elif event == EventType.ORDER_PAID and found.data.get("order_type") == TOPUP:
                credited = version._replace(object_type=TOPUP)
                if credited not in events:
                    yield _violation(credited, _("充值没有对应的事件"))


def check_events(scope: Scope) -> Iterator[Violation]:
    begin = _begin(scope)
    events = WebhookEvent.objects.using(scope.using).filter(
        created_at__gte=begin, id__gte=first_id_at(begin - LEEWAY)
    )
    for batch in batches(in_chunks(events, "id"), BATCH):
        told = {
            (event.object_type, event.object_id, event.version): promised(event)
            for event in AuditEvent.objects.using(scope.using).filter(
                object_id__in={str(event.object_id) for event in batch}
            )
        }
        for event in batch:
            trail = IN_TRAIL.get(event.object_type, "")
            expected = told.get((trail, str(event.object_id), event.object_version))
            is_topup = event.object_type == TOPUP and expected == EventType.ORDER_PAID
            if expected != (EventType.ORDER_PAID if is_topup else event.type):
                version = Version(event.object_type, str(event.object_id), event.object_version)
                yield _violation(version, _("事件没有对应的状态变化（由 SQL 修改或新增）"))


def _begin(scope: Scope) -> datetime:
    """From when on every change has its event, and every event is kept."""
    moments = (clock.now() - KEPT + LEEWAY, promised_from(scope.using), scope.since)
    return max(moment for moment in moments if moment is not None)


def _events(
    scope: Scope, versions: Sequence[Version] | Mapping[Version, object]
) -> dict[Version, WebhookEvent]:
    ids = {version.object_id for version in versions}
    rows = WebhookEvent.objects.using(scope.using).filter(object_id__in=ids)
    return {
        Version(event.object_type, str(event.object_id), event.object_version): event
        for event in rows
    }


def _violation(version: Version, text: str) -> Violation:
    name = f"{version.object_id} v{version.number}"
    return Violation("E3", version.object_type, name, text)


CHECKS = (check_told, check_events)
