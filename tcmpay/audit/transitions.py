"""Rows that are told in the trail: inserted, and changed from a table guarded by the old status.

The functions behind orders, attempts, refunds and adjustments, whose models say as
``AUDIT_OBJECT`` what they are called in the trail and as text by which number people know a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcmpay.audit.marks import Marked
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import TrailHead, audit_record
from tcmpay.common.actor import Actor
from tcmpay.common.statements import insert, update
from tcmpay.common.transitions import ensure_allowed, ensure_one

Table = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who changes a row, what it is called in the trail, and why."""

    actor: Actor
    action: str
    reason: str = ""
    details: Mapping[str, Any] | None = None


def transition(
    row: Any, to_state: str, *, table: Table, cause: Cause, **changes: Any
) -> AuditEvent:
    """Move a locked row to ``to_state``, write ``changes`` with it; what the trail tells of it.

    Raises IllegalTransition: ``table`` does not allow it. LostUpdate: see ``row_write``.
    """
    ensure_allowed(table, from_state=row.status, to_state=to_state, what=str(row))
    return row_change(row, cause, status=to_state, **changes)


def row_change(row: Any, cause: Cause, **changes: Any) -> AuditEvent:
    """Write ``changes`` to a locked row and tell of them. Raises LostUpdate: see ``row_write``."""
    from_state = row.status
    row_write(row, **changes)
    return row_told(row, cause, from_state)


def row_insert(row: Any, cause: Cause) -> AuditEvent:
    """Insert a new row and tell of it. Raises IntegrityError."""
    if isinstance(row, Marked):
        row.save(force_insert=True)
    else:
        insert(row)
    return row_told(row, cause, "", head=TrailHead())


def row_told(
    row: Any, cause: Cause, from_state: str, *, head: TrailHead | None = None
) -> AuditEvent:
    """Tell of a row that was written as it is in hand; ``head`` as in ``audit_record``."""
    return audit_record(
        object_type=row.AUDIT_OBJECT,
        object_id=row.pk,
        action=cause.action,
        actor=cause.actor,
        reason=cause.reason,
        from_state=from_state,
        to_state=row.status,
        details=cause.details,
        row=row,
        head=head,
    )


def row_write(row: Any, **changes: Any) -> None:
    """Write ``changes`` to a locked row, in the database and in hand; the caller tells of them.

    Raises LostUpdate: its status is not the one in hand any more.
    """
    guard = {"pk": row.pk, "status": row.status}
    if isinstance(row, Marked):  # its table's mark follows what the ORM writes
        written = type(row)._default_manager.filter(**guard).update(**changes)
    else:
        written = update(type(row), guard, changes)
    ensure_one(written, str(row))
    for name, value in changes.items():
        setattr(row, name, value)
