"""Notifications: added in the caller's unit, sent by a task, tried again until they are taken."""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import F

from tcmpay.common import clock
from tcmpay.common.bell import ring
from tcmpay.common.sweep import in_time
from tcmpay.notifications.channels import NotSent, channels_set_up, send
from tcmpay.notifications.models import Channel, Notification

logger = logging.getLogger(__name__)

SEND_TASK = "notifications.send"
# Before each try but the first, counted from the one before it.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180))
# Longer than any call: whoever holds it is dead, then.
LEASE = timedelta(minutes=1)
AT_ONCE = 100
SECONDS_MAX = 60.0
KEPT_FOR = timedelta(days=30)
PURGED_MAX = 1000


def notify(
    title: str,
    text: str,
    *,
    facts: Mapping[str, Any] | None = None,
    channels: Iterable[str] | None = None,
    recipients: str = "",
) -> int:
    """Tell it over ``channels`` (None: every one that is set up); how many messages that are.

    Part of the caller's unit: what was rolled back is never told.
    """
    wanted = [one for one in channels_set_up() if channels is None or one in set(channels)]
    now = clock.now()
    for channel in wanted:
        Notification.objects.create(
            channel=channel,
            recipients=recipients if channel == Channel.EMAIL else "",
            title=title[:200],
            text=text,
            facts=dict(facts or {}),
            created_at=now,
            due_at=now,
        )
    if wanted:
        ring(SEND_TASK)
    return len(wanted)


def notifications_send() -> int:
    """Send what is due; how many were taken. Of two who try at once, one sends."""
    due = Notification.objects.filter(due_at__lte=clock.now()).order_by("due_at", "id")
    rows = in_time(list(due[:AT_ONCE]), seconds=SECONDS_MAX)
    taken = sum(_send_once(row) for row in rows)
    old = Notification.objects.filter(created_at__lt=clock.now() - KEPT_FOR).order_by("created_at")
    Notification.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PURGED_MAX])).delete()
    return taken


def _send_once(row: Notification) -> bool:
    claimed = Notification.objects.filter(id=row.id, due_at=row.due_at).update(
        due_at=clock.now() + LEASE, tries=F("tries") + 1
    )
    if not claimed:
        return False
    rows = Notification.objects.filter(id=row.id)
    try:
        send(row)
    except NotSent as problem:
        tries = row.tries + 1
        due_at = clock.now() + WAITS[tries - 1] if tries <= len(WAITS) else None
        rows.update(due_at=due_at, problem=str(problem)[:100])
        log = logger.warning if due_at else logger.error
        facts = {"channel": row.channel, "reason": str(problem), "tries": tries}
        log("notification_not_sent", extra=facts)
        return False
    rows.update(due_at=None, sent_at=clock.now(), problem="")
    return True
