"""What is asked about events and endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from tcmpay.audit.upgrade import RESTART_LEEWAY
from tcmpay.common.errors import InvalidInput
from webhooks.models import (
    WebhookDelivery,
    WebhookDispatcher,
    WebhookEndpoint,
    WebhookEvent,
)
from webhooks.states import DeliveryStatus


@dataclass(frozen=True, slots=True)
class Feed:
    """Events in the order of their sequences, and where to go on."""

    events: list[WebhookEvent]
    next_after: int


def events_after(after: int, *, types: Sequence[str] = (), limit: int) -> Feed:
    """The events that follow ``after``, of ``types`` (none: all).

    Raises InvalidInput for what is ahead of every event: its reader knows what a restored database
    has lost, and would pass over the next events.
    """
    # Read first: what is numbered between the two reads comes with the next call.
    last = last_sequence()
    if after > last:
        told = _("最后一个事件的序号是 %(last)s，没有更大的；若恢复过备份，请从 0 重新读")
        raise InvalidInput({"after": [told % {"last": last}]})
    events = WebhookEvent.objects.filter(sequence__gt=after, sequence__lte=last)
    if types:
        events = events.filter(type__in=types)
    found = list(events.order_by("sequence")[:limit])
    if len(found) == limit:
        return Feed(found, found[-1].sequence or after)
    return Feed(found, last)


def last_sequence(using: str = "default") -> int:
    row = WebhookDispatcher.objects.using(using).filter(id=1)
    return row.values_list("last_sequence", flat=True).first() or 0


def promised_from(using: str = "default") -> datetime | None:
    """From when on every promised change has its event: processes of a release that knew none may
    have run for a while beside the first that did. None: from the beginning."""
    row = WebhookDispatcher.objects.using(using).filter(id=1)
    moment = row.values_list("promised_from", flat=True).first()
    return None if moment is None else moment + RESTART_LEEWAY


def events_waiting() -> QuerySet[WebhookEvent]:
    """Committed, and not numbered yet."""
    return WebhookEvent.objects.filter(sequence=None)


def deliveries_waiting() -> QuerySet[WebhookDelivery]:
    """Pending deliveries of enabled endpoints."""
    return WebhookDelivery.objects.filter(
        status=DeliveryStatus.PENDING, endpoint__in=WebhookEndpoint.objects.enabled()
    )


def deliveries_given_up() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(status=DeliveryStatus.FAILED)


def oldest_undelivered_at() -> datetime | None:
    """When the oldest event happened that an enabled endpoint, or the feed, has not got yet."""
    moments = [
        deliveries_waiting()
        .order_by("sequence")
        .values_list("event__created_at", flat=True)
        .first(),
        events_waiting().order_by("id").values_list("created_at", flat=True).first(),
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def endpoints_listed() -> QuerySet[WebhookEndpoint]:
    """All endpoints, newest first, each with how many deliveries of it are ``pending`` and
    ``given_up``."""
    return WebhookEndpoint.objects.annotate(
        pending=_count_of(DeliveryStatus.PENDING), given_up=_count_of(DeliveryStatus.FAILED)
    ).order_by("-created_at", "-id")


def _count_of(status: DeliveryStatus) -> Coalesce:
    """By the index: the delivered ones, which are most of them, are not read."""
    rows = WebhookDelivery.objects.filter(endpoint=OuterRef("pk"), status=status).order_by()
    counted = rows.values("endpoint").values(count=Count("pk"))
    return Coalesce(Subquery(counted), 0)


def deliveries_owed() -> QuerySet[WebhookDelivery]:
    """Given up on the way to endpoints that are enabled: their receivers miss them."""
    return deliveries_given_up().filter(endpoint__in=WebhookEndpoint.objects.enabled())
