"""Who took bills' files and reports out of the house."""

from datetime import date

from reconciliation.models import BillFile
from reconciliation.services.importing import AUDIT_OBJECT
from tcmpay.audit.services import audit_record
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit


@money_unit
def bill_downloaded(*, actor: Actor, bill: BillFile) -> None:
    """Note that ``actor`` takes the file."""
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=bill.pk,
        action="bill_downloaded",
        actor=actor,
        details={"sha256": bill.sha256, "day": bill.day.isoformat()},
    )


@money_unit
def report_downloaded(*, actor: Actor, first: date, last: date, what: str, form: str) -> None:
    """Note that ``actor`` takes a report of these days as a file."""
    audit_record(
        object_type="report",
        object_id=f"{first.isoformat()}:{last.isoformat()}",
        action="report_downloaded",
        actor=actor,
        details={"what": what, "format": form},
    )
