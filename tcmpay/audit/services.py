"""Writing the audit trail, in the same transaction as what it tells of."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model
from django.db.transaction import get_connection

from tcmpay.audit.macs import Verdict, canonical, chain_mac, chain_mac_verdict
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_digests import ROW, row_digest
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.request_id import current_request_id
from tcmpay.common.statements import Beside, insert, lock_with, new_row

logger = logging.getLogger(__name__)

MAC_KIND = "audit_events"
# Ends of trails that one statement asks for.
HEADS_AT_ONCE = 50
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class TrailHead:
    """Where an object's trail ends: the version and the hash of its newest event."""

    version: int = 0
    hash: str = ""


# The newest event of a locked object's trail, read with the object's row.
_NEWEST_EVENT = Beside(
    AuditEvent,
    ("version", "hash"),
    "LEFT JOIN audit_events beside ON beside.object_type = %s AND beside.object_id = %s",
)
# An event, and the head that its caller knows.
_Recorded = tuple[AuditEvent, TrailHead | None]
# What an ``audited_together`` block has recorded so far.
_TOGETHER: ContextVar[list[_Recorded] | None] = ContextVar("audited_together", default=None)


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
    head: TrailHead | None = None,
) -> AuditEvent:
    """Append what happened to an object that the caller has locked or just inserted; returns it,
    with its version once it is written (``audited_together``: at the block's end).

    ``details`` must be JSON of text, integers and booleans. ``row`` is the object as it is in
    the database now: a digest of it is kept, so that the audit notices what nobody told of.
    ``head`` is where the object's trail ends, for whoever read it under the object's lock.
    Raises AuditOutsideTransaction outside of a transaction.
    """
    if not get_connection().in_atomic_block:
        raise AuditOutsideTransaction(action)
    event = new_row(
        AuditEvent,
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
        _append([(event, head)])
    else:
        together.append((event, head))
    return event


@contextmanager
def audited_together() -> Iterator[None]:
    """Inside the caller's unit: what is recorded meanwhile is written at the end, in one statement.

    Nothing of it is written when the block raises: then the whole unit must be rolled back.
    """
    events: list[_Recorded] = []
    token = _TOGETHER.set(events)
    try:
        yield
    finally:
        _TOGETHER.reset(token)
    if events:
        _append(events)


def lock_with_head(model: type[M], object_id: UUID) -> tuple[M | None, TrailHead]:
    """The locked row of an object that has a trail, and where that trail ends."""
    values = [model.AUDIT_OBJECT, str(object_id)]  # type: ignore[attr-defined]
    row, newest = lock_with(model, {"id": object_id}, _NEWEST_EVENT, values)
    return row, TrailHead(*newest) if newest and newest[0] else TrailHead()


def _append(recorded: Sequence[_Recorded]) -> None:
    """Write the events, each bound to the one before it of the same object."""
    heads = {_object_of(event): head for event, head in recorded if head is not None}
    heads |= _heads({_object_of(event) for event, _head in recorded} - heads.keys())
    for event, _head in recorded:
        head = heads.get(_object_of(event), TrailHead())
        event.version, event.previous_hash = head.version + 1, head.hash
        event.hash = event_hash(event)
        heads[_object_of(event)] = TrailHead(event.version, event.hash)
    insert(*(event for event, _head in recorded))
    for event, _head in recorded:
        _log(event)


def _object_of(event: AuditEvent) -> tuple[str, str]:
    return event.object_type, event.object_id


def _heads(objects: Collection[tuple[str, str]]) -> dict[tuple[str, str], TrailHead]:
    """Where the trail of each object ends, for those that have one."""
    # Each by itself, so that each is one step backward in the index.
    newest = (
        "SELECT * FROM (SELECT object_type, object_id, version, hash FROM audit_events"
        " WHERE object_type = %s AND object_id = %s ORDER BY version DESC LIMIT 1) newest"
    )
    heads: dict[tuple[str, str], TrailHead] = {}
    remaining = list(objects)
    with get_connection().cursor() as cursor:
        while remaining:
            some, remaining = remaining[:HEADS_AT_ONCE], remaining[HEADS_AT_ONCE:]
            sql = " UNION ALL ".join([newest] * len(some))
            cursor.execute(sql, [text for key in some for text in key])
            found = cursor.fetchall()
            heads |= {(kind, key): TrailHead(*head) for kind, key, *head in found}
    return heads


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
