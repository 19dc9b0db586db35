"""Writing the audit trail, in the same transaction as what it tells of."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Model, OuterRef, Q, Subquery
from django.db.transaction import get_connection

from tcmpay.audit.macs import Verdict, canonical, chain_mac, chain_mac_verdict
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_digests import ROW, row_digest
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.request_id import current_request_id

logger = logging.getLogger(__name__)

MAC_KIND = "audit_events"
# What an ``audited_together`` block has recorded so far.
_TOGETHER: ContextVar[list[AuditEvent] | None] = ContextVar("audited_together", default=None)


class AuditOutsideTransaction(RuntimeError):
    """An audit row was to be written apart from the change that it tells of."""


def audit_record(
    *,
    object_type: str,
    object_id: object,
    action: str,
    actor: Actor,
    reason: str = "",
    from_state: str = "",
    to_state: str = "",
    details: Mapping[str, Any] | None = None,
    row: Model | None = None,
) -> None:
    """Append what happened to an object that the caller has locked or just inserted.

    ``details`` must be JSON of text, integers and booleans. ``row`` is the object as it is in
    the database now: a digest of it is kept, so that the audit notices what nobody told of.
    Raises AuditOutsideTransaction outside of a transaction.
    """
    if not get_connection().in_atomic_block:
        raise AuditOutsideTransaction(action)
    event = AuditEvent(
        object_type=object_type,
        object_id=str(object_id),
        action=action,
        actor_id=actor.id,
        actor_role=actor.role,
        actor_name=actor.name[:150],
        reason=reason[:500],
        from_state=from_state,
        to_state=to_state,
        details=dict(details or {}) | ({ROW: row_digest(row)} if row is not None else {}),
        request_id=current_request_id(),
        created_at=clock.now(),
    )
    together = _TOGETHER.get()
    if together is None:
        _append([event])
    else:
        together.append(event)


@contextmanager
def audited_together() -> Iterator[None]:
    """Inside the caller's unit: what is recorded meanwhile is written at the end, in one statement.

    Nothing of it is written when the block raises: then the whole unit must be rolled back.
    """
    events: list[AuditEvent] = []
    token = _TOGETHER.set(events)
    try:
        yield
    finally:
        _TOGETHER.reset(token)
    if events:
        _append(events)


def _append(events: Sequence[AuditEvent]) -> None:
    """Write the events, each bound to the one before it of the same object."""
    ends = _ends({(event.object_type, event.object_id) for event in events})
    for event in events:
        key = (event.object_type, event.object_id)
        version, event.previous_hash = ends.get(key, (0, ""))
        event.version = version + 1
        event.hash = event_hash(event)
        ends[key] = (event.version, event.hash)
    AuditEvent.objects.bulk_create(events)
    for event in events:
        _log(event)


def _ends(objects: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    """Version and hash of each object's newest event."""
    one_of_them = [Q(object_type=kind, object_id=key) for kind, key in objects]
    events = AuditEvent.objects.filter(reduce(or_, one_of_them)).order_by("-version")
    if len(objects) > 1:
        same = AuditEvent.objects.filter(
            object_type=OuterRef("object_type"), object_id=OuterRef("object_id")
        )
        newest = same.order_by("-version").values("version")[:1]
        events = events.filter(version=Subquery(newest))
    rows = events.values_list("object_type", "object_id", "version", "hash")[: len(objects)]
    return {(kind, key): (version, end) for kind, key, version, end in rows}


def _log(event: AuditEvent) -> None:
    """Every transaction of money is in the log too; its details only where debugging is on."""
    facts: dict[str, Any] = {
        "object_type": event.object_type,
        "object_id": event.object_id,
        "from_state": event.from_state,
        "to_state": str(event.to_state),
        "actor_id": str(event.actor_id or ""),
        "actor_role": str(event.actor_role),
    }
    if logger.isEnabledFor(logging.DEBUG):
        facts |= {"reason": event.reason, "details": event.details, "version": event.version}
    logger.info(event.action, extra=facts)


def event_hash(event: AuditEvent) -> str:
    """The keyed digest of the event's content and the hash of the event before it."""
    return chain_mac(MAC_KIND, _content(event))


def event_verdict(event: AuditEvent) -> Verdict:
    """Whether the event's own hash is that of its content."""
    return chain_mac_verdict(MAC_KIND, _content(event), event.hash)


def _content(event: AuditEvent) -> bytes:
    content = [
        event.previous_hash,
        str(event.id),
        event.object_type,
        event.object_id,
        event.version,
        event.action,
        event.from_state,
        event.to_state,
        str(event.actor_id or ""),
        event.actor_role,
        event.actor_name,
        event.reason,
        event.details,
        event.request_id,
        clock.utc_text(event.created_at),
    ]
    return canonical(content)
