"""Deliveries: planned for each endpoint, claimed when due, ended or tried again.

In order per object: an event waits while an earlier one of its object is pending at the same
endpoint. A claim is a lease in the row: a worker that dies is replaced when its lease is over, so
that every event comes at least once.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet
from prometheus_client import Counter

from tcmpay.common import clock
from tcmpay.common.db import money_unit
from webhooks.errors import SecretUnreadable
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookTry
from webhooks.services.endpoints import endpoint_give_up, endpoint_keys
from webhooks.services.sending import CALL_SECONDS_MAX, Answer, Message
from webhooks.shape import event_shape, message_body
from webhooks.states import DeliveryStatus, DisabledBecause, TryProblem

logger = logging.getLogger(__name__)

TRIES = Counter("webhook_tries_total", "Calls to the platform's endpoints", ["verdict"])

PLAN_BATCH = 500
# Before each try, counted from the one before it.
SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# A wait is so much longer at the most, so that what failed together is not tried together.
JITTER = 0.1
# Longer than any call: whoever holds it is dead, then.
LEASE = timedelta(seconds=3 * CALL_SECONDS_MAX)
FAILING_MAX = timedelta(days=5)
# At once to one endpoint, and to one that fails: then one call looks whether it is back. As many as
# end while the rows of those before are written.
AT_ONCE = 16
DOWN_AFTER = 5
# One that was down for so long is given what waits for it at once when it is back.
DOWN_FOR = timedelta(minutes=1)
GONE = 410


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this turn carries."""

    delivery_id: UUID
    endpoint_id: UUID
    message: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """A claimed delivery and how its call ended."""

    claimed: Claimed
    answer: Answer


# --- planning -----------------------------------------------------------------------------------


def deliveries_plan(endpoint_id: UUID, *, last_sequence: int) -> int:
    """Plan what the endpoint has not got, up to ``last_sequence``; how many events were looked
    at."""
    reached = WebhookEndpoint.objects.filter(id=endpoint_id).values_list("reached", flat=True)
    if reached.first() in (None, last_sequence):
        return 0
    return _plan(endpoint_id, last_sequence)


@money_unit
def _plan(endpoint_id: UUID, last_sequence: int) -> int:
    endpoint = WebhookEndpoint.objects.select_for_update().get(id=endpoint_id)
    if not endpoint.is_enabled:
        return 0
    events = list(
        WebhookEvent.objects.filter(sequence__gt=endpoint.reached, sequence__lte=last_sequence)
        .order_by("sequence")
        .values_list("id", "sequence", "object_id", "type")[:PLAN_BATCH]
    )
    wanted = [
        (event_id, sequence or 0, object_id)
        for event_id, sequence, object_id, type_ in events
        if not endpoint.types or type_ in endpoint.types
    ]
    deliveries_insert(endpoint, wanted)
    reached = events[-1][1] if len(events) == PLAN_BATCH else last_sequence
    WebhookEndpoint.objects.filter(id=endpoint.id).update(reached=reached)
    return len(events)


def deliveries_insert(endpoint: WebhookEndpoint, events: Sequence[tuple[UUID, int, UUID]]) -> None:
    """Deliveries of events (id, sequence, object) that have none yet; inside the caller's unit,
    which holds the endpoint's lock."""
    now = clock.now()
    waited_for = _waited_for(endpoint.id, {object_id for _id, _sequence, object_id in events})
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                endpoint=endpoint,
                event_id=event_id,
                sequence=sequence,
                object_id=object_id,
                # Behind one that waits it is not looked at in vain.
                due_at=max(now, waited_for.get(object_id, now)),
                created_at=now,
            )
            for event_id, sequence, object_id in events
        ],
        ignore_conflicts=True,
        batch_size=PLAN_BATCH,
    )


def _waited_for(endpoint_id: UUID, objects: Iterable[UUID]) -> Mapping[UUID, datetime]:
    pending = WebhookDelivery.objects.filter(
        endpoint_id=endpoint_id, status=DeliveryStatus.PENDING, object_id__in=objects
    )
    return dict(pending.values_list("object_id").annotate(due_at=Min("due_at")))


# --- claiming -----------------------------------------------------------------------------------


def room_of(endpoint: WebhookEndpoint) -> int:
    """How many calls it may have at once."""
    return 1 if endpoint.failures >= DOWN_AFTER else AT_ONCE


def deliveries_claim(endpoint: WebhookEndpoint, *, lease: UUID, most: int) -> list[Claimed]:
    """Up to ``most`` due deliveries, the longest due first; ``lease`` holds them for LEASE."""
    if most <= 0 or not _claimable(endpoint.id).exists():
        return []
    return _claim(endpoint.id, lease, most)


def _claimable(endpoint_id: UUID) -> QuerySet[WebhookDelivery]:
    now = clock.now()
    earlier = WebhookDelivery.objects.filter(
        endpoint_id=endpoint_id,
        object_id=OuterRef("object_id"),
        status=DeliveryStatus.PENDING,
        sequence__lt=OuterRef("sequence"),
    )
    due = WebhookDelivery.objects.filter(
        endpoint_id=endpoint_id, status=DeliveryStatus.PENDING, due_at__lte=now
    )
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return due.filter(free, ~Exists(earlier)).order_by("due_at", "sequence")


@money_unit
def _claim(endpoint_id: UUID, lease: UUID, most: int) -> list[Claimed]:
    endpoint = WebhookEndpoint.objects.select_for_update().get(id=endpoint_id)
    if not endpoint.is_enabled:
        return []
    ids = list(_claimable(endpoint_id).values_list("id", flat=True)[:most])
    until = clock.now() + LEASE
    WebhookDelivery.objects.filter(id__in=ids).update(lease=lease, leased_until=until)
    rows = WebhookDelivery.objects.filter(id__in=ids).select_related("event")
    try:
        keys = endpoint_keys(endpoint)
    except SecretUnreadable:
        keys = []  # nothing is sent unsigned (turns.py): the try fails, and says so
    return [
        Claimed(
            row.id,
            endpoint.id,
            Message(
                endpoint.url, str(row.event_id), message_body(event_shape(row.event)), tuple(keys)
            ),
        )
        for row in sorted(rows, key=lambda row: ids.index(row.id))
    ]


# --- ending -------------------------------------------------------------------------------------


def deliveries_end(ended: Sequence[Ended], *, lease: UUID) -> None:
    """Keep how calls ended, one endpoint after the other."""
    of_endpoint: dict[UUID, list[Ended]] = defaultdict(list)
    for one in ended:
        of_endpoint[one.claimed.endpoint_id].append(one)
        answer = one.answer
        TRIES.labels("delivered" if answer.is_success else answer.problem or "refused").inc()
    for endpoint_id, own in of_endpoint.items():
        _end(endpoint_id, own, lease)


@money_unit
def _end(endpoint_id: UUID, ended: Sequence[Ended], lease: UUID) -> None:
    endpoint = WebhookEndpoint.objects.select_for_update().get(id=endpoint_id)
    ids = [one.claimed.delivery_id for one in ended]
    # What another turn took over meanwhile, or was replayed, is not ours to end.
    held = {
        row.id: row
        for row in WebhookDelivery.objects.select_for_update().filter(id__in=ids, lease=lease)
    }
    now = clock.now()
    _log(endpoint, ended, now)
    delivered = [held[i] for i in _successes(ended) if i in held]
    WebhookDelivery.objects.filter(id__in=[row.id for row in delivered]).update(
        status=DeliveryStatus.DELIVERED,
        tries=F("tries") + 1,
        due_at=None,
        ended_at=now,
        lease=None,
        leased_until=None,
    )
    freed = [row.object_id for row in delivered]
    for one in ended:
        row = held.get(one.claimed.delivery_id)
        if row is not None and not one.answer.is_success and _failed(row, one.answer, now):
            freed.append(row.object_id)
    _pending_of(endpoint_id, freed).filter(due_at__gt=now).update(due_at=now)
    _health(endpoint, ended, now)


def _successes(ended: Iterable[Ended]) -> list[UUID]:
    return [one.claimed.delivery_id for one in ended if one.answer.is_success]


def _log(endpoint: WebhookEndpoint, ended: Iterable[Ended], now: datetime) -> None:
    WebhookTry.objects.bulk_create(
        [try_of(endpoint.id, one.answer, now, delivery_id=one.claimed.delivery_id) for one in ended]
    )


def try_of(
    endpoint_id: UUID, answer: Answer, now: datetime, *, delivery_id: UUID | None = None
) -> WebhookTry:
    return WebhookTry(
        endpoint_id=endpoint_id,
        delivery_id=delivery_id,
        tried_at=now,
        took_ms=answer.took_ms,
        http_status=answer.http_status,
        problem=answer.problem,
        answer=answer.text,
    )


def _failed(row: WebhookDelivery, answer: Answer, now: datetime) -> bool:
    """Try again later, or give the event up; whether it was."""
    tries = row.tries + 1
    own = WebhookDelivery.objects.filter(id=row.id)
    if tries >= len(SCHEDULE):
        own.update(
            status=DeliveryStatus.FAILED,
            tries=tries,
            due_at=None,
            ended_at=now,
            lease=None,
            leased_until=None,
        )
        extra = {"endpoint": str(row.endpoint_id), "sequence": row.sequence}
        logger.error("webhook_delivery_given_up", extra=extra)
        return True
    due_at = now + wait_before(tries, answer.retry_after)
    own.update(tries=tries, due_at=due_at, lease=None, leased_until=None)
    # What waits for it is not looked at in vain.
    later = _pending_of(row.endpoint_id, [row.object_id]).filter(sequence__gt=row.sequence)
    later.filter(due_at__lt=due_at).update(due_at=due_at)
    return False


def wait_before(tries: int, retry_after: timedelta | None) -> timedelta:
    """How long to wait after so many ``tries``; what the receiver asked for if that is longer."""
    wait = SCHEDULE[tries] * (1 + random.uniform(0, JITTER))
    return max(wait, retry_after or timedelta(0))


def _pending_of(endpoint_id: UUID, objects: Sequence[UUID]) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(
        endpoint_id=endpoint_id, object_id__in=objects, status=DeliveryStatus.PENDING
    )


def _health(endpoint: WebhookEndpoint, ended: Sequence[Ended], now: datetime) -> None:
    """How the endpoint stands after ``ended``, in the order in which they came."""
    if any(one.answer.http_status == GONE for one in ended) and endpoint.is_enabled:
        endpoint_give_up(endpoint, DisabledBecause.GONE)
        return
    failures, since = endpoint.failures, endpoint.failing_since
    succeeded_at = endpoint.succeeded_at
    for one in ended:
        if one.answer.is_success:
            failures, since, succeeded_at = 0, None, now
        else:
            failures, since = failures + 1, since or now
    if (failures, since, succeeded_at) != (0, None, now) or endpoint.failures:
        _note_health(endpoint, failures, since, succeeded_at, now)
    elif endpoint.succeeded_at is None or now - endpoint.succeeded_at > DOWN_FOR:
        # Once a minute is enough for people to see that it works.
        WebhookEndpoint.objects.filter(id=endpoint.id).update(succeeded_at=now)


def _note_health(
    endpoint: WebhookEndpoint,
    failures: int,
    since: datetime | None,
    succeeded_at: datetime | None,
    now: datetime,
) -> None:
    was_down = (
        endpoint.failures >= DOWN_AFTER
        and endpoint.failing_since is not None
        and now - endpoint.failing_since >= DOWN_FOR
    )
    WebhookEndpoint.objects.filter(id=endpoint.id).update(
        failures=failures, failing_since=since, succeeded_at=succeeded_at
    )
    if was_down and succeeded_at == now:
        waiting = WebhookDelivery.objects.filter(
            endpoint=endpoint, status=DeliveryStatus.PENDING, due_at__gt=now
        )
        waiting.update(due_at=now)
    endpoint.failures, endpoint.failing_since = failures, since
    if since is not None and now - since >= FAILING_MAX and endpoint.is_enabled:
        endpoint_give_up(endpoint, DisabledBecause.FAILING)


def unsigned() -> Answer:
    """What a try comes to whose secret can't be opened."""
    return Answer(problem=TryProblem.SECRET)
