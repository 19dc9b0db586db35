"""Sequences: given after the commit, under one lock, so that a reader who goes on misses none.

A unit that commits late gets a later number than what was read before; no number is visible before
all lower ones are.
"""

from collections import defaultdict
from collections.abc import Sequence

from tcmpay.common.db import money_unit
from webhooks.models import WebhookDispatcher, WebhookEvent

BATCH = 500


def sequences_give() -> int:
    """Give the next numbers to a batch of events that have none; how many.

    Two that give at once wait for each other.
    """
    return _give() if WebhookEvent.objects.filter(sequence=None).exists() else 0


@money_unit
def _give() -> int:
    dispatcher = dispatcher_lock()
    waiting = WebhookEvent.objects.filter(sequence=None)
    objects = waiting.order_by("id").values_list("object_id", flat=True)[:BATCH]
    # All that these objects have: on another host's clock a later event may have an earlier id.
    among = waiting.filter(object_id__in=set(objects))
    events = list(among.only("id", "object_type", "object_id", "object_version").order_by("id"))
    if not events:
        return 0
    for number, event in enumerate(_in_order(events), start=dispatcher.last_sequence + 1):
        event.sequence = number
    WebhookEvent.objects.bulk_update(events, ["sequence"])
    dispatcher.last_sequence += len(events)
    dispatcher.save(update_fields=["last_sequence"])
    return len(events)


def dispatcher_lock() -> WebhookDispatcher:
    """The one row, locked; made where somebody emptied its table."""
    locked = WebhookDispatcher.objects.select_for_update().filter(id=1)
    if (row := locked.first()) is not None:
        return row
    # Two may find it missing: the second waits for the first one's row.
    WebhookDispatcher.objects.bulk_create([WebhookDispatcher(id=1)], ignore_conflicts=True)
    return locked.get()


def _in_order(events: Sequence[WebhookEvent]) -> list[WebhookEvent]:
    """``events`` as they are, but those of one object by their versions."""
    of_object: dict[tuple[str, object], list[WebhookEvent]] = defaultdict(list)
    for event in events:
        of_object[event.object_type, event.object_id].append(event)
    nexts = {
        key: iter(sorted(own, key=lambda event: event.object_version))
        for key, own in of_object.items()
    }
    return [next(nexts[event.object_type, event.object_id]) for event in events]
