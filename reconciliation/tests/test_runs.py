"""A day that is compared again: nothing twice, what is gone is settled, what staff ended stays."""

import uuid
from datetime import timedelta

import pytest

from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import exception_write_off_ask
from reconciliation.errors import NothingToCompare
from reconciliation.invariants import CHECKS
from reconciliation.models import Difference, ReconciledDay
from reconciliation.selectors import (
    FundsState,
    funds_state_of_attempt,
    funds_state_of_refund,
    verified_share,
)
from reconciliation.services import running
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillType
from reconciliation.tests.kit import (
    DAY,
    NOON,
    at,
    attempt,
    configured,
    fund_rows,
    imported,
    merchant,
    payment_row,
    refund,
    refund_row,
    strange_row,
)
from refunds.services.cases import case_write_off_decide
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db
METHOD = "wechat"
NEXT = DAY + ONE_DAY
CLERK, SECOND = Actor(uuid.uuid4(), Role.STAFF), Actor(uuid.uuid4(), Role.STAFF)


@pytest.fixture
def version():
    return configured(METHOD)


def compared():
    return day_reconcile(actor=CLERK, merchant=merchant(METHOD), day=DAY)


def written_off(case):
    exception_write_off_ask(actor=CLERK, exception_id=case.id, reason="核实过")
    case_write_off_decide(actor=SECOND, exception_id=case.id, is_confirmed=True, notes="好")


def problems():
    return [one for check in CHECKS for one in check(Scope())]


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
    assert not problems()


def test_what_comes_back_under_another_of_the_gateway_s_numbers_is_another_case(version):
    line = strange_row("SHOP-1")
    for rows in ([line], [], [line._replace(transaction_id="T-other")]):
        imported(METHOD, rows, is_replacing=True)
        compared()
    cases = PaymentException.objects.order_by("opened_at", "id")
    assert [case.outcome for case in cases] == ["settled", ""]
    assert not problems()


def test_an_ended_case_of_another_fact_has_no_difference(version):
    imported(METHOD, [strange_row("SHOP-1"), strange_row("SHOP-2")])
    compared()
    imported(METHOD, [], is_replacing=True)
    compared()
    Difference.objects.filter(out_trade_no="SHOP-1").delete()
    assert [one.object_type for one in problems()] == ["payment_exception"]


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


def test_what_staff_ended_does_not_answer_for_another_amount(version):
    imported(METHOD, [strange_row("SHOP-1", 500)])
    compared()
    written_off(PaymentException.objects.get())
    imported(METHOD, [strange_row("SHOP-1", 500_000)], is_replacing=True)
    row = compared()
    assert [str(one.theirs) for one in Difference.objects.open()] == ["5000.00"]
    assert str(verified_share(row)) == "0.0000"
    assert not problems()


def test_an_open_case_ends_when_its_amount_is_another(version):
    imported(METHOD, [strange_row("SHOP-1", 500)])
    compared()
    imported(METHOD, [strange_row("SHOP-1", 700)], is_replacing=True)
    compared()
    cases = PaymentException.objects.order_by("opened_at", "id")
    assert [(str(case.amount), case.outcome) for case in cases] == [
        ("5.00", "settled"),
        ("7.00", ""),
    ]
    assert not problems()


def test_what_staff_ended_does_not_answer_for_another_day(version):
    line = payment_row(attempt(METHOD, version))
    imported(METHOD, [line, line])
    compared()
    written_off(PaymentException.objects.get())
    with clock.frozen(at(NOON, NEXT + ONE_DAY)):
        imported(METHOD, [line._replace(moment=f"{NEXT} 12:00:00")], day=NEXT)
        row = day_reconcile(actor=CLERK, merchant=merchant(METHOD), day=NEXT)
    assert [one.difference_type for one in row.differences.open()] == ["duplicate"]
    assert PaymentException.objects.filter(closed_at=None).count() == 1


@pytest.mark.parametrize("number", ["SHOP-1", "ORD20261124120000ABCDEFGHIJ"])
def test_each_line_of_a_number_that_is_not_ours_is_told(version, number):
    imported(METHOD, [strange_row(number, 500)] * 2)
    row = compared()
    assert (row.lines, row.matched) == (2, 0)
    assert [str(one.theirs) for one in row.differences.open()] == ["5.00", "5.00"]
    assert PaymentException.objects.count() == 2
    assert not problems()
    compared()
    assert PaymentException.objects.count() == 2


def test_further_lines_of_a_number_that_we_hold_unpaid_are_duplicates(version):
    imported(METHOD, [payment_row(attempt(METHOD, version, status="pending"))] * 3)
    row = compared()
    told = sorted(one.difference_type for one in row.differences.open())
    assert told == ["duplicate", "duplicate", "state"]
    assert not problems()


def test_lines_of_the_next_day_s_payment_are_one_and_its_duplicates(version):
    line = payment_row(attempt(METHOD, version, moved=timedelta(minutes=1), day=NEXT))
    imported(METHOD, [line._replace(moment=f"{DAY} 23:59:59")] * 2)
    told = sorted(one.difference_type for one in compared().differences.open())
    assert told == ["duplicate", "wrong_day"]


def test_refunds_of_the_console_without_a_number_are_several():
    payment = attempt("alipay", configured("alipay"), day=DAY - ONE_DAY)
    line = refund_row(refund(payment), out_refund_no="")
    payment.refunds.all().delete()
    imported("alipay", [line, line])
    row = day_reconcile(actor=CLERK, merchant=merchant("alipay"), day=DAY)
    assert [one.difference_type for one in row.differences.open()] == ["theirs_only"] * 2
    assert not problems()


def test_numbers_that_a_collation_takes_for_one_are_several(version):
    numbers = ["abc01", "ABC01", "abc01 ", "ábc01"]
    imported(METHOD, [strange_row(number, 500) for number in numbers])
    compared()
    compared()
    assert {one.out_trade_no for one in Difference.objects.open()} == set(numbers)
    assert PaymentException.objects.filter(closed_at=None).count() == 4
    imported(METHOD, [strange_row("abc01", 500)], is_replacing=True)
    compared()
    assert [one.out_trade_no for one in Difference.objects.open()] == ["abc01"]
    assert [case.out_trade_no for case in PaymentException.objects.filter(closed_at=None)] == [
        "abc01"
    ]


def test_of_two_runs_at_once_the_one_that_read_earlier_reads_again(version, monkeypatch):
    payment = attempt(METHOD, version, status="pending")
    imported(METHOD, [payment_row(payment)])
    compare = running._Run.compare

    def overtaken(run):
        monkeypatch.setattr(running._Run, "compare", compare)
        told = run.compare()
        PaymentTransaction.objects.filter(id=payment.id).update(
            status="success", completed_at=payment.initiated_at
        )
        compared()
        return told

    monkeypatch.setattr(running._Run, "compare", overtaken)
    row = compared()
    assert (row.runs, row.matched) == (2, 1)
    assert not row.differences.found().exists()


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
