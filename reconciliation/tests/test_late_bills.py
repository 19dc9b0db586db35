"""A bill of a day that was closed without one: evidence all the same, its fees and differences in
the first open day; what was signed stays as it was."""

from datetime import timedelta

import pytest

from payments.models import PaymentOrder
from reconciliation.errors import DayIsClosed
from reconciliation.invariants_closing import CHECKS
from reconciliation.models import BillFile, DailyClose, ReconciledDay
from reconciliation.reports import report
from reconciliation.services.fetching import bills_due
from reconciliation.services.running import day_reconcile
from reconciliation.stand import day_stand
from reconciliation.states import BillType
from reconciliation.tests.days import DAY, closed, funded, morning_after, patient
from reconciliation.tests.kit import (
    attempt,
    configured,
    fund_rows,
    imported,
    merchant,
    payment_row,
    strange_row,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db
METHOD = "wechat"
NEXT, THIRD = DAY + ONE_DAY, DAY + 2 * ONE_DAY


@pytest.fixture
def late():
    """A payment of DAY that was told once DAY was closed: it counts in the next day."""
    version = configured(METHOD)
    funded(patient(), "1.00")
    closed(DAY)
    payment = attempt(METHOD, version, booked_at=morning_after(NEXT))
    PaymentOrder.objects.filter(id=payment.order_id).update(paid_on=NEXT)
    with clock.frozen(morning_after(NEXT)):
        yield payment


def signed(day) -> dict:
    return day_stand(day).figures


def compare(day=DAY) -> ReconciledDay:
    return day_reconcile(actor=SYSTEM, merchant=merchant(METHOD), day=day)


def codes(day) -> list[str]:
    return [block.code for block in day_stand(day).blocks]


def test_its_fees_count_in_the_first_open_day_and_are_marked(late):
    before = signed(DAY)
    bill = imported(METHOD, [payment_row(late)])
    assert AuditEvent.objects.get(object_id=str(bill.id)).details["counts_on"] == str(NEXT)
    assert codes(NEXT) == ["not_compared"]
    assert compare().matched == 1
    assert codes(NEXT) == []
    figures = day_stand(NEXT).figures
    assert (figures["receipts"], figures["fees"], figures["net"]) == ("30.00", "0.18", "29.82")
    assert (figures["late"]["receipts"], figures["late_fees"]) == ("30.00", "0.18")
    assert signed(DAY) == before
    closed(NEXT, clock.now())
    assert signed(NEXT) == figures
    (told,) = DailyClose.objects.get(day=NEXT).bills
    assert (told["sha256"], told["day"]) == (bill.sha256, str(DAY))
    (line,) = (one for one in report(DAY, NEXT).by("method") if one.name == METHOD)
    assert str(line.fees) == "0.18"
    assert [str(one.message) for check in CHECKS for one in check(Scope())] == []


def test_its_differences_stand_in_the_way_of_the_day_in_which_it_counts(late):
    imported(METHOD, [payment_row(late, amount_fen=2999)], odd=["what?"])
    compare()
    assert codes(NEXT) == ["quarantined", "differences"]


def test_both_bills_come_until_that_day_is_closed_too(late):
    rows = [payment_row(late)]
    imported(METHOD, rows)
    imported(METHOD, fund_rows(rows), bill_type=BillType.FUND)
    imported(METHOD, [*rows, strange_row("SHOP1")], is_replacing=True)
    imported(METHOD, rows, is_replacing=True)
    compare()
    closed(NEXT, clock.now())
    figures = signed(NEXT)
    with pytest.raises(DayIsClosed):
        imported(METHOD, [], is_replacing=True)
    assert BillFile.objects.count() == 3
    assert signed(NEXT) == figures
    with clock.frozen(morning_after(THIRD)):
        assert day_stand(THIRD).figures["fees"] == "0.00", "counted once"


def test_what_a_day_was_closed_with_stands(late):
    with clock.frozen(morning_after(NEXT)):
        other = attempt(METHOD, late.config_version_id, day=NEXT)
        imported(METHOD, [payment_row(other)], day=NEXT)
        compare(NEXT)
        closed(NEXT, clock.now())
        with pytest.raises(DayIsClosed):
            imported(METHOD, [], day=NEXT, is_replacing=True)
        with pytest.raises(DayIsClosed):
            imported(METHOD, fund_rows([]), day=NEXT, bill_type=BillType.FUND)


def test_it_is_fetched_by_itself_where_money_came_late(late):
    assert (merchant(METHOD), DAY) in list(bills_due(clock.now() + timedelta(hours=2)))
    imported(METHOD, [payment_row(late)])
    assert (merchant(METHOD), DAY) not in list(bills_due(clock.now() + timedelta(hours=2)))
