"""The audit: a closed day is what two people signed, and its figures are those of the rows."""

from datetime import timedelta

import pytest
from django.db import connection

from balances.models import BalanceTransaction
from payments.models import ClosedDay, PaymentOrder
from reconciliation.invariants_closing import CHECKS
from reconciliation.models import DailyClose, DayReopening
from reconciliation.services.closing import reopening_approve, reopening_request
from reconciliation.tests.days import (
    DAY,
    FIRST,
    HOUR,
    NOON,
    SECOND,
    closed,
    funded,
    morning_after,
    paid,
    paid_from_balance,
    patient,
    refund_begun,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


@pytest.fixture
def books():
    """Two closed days, of which the second was opened and closed once more."""
    owner = patient()
    funded(owner, "100.00")
    order = paid_from_balance(owner)
    refund_begun(order.id, "10.00")
    paid(owner, "45.00")
    closed(DAY)
    paid(owner, "5.00", NOON + ONE_DAY)
    closed(DAY + ONE_DAY)
    at = morning_after(DAY + ONE_DAY)
    with clock.frozen(at + HOUR):
        asked = reopening_request(actor=FIRST, day=DAY + ONE_DAY, reason="x")
        reopening_approve(actor=SECOND, reopening_id=asked.id)
    closed(DAY + ONE_DAY, at + 2 * HOUR)


def problems() -> list[str]:
    return [f"{found.code} {found.message}" for check in CHECKS for found in check(Scope())]


def test_the_audit_is_silent_about_sound_closes(books):
    assert problems() == []


def _figures(close: DailyClose, **changes) -> None:
    DailyClose.objects.filter(id=close.id).update(figures=close.figures | changes)


CHANGES = {
    "a figure of a close": lambda: _figures(DailyClose.objects.first(), receipts="76.00"),
    "who signed": lambda: DailyClose.objects.update(decided_by=patient().id),
    "who put it forward": lambda: DailyClose.objects.update(proposed_by=patient().id),
    "when it was signed": lambda: DailyClose.objects.update(decided_at=NOON + 9 * ONE_DAY),
    "a bill that it is based on": lambda: DailyClose.objects.update(bills=[{}]),
    "a root": lambda: DailyClose.objects.update(roots={"x": "y"}),
    "a signature": lambda: DailyClose.objects.filter(day=DAY).update(signature="0" * 64),
    "a close is gone": lambda: DailyClose.objects.filter(day=DAY).delete(),
    "a closed day is gone": lambda: ClosedDay.objects.filter(day=DAY).delete(),
    "a closed day's moment": lambda: ClosedDay.objects.filter(day=DAY).update(
        closed_at=NOON + 2 * ONE_DAY + timedelta(seconds=1)
    ),
    "a reopening is gone": lambda: DayReopening.objects.all().delete(),
    "who agreed to open it": lambda: DayReopening.objects.update(decided_by=patient().id),
    "the trail of a close": lambda: AuditEvent.objects.filter(object_type="daily_close").delete(),
    "a payment of a closed day": lambda: PaymentOrder.objects.filter(amount=45).update(amount=46),
    "the day of a payment": lambda: PaymentOrder.objects.filter(amount=45).update(
        paid_on=DAY + ONE_DAY
    ),
    "an entry of a closed day": lambda: BalanceTransaction.objects.filter(amount=30).update(
        amount=31
    ),
    "an entry moved to another day": lambda: BalanceTransaction.objects.filter(amount=30).update(
        created_at=NOON + 3 * ONE_DAY
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_audit_finds(books, change):
    with connection.constraint_checks_disabled():
        change()
    assert problems() != []
