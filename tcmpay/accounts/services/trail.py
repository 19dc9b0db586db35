"""What is done to accounts of staff, as the audit trail tells it."""

from collections.abc import Mapping
from typing import Any

from tcmpay.accounts.models import StaffUser
from tcmpay.audit.services import audit_record
from tcmpay.common.actor import Actor

AUDIT_OBJECT = "staff_user"


def staff_audit(
    person: StaffUser,
    action: str,
    *,
    actor: Actor | None = None,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Tell what ``actor`` (without one, the person) did to an account, in the caller's unit."""
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=person.pk,
        action=action,
        actor=actor or person.as_actor(),
        reason=reason,
        details=details,
    )
