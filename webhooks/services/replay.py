"""Sending again what an endpoint has got before, or never had: by sequence, time, type, object."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.bell import ring
from tcmpay.common.db import money_unit
from tcmpay.common.ids import first_id_at
from webhooks.errors import EndpointNotEnabled, EndpointNotFound, UnknownEventType
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbox import DISPATCH_TASK
from webhooks.services.delivery import deliveries_insert
from webhooks.services.endpoints import endpoint_lock
from webhooks.states import DeliveryStatus, EventType

BATCH = 500
# Ids are made by hosts whose clocks may differ from the database's.
CLOCKS_DIFFER_MAX = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Events: after a sequence and up to another, of a time (``since`` ≤ created < ``until``), of
    types (none: those that the endpoint subscribed to), of objects (none: all)."""

    after: int = 0
    up_to: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    types: Sequence[str] = ()
    objects: Iterable[UUID] | None = None


def events_which(endpoint: WebhookEndpoint, which: Which) -> QuerySet[WebhookEvent]:
    """The kept events that ``which`` names and ``endpoint`` has reached.

    Raises UnknownEventType.
    """
    for one in which.types:
        if one not in EventType.values:
            raise UnknownEventType(type=one)
    types = [
        one
        for one in which.types or EventType.values
        if not endpoint.types or one in endpoint.types
    ]
    last = endpoint.reached if which.up_to is None else min(which.up_to, endpoint.reached)
    events = WebhookEvent.objects.filter(
        sequence__gt=which.after, sequence__lte=last, type__in=types
    )
    if which.since is not None:
        events = events.filter(
            created_at__gte=which.since, id__gte=first_id_at(which.since - CLOCKS_DIFFER_MAX)
        )
    if which.until is not None:
        events = events.filter(created_at__lt=which.until)
    if which.objects is not None:
        events = events.filter(object_id__in=list(which.objects))
    return events


def endpoint_replay(*, actor: Actor, endpoint_id: UUID, which: Which, reason: str = "") -> int:
    """Deliver those events again, in order per object; how many. What it has not reached yet comes
    by itself. Each batch is a unit: stopped in the middle, it may be asked for again.

    Raises EndpointNotFound, EndpointNotEnabled, UnknownEventType.
    """
    endpoint = WebhookEndpoint.objects.filter(id=endpoint_id).first()
    if endpoint is None:
        raise EndpointNotFound()
    if not endpoint.is_enabled:
        raise EndpointNotEnabled()
    events = events_which(endpoint, which).order_by("sequence")
    count, last = 0, which.after
    while batch := [
        (event_id, number or 0, object_id)
        for event_id, number, object_id in events.filter(sequence__gt=last).values_list(
            "id", "sequence", "object_id"
        )[:BATCH]
    ]:
        _again(endpoint_id, batch)
        count, last = count + len(batch), batch[-1][1]
    _told(actor, endpoint_id, which, count, reason)
    ring(DISPATCH_TASK)
    return count


@money_unit
def _again(endpoint_id: UUID, events: list[tuple[UUID, int, UUID]]) -> None:
    endpoint = endpoint_lock(endpoint_id)
    deliveries_insert(endpoint, events)
    ids = [event_id for event_id, _sequence, _object_id in events]
    WebhookDelivery.objects.filter(endpoint=endpoint, event_id__in=ids).update(
        status=DeliveryStatus.PENDING,
        tries=0,
        due_at=clock.now(),
        ended_at=None,
        lease=None,
        leased_until=None,
    )


@money_unit
def _told(actor: Actor, endpoint_id: UUID, which: Which, count: int, reason: str) -> None:
    endpoint = endpoint_lock(endpoint_id)
    audit_record(
        object_type=endpoint.AUDIT_OBJECT,
        object_id=endpoint.id,
        action="endpoint_replayed",
        actor=actor,
        reason=reason,
        from_state=endpoint.status,
        to_state=endpoint.status,
        details={
            "after": which.after,
            "since": which.since.isoformat() if which.since else "",
            "until": which.until.isoformat() if which.until else "",
            "types": ",".join(which.types),
            "events": count,
        },
        row=endpoint,
    )
