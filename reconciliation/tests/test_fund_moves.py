"""Money that moves in the account without a line of a trade bill that says why."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from gateways.interface import FundKind, FundRow
from reconciliation.models import Difference
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
from refunds.models import Refund
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY

pytestmark = pytest.mark.django_db
NEXT = DAY + ONE_DAY


@pytest.fixture(params=("wechat", "alipay"))
def method(request):
    return request.param


@pytest.fixture
def version(method):
    return configured(method)


@pytest.fixture(autouse=True)
def _five_days_later():
    with clock.frozen(at(NOON, DAY + 5 * ONE_DAY)):
        yield


def traded(method, rows, day=DAY, **other):
    imported(method, rows, day=day, **other)


def moved(method, rows, day=DAY, **other):
    rows = [row._replace(moment=f"{day} 12:00:00") for row in rows]
    moves = as_the_account_has_them(method, fund_rows(rows, opening_fen=0))
    imported(method, moves, day=day, bill_type=BillType.FUND, **other)


def as_the_account_has_them(method, moves):
    """WeChat Pay's names no payment in a refund's line, Alipay's names every line by its trade."""
    if method == "wechat":
        return [row._replace(out_trade_no="") if row.out_refund_no else row for row in moves]
    return [row._replace(out_refund_no="", transaction_id=f"T{row.out_trade_no}") for row in moves]


def told(method, day=DAY):
    row = day_reconcile(actor=SYSTEM, merchant=merchant(method), day=day)
    found = row.differences.found()
    return sorted(
        (one.difference_type, str(one.ours or ""), str(one.theirs or "")) for one in found
    )


def came_back(method, line, *, day):
    """The account has the refund's money again."""
    [move] = fund_rows([line._replace(fee=0)], opening_fen=0)
    back = {"kind": FundKind.REFUND_CLOSED, "kind_text": "退款关闭", "flow_no": "F-closed"}
    amount = {"change_fen": line.settled_fen, "balance_fen": line.settled_fen}
    row = move._replace(moment=f"{day} 09:00:00", out_trade_no="", **back, **amount)
    imported(method, [row], day=day, bill_type=BillType.FUND)


@pytest.mark.parametrize("status", ["success", "failed"])
def test_a_refund_whose_money_came_back_on_a_later_day_is_told_where_we_hold_it_as_done(status):
    payment = attempt("wechat", configured("wechat"), day=DAY - ONE_DAY)
    line = refund_row(back := refund(payment))
    traded("wechat", [line])
    moved("wechat", [line])
    assert told("wechat") == []
    Refund.objects.filter(id=back.id).update(status=status)
    later = DAY + 2 * ONE_DAY
    traded("wechat", [], day=later)
    came_back("wechat", line, day=later)
    wrong = [("state", "10.00", "10.00")]
    assert told("wechat", later) == (wrong if status == "success" else [])
    if status == "success":
        assert Difference.objects.get().refund == back


def test_a_payment_credited_twice(method, version):
    line = payment_row(attempt(method, version))
    traded(method, [line])
    moved(method, [line, line])
    assert told(method) == [("duplicate", "", "0.18"), ("duplicate", "", "30.00")]
    assert {one.out_trade_no for one in Difference.objects.all()} == {line.out_trade_no}
    assert {one.bill.bill_type for one in Difference.objects.all()} == {"fund"}


def test_a_refund_debited_twice(method, version):
    payment = attempt(method, version)
    lines = [payment_row(payment), refund_row(refund(payment))]
    traded(method, lines)
    moved(method, [*lines, lines[1]])
    assert told(method) == [("duplicate", "", "0.06"), ("duplicate", "", "10.00")]
    assert {one.transaction_id for one in Difference.objects.all()} == {payment.id}


def test_money_of_nobody_we_know(method, version):
    configured(method)
    ours_by_form = "ORD20261124120000ABCDEFGHIJ"
    traded(method, [])
    moved(method, [strange_row("SHOP-1", 500, fee=0), strange_row(ours_by_form, 700, fee=0)])
    assert told(method) == [("foreign", "", "5.00"), ("theirs_only", "", "7.00")]


def test_a_refund_of_our_payment_that_no_bill_has():
    payment = attempt("alipay", configured("alipay"), moved=NOON - ONE_DAY)
    back = refund(payment)
    line = refund_row(back, fee=0)
    back.delete()
    traded("alipay", [])
    moved("alipay", [line])
    assert told("alipay") == [("theirs_only", "", "10.00")]
    assert Difference.objects.get().order == payment.order


def test_a_refund_that_we_hold_failed_and_that_moved():
    payment = attempt("wechat", configured("wechat"), moved=NOON - ONE_DAY)
    line = refund_row(refund(payment, status="failed"), fee=0)
    traded("wechat", [])
    moved("wechat", [line])
    assert told("wechat") == [("state", "", "10.00")]


def test_a_payment_of_ours_that_moved_and_is_in_no_bill(method, version):
    line = payment_row(attempt(method, version), fee=0)
    traded(method, [])
    moved(method, [line])
    assert told(method) == [("ours_only", "30.00", ""), ("theirs_only", "", "30.00")]


def test_what_stands_in_the_bill_of_an_earlier_day_and_did_not_move_then_is_late(method, version):
    line = payment_row(attempt(method, version))
    traded(method, [line])
    moved(method, [])
    traded(method, [], day=NEXT)
    moved(method, [line], day=NEXT)
    assert told(method, NEXT) == []
    assert told(method) == []


def test_what_moved_on_its_own_day_and_again_on_the_next(method, version):
    line = payment_row(attempt(method, version))
    traded(method, [line])
    moved(method, [line])
    traded(method, [], day=NEXT)
    # A fresh account each day here: no balance to follow from.
    with patch("reconciliation.services.running._Run._closing_before", return_value=None):
        assert told(method) == []
        moved(method, [line], day=NEXT)
        assert told(method, NEXT) == [("duplicate", "", "0.18"), ("duplicate", "", "30.00")]


def test_a_trade_bill_that_comes_later_explains_it(method, version):
    shop = strange_row("SHOP-1", 500, fee=0)
    traded(method, [], day=NEXT)
    moved(method, [shop], day=NEXT)
    assert told(method, NEXT) == [("foreign", "", "5.00")]
    traded(method, [shop])
    told(method)
    assert not Difference.objects.found().filter(day__day=NEXT).exists()


def test_on_a_day_without_movement_money_moves_all_the_same(method, version):
    from reconciliation.services.running import day_without_movement

    day_without_movement(actor=SYSTEM, merchant=merchant(method), day=DAY)
    moved(method, [strange_row("SHOP-1", 500, fee=0)])
    assert told(method) == [("foreign", "", "5.00")]


def test_withdrawals_and_what_goes_out_and_comes_back_are_none(method, version):
    traded(method, [])
    moves = [
        FundRow(1, "2026-11-24 12:00:00", "F1", "W1", "", "", FundKind.WITHDRAWAL, "提现", -5, 95),
        FundRow(2, "2026-11-24 12:00:00", "F2", "O1", "", "", FundKind.OTHER, "其他", -5, 90),
        FundRow(3, "2026-11-24 12:00:00", "F3", "R1", "", "R1", FundKind.REFUND, "退款", -5, 85),
        FundRow(
            4,
            "2026-11-24 12:00:00",
            "F4",
            "R1",
            "",
            "R1",
            FundKind.REFUND_CLOSED,
            "退款关闭",
            5,
            90,
        ),
    ]
    imported(method, moves, bill_type=BillType.FUND)
    assert told(method) == []


def test_a_line_that_differs_already_is_not_told_by_its_money_again(method, version):
    payment = attempt(method, version)
    line = payment_row(payment, amount_fen=2000)
    traded(method, [line])
    moved(method, [line._replace(settled_fen=1900, fee=0)])
    assert told(method) == [("amount", "30.00", "20.00")]


def test_the_money_of_a_line_that_nobody_can_read(method, version):
    line = payment_row(attempt(method, version, moved=timedelta(hours=10)))
    traded(method, [], odd=[f"`{line.out_trade_no}`,`{line.transaction_id}`, 30.00, 一个, 店"])
    moved(method, [line])
    assert [kind for kind, *_amounts in told(method)] == ["line"]


def test_a_later_refund_of_the_same_amount_is_not_the_money_of_an_earlier_one():
    """Alipay's account names neither."""
    payment = attempt("alipay", configured("alipay"), day=DAY - 3 * ONE_DAY)
    first, second = (
        refund_row(refund(payment, day=day), fee=0, fee_rate="") for day in (DAY, NEXT)
    )
    traded("alipay", [first])
    moved("alipay", [])
    traded("alipay", [second], day=NEXT)
    moved("alipay", [second], day=NEXT)
    told("alipay", NEXT)
    assert told("alipay") == [("fund_missing", "10.00", "")]
    assert not Difference.objects.filter(day__day=NEXT).exists()
