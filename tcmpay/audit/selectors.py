"""Reading the audit trail."""

from django.db.models import QuerySet

from tcmpay.audit.models import AuditEvent


def events_of(object_type: str, object_id: object) -> QuerySet[AuditEvent]:
    """What happened to one object, oldest first."""
    return AuditEvent.objects.filter(object_type=object_type, object_id=str(object_id)).order_by(
        "version"
    )
