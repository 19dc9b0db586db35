"""The platform is told of every change that it was promised, and of nothing else (E3).

Each change of state that the trail tells has its event, of that type and with that version; each
event has its change, and says of it what the object and its trail say. Of what is kept: events are
deleted after 90 days, and what the trail told before the product knew events has none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Model
from django.utils.translation import gettext as _

from payments.events import (
    CASE,
    ORDER,
    ORDER_EVENTS,
    TOPUP,
    case_data,
    order_data,
    topup_data,
)
from payments.models import PaymentException, PaymentOrder
from payments.services.exceptions import AUDIT_OBJECT as CASE_IN_TRAIL
from payments.states import OrderStatus
from refunds.events import REFUND, REFUND_EVENTS, refund_data
from refunds.models import Refund
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.upgrade import RESTART_LEEWAY
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
# An event and its change are written by one unit.
UNIT_TAKES = timedelta(minutes=1)
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
    events = WebhookEvent.objects.using(scope.using)
    if (begun := promised_from(scope.using)) is not None:
        # Nobody wrote events then, and whoever deletes them may not say so afterwards.
        for early in events.filter(created_at__lt=begun - RESTART_LEEWAY).order_by("id")[:BATCH]:
            yield _violation(_version(early), _("事件早于记录的事件起始时间"))
    if scope.since is not None:
        events = events.filter(created_at__gte=scope.since)
    for batch in batches(in_chunks(events, "id"), BATCH):
        told = {
            (event.object_type, event.object_id, event.version): event
            for event in AuditEvent.objects.using(scope.using).filter(
                object_id__in={str(event.object_id) for event in batch}
            )
        }
        objects = _objects(scope, batch)
        for event in batch:
            trail = IN_TRAIL.get(event.object_type, "")
            change = told.get((trail, str(event.object_id), event.object_version))
            expected = None if change is None else promised(change)
            if event.object_type == TOPUP and expected == EventType.ORDER_PAID:
                expected = EventType.TOPUP_SUCCEEDED
            if change is None or expected != event.type:
                yield _violation(_version(event), _("事件没有对应的状态变化（由 SQL 修改或新增）"))
                continue
            if abs(event.created_at - change.created_at) > UNIT_TAKES:
                yield _violation(_version(event), _("事件的时间不是状态变化的时间"))
            row = objects.get((event.object_type, str(event.object_id)))
            if row is not None and not _says(event, row, change):
                yield _violation(_version(event), _("事件的内容与对象或审计记录不符"))


def _objects(scope: Scope, events: Iterable[WebhookEvent]) -> dict[tuple[str, str], Model]:
    """What ``events`` are about; what is gone is the objects' own checks' to say."""
    found: dict[tuple[str, str], Model] = {}
    for object_type, model in MODELS.items():
        ids = {event.object_id for event in events if event.object_type == object_type}
        rows = model._default_manager.using(scope.using).filter(pk__in=ids) if ids else ()
        found |= {(object_type, str(row.pk)): row for row in rows}
    return found


def _says(event: WebhookEvent, row: Any, change: AuditEvent) -> bool:
    """Whether ``event`` says what its object was after ``change``."""
    return bool(event.data == DATA[event.object_type](event, row, change))


def _order_then(_event: WebhookEvent, order: PaymentOrder, change: AuditEvent) -> dict[str, Any]:
    order.status = change.to_state
    if change.to_state == OrderStatus.PENDING:
        # Its way of payment is known once it is paid.
        return order_data(order, refunded_total=None) | {"payment_method": None}
    total = change.details.get("refunded_total")
    return order_data(order, refunded_total=None if total is None else Decimal(total))


def _refund_then(_event: WebhookEvent, refund: Refund, change: AuditEvent) -> dict[str, Any]:
    refund.status = change.to_state
    return refund_data(refund, change)


def _case_then(event: WebhookEvent, case: PaymentException, _change: AuditEvent) -> dict[str, Any]:
    data = case_data(case)
    # Money of nobody's order is matched to one later.
    is_matched = event.data.get("order_id", "") is None
    return data | {"order_id": None} if is_matched else data


MODELS: Mapping[str, type[Model]] = {
    ORDER: PaymentOrder,
    TOPUP: PaymentOrder,
    REFUND: Refund,
    CASE: PaymentException,
}
DATA: Mapping[str, Callable[[WebhookEvent, Any, AuditEvent], dict[str, Any]]] = {
    ORDER: _order_then,
    TOPUP: lambda _event, order, _change: topup_data(order),
    REFUND: _refund_then,
    CASE: _case_then,
}


def _begin(scope: Scope) -> datetime:
    """From when on every change has its event, and every event is kept."""
    moments = (clock.now() - KEPT + LEEWAY, promised_from(scope.using), scope.since)
    return max(moment for moment in moments if moment is not None)


def _events(
    scope: Scope, versions: Sequence[Version] | Mapping[Version, object]
) -> dict[Version, WebhookEvent]:
    ids = {version.object_id for version in versions}
    rows = WebhookEvent.objects.using(scope.using).filter(object_id__in=ids)
    return {_version(event): event for event in rows}


def _version(event: WebhookEvent) -> Version:
    return Version(event.object_type, str(event.object_id), event.object_version)


def _violation(version: Version, text: str) -> Violation:
    name = f"{version.object_id} v{version.number}"
    return Violation("E3", version.object_type, name, text)


CHECKS = (check_told, check_events)
