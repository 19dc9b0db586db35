"""Money moves only in units of its own, and nothing is told of what was not committed with it."""

import pytest
from django.db.transaction import atomic

from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import AuditOutsideTransaction, audit_record
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit


@pytest.mark.django_db(transaction=True)
def test_a_unit_inside_a_transaction_is_refused() -> None:
    @money_unit
    def unit() -> str:
        return "done"

    with pytest.raises(RuntimeError, match="durable"), atomic():
        unit()
    assert unit() == "done"


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused() -> None:
    with pytest.raises(AuditOutsideTransaction):
        audit_record(object_type="order", object_id="1", action="test", actor=SYSTEM)
    assert not AuditEvent.objects.exists()
