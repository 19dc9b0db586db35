"""The outbox: what the platform is promised, written inside the unit that does it.

One INSERT, no read. The bell is rung after the commit; the dispatcher's sweep finds what it missed.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from django.db.transaction import get_connection, on_commit

from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import audited_together
from tcmpay.common import clock
from tcmpay.common.bell import ring
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.statements import insert, new_row
from webhooks.models import WebhookEvent
from webhooks.states import EventType

DISPATCH_TASK = "webhooks.dispatch"
# A bell costs a broker's round trip, which would be a third of a payment: one process rings at
# most so often, and whoever hears it goes on looking for longer than that (services/turns.py).
RING_EVERY_SECONDS = 1.0

# An event, and what the trail tells of the same change: its version is known once that is written.
_Announced = tuple[WebhookEvent, AuditEvent]
_TOGETHER: ContextVar[list[_Announced] | None] = ContextVar("told_together", default=None)


class EventOutsideTransaction(RuntimeError):
    """An event was to be recorded apart from the change that it tells of."""


class EventWithoutVersion(RuntimeError):
    """The change is told in the trail only later (``audited_together``): use ``told_together``."""


def event_record(
    *,
    type: EventType,
    object_type: str,
    object_id: UUID,
    object_version: int,
    data: Mapping[str, Any],
) -> None:
    """Promise the platform an event about an object that the caller has locked or just inserted.

    ``object_version`` is the version of the object's audit trail with this change. ``data`` is
    thin: numbers, amounts (text, yuan), states; nothing that a person wrote.
    Raises EventOutsideTransaction.
    """
    event = _event(type, object_type, object_id, data)
    event.object_version = object_version
    _insert([event])


def event_announce(
    told: AuditEvent, *, type: EventType, object_type: str, data: Mapping[str, Any]
) -> None:
    """Promise the platform what the trail was ``told`` of just now; ``data`` as in
    ``event_record``. Raises EventOutsideTransaction, EventWithoutVersion.
    """
    event = _event(type, object_type, as_uuid_or_text(told.object_id), data)
    together = _TOGETHER.get()
    if together is None:
        _insert(_with_versions([(event, told)]))
    else:
        together.append((event, told))


@contextmanager
def told_together() -> Iterator[None]:
    """Inside the caller's unit: what the trail and the platform are told meanwhile is written at
    the end, in one statement each.

    Nothing of it is written when the block raises: then the whole unit must be rolled back.
    """
    announced: list[_Announced] = []
    token = _TOGETHER.set(announced)
    try:
        with audited_together():
            yield
    finally:
        _TOGETHER.reset(token)
    if announced:
        _insert(_with_versions(announced))


def _event(
    type: EventType, object_type: str, object_id: UUID | str | None, data: Mapping[str, Any]
) -> WebhookEvent:
    return new_row(
        WebhookEvent,
        type=type,
        object_type=object_type,
        object_id=object_id,
        data=dict(data),
        created_at=clock.now(),
    )


def _with_versions(announced: list[_Announced]) -> list[WebhookEvent]:
    for event, told in announced:
        if not told.version:
            raise EventWithoutVersion(told.action)
        event.object_version = told.version
    return [event for event, _told in announced]


def _insert(events: list[WebhookEvent]) -> None:
    if not get_connection().in_atomic_block:
        raise EventOutsideTransaction(events[0].type)
    insert(*events)
    on_commit(_BELL.ring)


class _Bell:
    """Rung by every unit, heard once a second. Shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rung_at = float("-inf")

    def ring(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._rung_at < RING_EVERY_SECONDS:
                return
            self._rung_at = now
        ring(DISPATCH_TASK)


_BELL = _Bell()
