"""A day that is compared again: nothing twice, what is gone is settled, what staff ended stays."""

import uuid
from datetime import timedelta

import pytest

from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import exception_write_off_ask, exception_write_off_decide
from reconciliation.errors import NothingToCompare
from reconciliation.models import Difference, ReconciledDay
from reconciliation.selectors import (
    FundsState,
    funds_state_of_attempt,
    funds_state_of_refund,
    verified_share,
)
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillType
from reconciliation.tests.kit import (
    DAY,
    attempt,
    configured,
    fund_rows,
    imported,
    merchant,
    payment_row,
    refund,
    refund_row,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
METHOD = "wechat"
CLERK, SECOND = Actor(uuid.uuid4(), Role.STAFF), Actor(uuid.uuid4(), Role.STAFF)


@pytest.fixture
def version():
    return configured(METHOD)


def compared():
    return day_reconcile(actor=CLERK, merchant=merchant(METHOD), day=DAY)


def written_off(case):
    exception_write_off_ask(actor=CLERK, exception_id=case.id, reason="核实过")
    exception_write_off_decide(actor=SECOND, exception_id=case.id, is_confirmed=True, notes="好")


def test_a_further_run_changes_nothing(version):
    attempt(METHOD, version)
    imported(METHOD, [])
    compared()
    before = list(Difference.objects.values()), list(PaymentException.objects.values())
    assert compared().runs == 2
    assert (list(Difference.objects.values()), list(PaymentException.objects.values())) == before


def test_who_ran_it_is_in_the_trail_with_the_bill_s_hash(version):
    bill = imported(METHOD, [])
    row = compared()
    event = AuditEvent.objects.get(object_id=str(row.id), action="day_reconciled")
    assert event.actor_id == CLERK.id
    assert event.details["trade_bill"] == bill.sha256
    assert (event.details["day"], event.details["merchant"]) == ("2026-11-24", "1900000001")


def test_without_a_bill_there_is_nothing_to_compare(version):
    with pytest.raises(NothingToCompare):
        compared()
    assert not ReconciledDay.objects.exists()


def test_what_is_gone_ends_its_case(version):
    payment = attempt(METHOD, version)
    imported(METHOD, [])
    compared()
    imported(METHOD, [payment_row(payment)], is_replacing=True)
    row = compared()
    one, case = Difference.objects.get(), PaymentException.objects.get()
    assert one.gone_at is not None
    assert case.outcome == "settled"
    assert case.closed_by == CLERK.id
    assert verified_share(row) == 1


def test_what_comes_back_is_another_case(version):
    payment = attempt(METHOD, version)
    imported(METHOD, [])
    compared()
    imported(METHOD, [payment_row(payment)], is_replacing=True)
    compared()
    imported(METHOD, [], is_replacing=True)  # the first file counts again
    compared()
    one = Difference.objects.get()
    assert one.gone_at is None
    assert one.case.closed_at is None
    assert PaymentException.objects.count() == 2


def test_what_staff_ended_stays_ended(version):
    payment = attempt(METHOD, version)
    imported(METHOD, [])
    row = compared()
    assert str(verified_share(row)) == "0.0000"
    written_off(Difference.objects.get().case)
    row = compared()
    assert PaymentException.objects.get().outcome == "written_off"
    assert not Difference.objects.open().exists()
    assert Difference.objects.found().exists()
    assert str(verified_share(row)) == "1.0000"
    assert payment.status == "success"


def test_a_late_booking_is_matched_by_the_next_run(version):
    payment = attempt(METHOD, version, status="pending")
    line = payment_row(payment)
    imported(METHOD, [line])
    compared()
    PaymentTransaction.objects.filter(id=payment.id).update(
        status="success", completed_at=payment.initiated_at + timedelta(minutes=1)
    )
    assert not compared().differences.found().exists()


def test_the_share_is_of_yuan(version):
    small, big = attempt(METHOD, version, amount="1.00"), attempt(METHOD, version, amount="2.00")
    imported(METHOD, [payment_row(big)])
    row = compared()
    assert str(verified_share(row)) == "0.6666"
    assert small.amount == row.total - row.verified


# --- where the money is, by the bills -----------------------------------------------------------


def test_money_is_expected_then_received(version):
    payment = attempt(METHOD, version)
    back = refund(payment)
    assert funds_state_of_attempt(payment) == FundsState.EXPECTED
    assert funds_state_of_refund(back) == FundsState.SENT
    lines = [payment_row(payment), refund_row(back)]
    imported(METHOD, lines)
    imported(METHOD, fund_rows(lines), bill_type=BillType.FUND)
    compared()
    assert funds_state_of_attempt(payment) == FundsState.RECEIVED
    assert funds_state_of_refund(back) == FundsState.RETURNED


def test_money_is_missing(version):
    payment, back = attempt(METHOD, version), refund(attempt(METHOD, version))
    lines = [payment_row(payment), payment_row(back.transaction), refund_row(back)]
    imported(METHOD, lines)
    imported(METHOD, fund_rows(lines[1:2]), bill_type=BillType.FUND)
    compared()
    assert funds_state_of_attempt(payment) == FundsState.MISSING
    assert funds_state_of_refund(back) == FundsState.MISSING
    assert funds_state_of_attempt(back.transaction) == FundsState.RECEIVED
