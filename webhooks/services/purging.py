"""Events are kept for 90 days, and longer where an enabled endpoint has not got them yet."""

from datetime import timedelta

from django.db.models import Exists, Min, OuterRef, QuerySet

from tcmpay.common import clock
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import batches
from tcmpay.common.sweep import in_time
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookTry
from webhooks.states import DeliveryStatus, EndpointStatus

KEPT = timedelta(days=90)
BATCH = 1000
# Tasks are stopped after 90 seconds; what is left goes the next day.
RUN_SECONDS = 60.0
BATCHES_MAX = 1000


def events_purge() -> int:
    """Delete what is past its time, with its deliveries and their log; how many events."""
    count = 0
    for _batch in in_time(range(BATCHES_MAX), seconds=RUN_SECONDS):
        done = _purge_batch()
        count += done
        if done < BATCH:
            break
    while _purge_pings():
        pass
    return count


def _gone() -> QuerySet[WebhookEvent]:
    """Numbered, and owed to no enabled endpoint."""
    reached = WebhookEndpoint.objects.enabled().aggregate(reached=Min("reached"))["reached"]
    owed = WebhookDelivery.objects.filter(
        event=OuterRef("pk"),
        status=DeliveryStatus.PENDING,
        endpoint__status=EndpointStatus.ENABLED,
    )
    gone = WebhookEvent.objects.filter(~Exists(owed), sequence__isnull=False)
    return gone if reached is None else gone.filter(sequence__lte=reached)


@money_unit
def _purge_batch() -> int:
    # The oldest come first: whether they are past their time is seen without reading the others.
    oldest = _gone().order_by("sequence").values_list("id", "created_at")[:BATCH]
    before = clock.now() - KEPT
    ids = [event_id for event_id, created_at in oldest if created_at < before]
    deliveries = list(WebhookDelivery.objects.filter(event_id__in=ids).values_list("id", flat=True))
    for some in batches(deliveries, BATCH):
        WebhookTry.objects.filter(delivery_id__in=some).delete()
    WebhookEvent.objects.filter(id__in=ids).delete()  # and its deliveries
    return len(ids)


@money_unit
def _purge_pings() -> int:
    past = WebhookTry.objects.filter(delivery=None, tried_at__lt=clock.now() - KEPT)
    ids = list(past.order_by("tried_at").values_list("id", flat=True)[:BATCH])
    WebhookTry.objects.filter(id__in=ids).delete()
    return len(ids)
