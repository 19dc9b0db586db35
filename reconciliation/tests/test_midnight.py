"""What moved around midnight waits for the next day's bill, and then is told for what it is."""

from datetime import timedelta

import pytest

from payments.models import PaymentException
from reconciliation.invariants import CHECKS
from reconciliation.models import Difference
from reconciliation.selectors import verified_share
from reconciliation.services.fetching import day_without_movement
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
)
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db
METHOD = "wechat"
NEXT = DAY + ONE_DAY
LATE = timedelta(hours=23, minutes=59, seconds=58)


@pytest.fixture
def version():
    return configured(METHOD)


@pytest.fixture(autouse=True)
def _two_days_later():
    with clock.frozen(at(NOON, DAY + 2 * ONE_DAY)):
        yield


def compared(day=DAY):
    return day_reconcile(actor=SYSTEM, merchant=merchant(METHOD), day=day)


def told(day=DAY):
    rows = Difference.objects.found().filter(day__day=day)
    return [(one.difference_type, one.is_doubtful) for one in rows]


@pytest.mark.parametrize("moved", [LATE, timedelta(hours=23), timedelta(hours=1), timedelta(0)])
def test_it_waits_within_an_hour_of_midnight(version, moved):
    attempt(METHOD, version, moved=moved)
    imported(METHOD, [])
    compared()
    assert told() == [("ours_only", True)]
    assert not PaymentException.objects.exists()
    assert not Difference.objects.open().exists()


@pytest.mark.parametrize("moved", [timedelta(minutes=61), timedelta(hours=22, minutes=59), NOON])
def test_it_waits_no_more_than_an_hour_from_it(version, moved):
    attempt(METHOD, version, moved=moved)
    imported(METHOD, [])
    compared()
    assert told() == [("ours_only", False)]


def test_the_next_day_s_bill_has_it(version):
    payment = attempt(METHOD, version, moved=LATE)
    imported(METHOD, [])
    compared()
    imported(METHOD, [payment_row(payment, moment="2026-11-25 00:00:01")], day=NEXT)
    compared(NEXT)
    assert told() == told(NEXT) == [("wrong_day", False)]
    case = PaymentException.objects.get()  # one fact, one case
    assert case.kind == "bill_wrong_day"
    assert case.differences.count() == 2


def test_the_next_day_s_bill_has_it_with_another_amount(version):
    payment = attempt(METHOD, version, moved=LATE)
    imported(METHOD, [])
    compared()
    line = payment_row(payment, moment="2026-11-25 00:00:01", amount_fen=2000)
    imported(METHOD, [line], day=NEXT)
    compared(NEXT)
    assert told() == told(NEXT) == [("amount", False)]
    assert PaymentException.objects.get().kind == "bill_amount"


def test_the_next_day_s_bill_lacks_it(version):
    attempt(METHOD, version, moved=LATE)
    imported(METHOD, [])
    compared()
    imported(METHOD, [], day=NEXT)
    compared(NEXT)
    assert told() == [("ours_only", False)]
    assert PaymentException.objects.get().kind == "bill_ours_only"


def test_on_the_next_day_nothing_moved(version):
    attempt(METHOD, version, moved=LATE)
    imported(METHOD, [])
    compared()
    day_without_movement(actor=SYSTEM, merchant=merchant(METHOD), day=NEXT)
    compared(NEXT)
    assert told() == [("ours_only", False)]


def test_the_bill_of_the_day_before_has_it(version):
    payment = attempt(METHOD, version, moved=timedelta(seconds=3), day=NEXT)
    imported(METHOD, [payment_row(payment, moment="2026-11-24 23:59:59")])
    compared()
    imported(METHOD, [], day=NEXT)
    compared(NEXT)
    assert told() == told(NEXT) == [("wrong_day", False)]


def test_both_days_bills_have_it(version):
    payment = attempt(METHOD, version, moved=LATE)
    imported(METHOD, [payment_row(payment)], day=DAY)
    imported(METHOD, [payment_row(payment)], day=NEXT)
    compared(NEXT)  # before the day that we have it in was compared
    compared()
    assert told() == []
    assert told(NEXT) == [("duplicate", False)]


@pytest.mark.parametrize(
    ("lines", "fee_more", "is_funded", "also"),
    [
        (2, 0, True, "duplicate"),
        (1, 5_000, True, "fee"),
        (1, 0, False, "fund_missing"),
    ],
)
def test_a_line_of_another_day_s_payment_hides_nothing(version, lines, fee_more, is_funded, also):
    payment = attempt(METHOD, version, moved=LATE)
    line = payment_row(payment, moment="2026-11-25 00:00:01")
    rows = [line._replace(fee=line.fee + fee_more)] * lines
    imported(METHOD, [])
    imported(METHOD, rows, day=NEXT)
    funds = fund_rows(rows) if is_funded else []
    imported(METHOD, funds, day=NEXT, bill_type=BillType.FUND)
    compared()
    compared(NEXT)
    assert sorted(told(NEXT)) == sorted([(also, False), ("wrong_day", False)])
    assert told() == [("wrong_day", False)]
    assert [one for check in CHECKS for one in check(Scope())] == []


def test_the_yuan_of_a_line_that_differs_twice_are_named_once(version):
    late, other = attempt(METHOD, version, moved=LATE), attempt(METHOD, version, day=NEXT)
    lines = [payment_row(late, moment="2026-11-25 00:00:01"), payment_row(other)]
    imported(METHOD, [])
    imported(METHOD, lines, day=NEXT)
    moves = fund_rows([lines[0]._replace(settled_fen=2_900), lines[1]])
    imported(METHOD, moves, day=NEXT, bill_type=BillType.FUND)
    row = compared(NEXT)
    assert sorted(told(NEXT)) == [("amount", False), ("wrong_day", False)]
    assert (str(row.total), str(row.verified)) == ("60.00", "30.00")
    assert str(verified_share(row)) == "0.5000"


def test_a_line_that_goes_by_the_gateway_s_number_hides_no_fee(version):
    line = payment_row(attempt(METHOD, version))
    imported(METHOD, [line._replace(out_trade_no="SHOP-1", fee=line.fee + 5_000)])
    compared()
    assert told() == [("fee", False)]


@pytest.mark.parametrize("bill_day", [DAY - ONE_DAY, NEXT])
def test_a_refund_that_failed_in_another_day_s_bill_is_not_ours_there(version, bill_day):
    back = refund(attempt(METHOD, version, day=DAY - 5 * ONE_DAY))
    imported(METHOD, [])
    failed = refund_row(back, state="FAIL", moment=f"{bill_day} 12:00:00")
    imported(METHOD, [failed], day=bill_day)
    compared()
    compared(bill_day)
    assert told() == [("ours_only", False)]
    assert told(bill_day) == []


@pytest.mark.parametrize("bill_day", [DAY - ONE_DAY, NEXT])
def test_a_payment_that_another_day_s_bill_has_as_revoked_is_not_ours_there(version, bill_day):
    payment = attempt(METHOD, version)
    imported(METHOD, [])
    revoked = payment_row(payment, state="REVOKED", moment=f"{bill_day} 12:00:00")
    imported(METHOD, [revoked], day=bill_day)
    compared()
    compared(bill_day)
    assert told() == [("ours_only", False)]
    assert told(bill_day) == [("state", False)]


@pytest.mark.parametrize("states", [("FAIL", "SUCCESS"), ("SUCCESS", "FAIL")])
def test_a_refund_that_failed_and_was_sent_again_is_there_once(version, states):
    payment = attempt(METHOD, version, day=DAY - 5 * ONE_DAY)
    back = refund(payment)
    imported(METHOD, [refund_row(back, state=state) for state in states])
    compared()
    assert told() == []


def test_a_refund_of_ours_that_failed_there(version):
    back = refund(attempt(METHOD, version, day=DAY - 5 * ONE_DAY))
    imported(METHOD, [refund_row(back, state="FAIL")])
    compared()
    assert told() == [("state", False)]
