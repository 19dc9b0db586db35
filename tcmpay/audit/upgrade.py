"""When ``migrate`` brought digests of rows to books that there were before: told by the trail.

The trail, unlike the table of migrations, is changed by nobody unseen.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.migrations.recorder import MigrationRecorder
from django.db.transaction import atomic

from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import audit_record
from tcmpay.common.actor import SYSTEM

AUDIT_OBJECT, AUDIT_ID, BEGUN = "row_digests", "rows", "digests_begun"
# With this migration digests and logs' chains began: what is older need not have any.
ANCHOR = ("audit", "0008_log_heads")
# Processes that are restarted after a change of keys, or after `migrate`, have so long for it.
RESTART_LEEWAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """When the migration ran with which digests began, and when the last one had come to its end,
    which may be much later."""

    began_at: datetime
    ended_at: datetime

    def may_lack_digest(self, written_at: datetime) -> bool:
        """Whether the former release may have written it after what it had written was bound."""
        return self.began_at - RESTART_LEEWAY <= written_at < self.ended_at + RESTART_LEEWAY


def digests_begin() -> None:
    """After the last migration, once: books that begin with digests have nothing to tell."""
    try:
        applied = MigrationRecorder.Migration.objects.filter(app=ANCHOR[0], name=ANCHOR[1])
        moment = applied.values_list("applied", flat=True).first()
        if moment is None or not AuditEvent.objects.filter(created_at__lt=moment).exists():
            return
        told = AuditEvent.objects.filter(object_type=AUDIT_OBJECT, created_at__gte=moment)
        if told.exists():
            return
    except DatabaseError:
        return  # migrated back to before the trail
    with atomic():
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=AUDIT_ID,
            action=BEGUN,
            actor=SYSTEM,
            details={"began_at": moment.isoformat()},
        )


def newest_upgrade(using: str) -> Upgrade | None:
    """None: every row there is has a digest."""
    events = AuditEvent.objects.using(using).filter(object_type=AUDIT_OBJECT, object_id=AUDIT_ID)
    event = events.order_by("-version").first()
    if event is None:
        return None
    return Upgrade(datetime.fromisoformat(event.details["began_at"]), event.created_at)
