"""Each kind of difference, found where it is and not where it is not."""

from datetime import timedelta

import pytest

from gateways.interface import RefundReport, RefundState
from payments.models import PaymentException, PaymentTransaction
from reconciliation.models import Difference
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillType
from reconciliation.tests import kit
from reconciliation.tests.kit import (
    DAY,
    NOON,
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
from refunds.services.submission import refund_report_apply
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY

pytestmark = pytest.mark.django_db
METHODS = ("wechat", "alipay")


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture
def version(method):
    return configured(method)


def compared(method, day=DAY):
    return day_reconcile(actor=SYSTEM, merchant=merchant(method), day=day)


def found(row):
    return sorted(
        (one.difference_type, one.refund_no or one.out_trade_no) for one in row.differences.found()
    )


def test_what_agrees_is_no_difference(method, version):
    payment = attempt(method, version)
    back = refund(payment)
    imported(method, [payment_row(payment), refund_row(back)])
    row = compared(method)
    assert found(row) == []
    assert (row.lines, row.matched) == (2, 2)
    assert (str(row.their_receipts), str(row.our_receipts)) == ("30.00", "30.00")
    assert (str(row.their_refunded), str(row.our_refunded)) == ("10.00", "10.00")
    assert (str(row.verified), str(row.total)) == ("40.00", "40.00")
    assert str(row.fees) == "0.12000"


def test_ours_that_the_bill_lacks(method, version):
    payment, there = attempt(method, version), attempt(method, version)
    back = refund(there)
    imported(method, [payment_row(there)])
    row = compared(method)
    assert found(row) == [
        ("ours_only", payment.out_trade_no),
        ("ours_only", back.refund_no),
    ]
    one = row.differences.get(transaction=payment)
    assert (str(one.ours), one.theirs) == ("30.00", None)
    assert one.case.kind == "bill_ours_only"
    assert one.case.transaction == payment
    assert (str(row.total), str(row.verified)) == ("70.00", "30.00")


def test_theirs_of_our_form_that_we_lack(method, version):
    imported(method, [strange_row("ORD20261124120000ABCDEFGHIJ", 700)])
    row = compared(method)
    assert found(row) == [("theirs_only", "ORD20261124120000ABCDEFGHIJ")]
    case = PaymentException.objects.get()
    assert (case.out_trade_no, str(case.amount)) == ("ORD20261124120000ABCDEFGHIJ", "7.00")
    assert case.external_transaction_id == "TORD20261124120000ABCDEFGHIJ"


def test_a_refund_of_our_payment_that_we_lack(method, version):
    payment = attempt(method, version)
    back = refund(payment)
    row_of_it = refund_row(back)
    other = row_of_it._replace(out_refund_no="console-1", refund_id="R1")
    imported(method, [payment_row(payment), row_of_it, other])
    row = compared(method)
    assert found(row) == [("theirs_only", "console-1")]
    assert row.differences.get().transaction == payment


def test_another_amount(method, version):
    payment = attempt(method, version)
    imported(method, [payment_row(payment, amount_fen=2999)])
    row = compared(method)
    assert found(row) == [("amount", payment.out_trade_no)]
    one = row.differences.get()
    assert (str(one.ours), str(one.theirs)) == ("30.00", "29.99")


def test_a_coupon_is_no_difference(method, version):
    payment = attempt(method, version)
    line = payment_row(payment, settled_fen=2500, fee=kit.fee_of(2500))
    imported(method, [line])
    imported(method, fund_rows([line]), bill_type=BillType.FUND)
    assert found(compared(method)) == []


def named_by_their_payment(rows):
    """As Alipay's account has them: no bill says for which refund money left."""
    return [row._replace(out_refund_no="", transaction_id=f"T{row.out_trade_no}") for row in rows]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_refunds_of_one_payment_are_told_apart_by_their_amounts(order):
    """Though one gave back no fee, and whichever comes first."""
    payment = attempt("alipay", configured("alipay"), amount="90.00")
    lines = [refund_row(refund(payment, amount=amount)) for amount in ("0.50", "20.00", "30.00")]
    lines = [payment_row(payment), *(lines[place] for place in order)]
    imported("alipay", lines)
    moves = named_by_their_payment(fund_rows(lines))
    imported("alipay", moves, bill_type=BillType.FUND)
    assert found(compared("alipay")) == []


def test_the_one_refund_of_several_whose_money_is_missing_is_told():
    payment = attempt("alipay", configured("alipay"), amount="90.00")
    backs = [refund(payment, amount=amount) for amount in ("20.00", "30.00", "10.00")]
    console = refund_row(backs[0])._replace(out_refund_no="console-1")
    backs[0].delete()
    lines = [payment_row(payment), console, *map(refund_row, backs[1:])]
    imported("alipay", lines)
    moves = named_by_their_payment(fund_rows(lines))
    kept = [move for move in moves if move.change_fen not in (-1000, 6)]
    balance = 100_000
    for place, move in enumerate(kept):
        balance += move.change_fen
        kept[place] = move._replace(balance_fen=balance)
    imported("alipay", kept, bill_type=BillType.FUND)
    assert found(compared("alipay")) == [
        ("fund_missing", backs[2].refund_no),
        ("theirs_only", "console-1"),
    ]


@pytest.mark.parametrize(("fee", "is_off"), [(19_000, False), (17_000, False), (20_000, True)])
def test_a_fee_is_the_rate_s_within_a_fen(method, version, fee, is_off):
    payment = attempt(method, version)
    imported(method, [payment_row(payment, fee=fee)])
    assert found(compared(method)) == ([("fee", payment.out_trade_no)] if is_off else [])


@pytest.mark.parametrize("rate", ["NaN%", "Infinity%", "1E999999%", "free"])
def test_a_rate_that_is_none_gives_no_fee(method, version, rate):
    imported(method, [payment_row(attempt(method, version), fee_rate=rate)])
    assert found(compared(method)) == []


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_a_number_that_we_hold_unpaid(method, version, status):
    payment = attempt(method, version, status=status)
    imported(method, [payment_row(payment)])
    assert found(compared(method)) == [("state", payment.out_trade_no)]


def test_a_refund_that_we_hold_failed(method, version):
    payment = attempt(method, version)
    back = refund(payment, status="failed")
    imported(method, [payment_row(payment), refund_row(back)])
    assert found(compared(method)) == [("state", back.refund_no)]


@pytest.mark.parametrize("status", ["success", "processing"])
def test_a_refund_that_was_under_way_when_the_bill_was_made(status):
    version = configured("wechat")
    payment = attempt("wechat", version)
    back = refund(payment, status=status)
    imported("wechat", [payment_row(payment), refund_row(back, state="PROCESSING")])
    row = compared("wechat")
    assert found(row) == []
    assert row.matched == 2


def test_wechat_s_refund_stands_on_the_day_of_its_acceptance():
    version = configured("wechat")
    payment = attempt("wechat", version)
    back = refund(
        payment,
        completed_at=kit.at(NOON, DAY + ONE_DAY),
        refund_response={"create_time": "2026-11-24T23:59:58+08:00"},
        sent_at=kit.at(timedelta(0), DAY + ONE_DAY),
    )
    imported("wechat", [payment_row(payment), refund_row(back)])
    assert found(compared("wechat")) == []


def test_a_refund_that_was_sent_again_days_later_stands_on_the_day_of_its_acceptance():
    payment = attempt("wechat", configured("wechat"), day=DAY - ONE_DAY)
    back = refund(
        payment,
        sent_at=kit.at(NOON, DAY + 3 * ONE_DAY),
        sendings=2,
        completed_at=kit.at(NOON, DAY + 3 * ONE_DAY),
        completed_on=DAY + 3 * ONE_DAY,
        refund_response={"create_time": kit.at(NOON).isoformat()},
        created_at=kit.at(NOON - timedelta(minutes=5)),
    )
    imported("wechat", [refund_row(back, moment="2026-11-24 12:00:00")])
    row = compared("wechat")
    assert (found(row), row.matched, row.our_refunds) == ([], 1, 1)


def test_a_notice_leaves_the_day_of_acceptance_as_it_was():
    version = configured("wechat")
    payment = attempt("wechat", version, moved=timedelta(hours=10))
    back = refund(
        payment,
        status="processing",
        sent_at=kit.at(timedelta(0), DAY + ONE_DAY),
        refund_response={"create_time": "2026-11-24T23:59:58+08:00"},
    )
    PaymentTransaction.objects.filter(id=payment.id).update(refund_reserved=back.refund_amount)
    report = RefundReport(
        back.refund_no,
        RefundState.SUCCESS,
        refund_id="R1",
        out_trade_no=payment.out_trade_no,
        transaction_id=payment.trade_no,
        amount=back.refund_amount,
        total_amount=payment.amount,
        completed_at=kit.at(NOON, DAY + ONE_DAY),
        raw={"refund_id": "R1"},
    )
    refund_report_apply(refund_id=back.id, report=report)
    imported("wechat", [payment_row(payment), refund_row(back)])
    assert found(compared("wechat")) == []


def test_each_further_line_of_a_number_is_a_duplicate(method, version):
    payment = attempt(method, version)
    imported(method, [payment_row(payment)] * 3)
    row = compared(method)
    assert found(row) == [("duplicate", payment.out_trade_no)] * 2
    assert {(one.ours, str(one.theirs)) for one in row.differences.all()} == {(None, "30.00")}


def test_of_an_unknown_order_or_another_app(method, version):
    payment = attempt(method, version)
    other = payment_row(payment)._replace(out_trade_no="SHOP-1", app_id="wx9")
    imported(method, [payment_row(payment), other, strange_row("SHOP-2")])
    assert found(compared(method)) == [("foreign", "SHOP-1"), ("foreign", "SHOP-2")]


def test_mock_payments_are_left_out(method, version):
    attempt(method, version, is_mock=True, config_version_id=None)
    imported(method, [])
    assert compared(method).our_payments == 0


def test_what_another_merchant_number_took_is_its_own_bill_s():
    former = configured("wechat", mch_id="1900000009")
    attempt("wechat", former)
    payment = attempt("wechat", configured("wechat"))
    imported("wechat", [payment_row(payment)])
    assert found(compared("wechat")) == []


def test_a_line_that_nobody_can_read_hides_no_payment_of_ours(method, version):
    payment = attempt(method, version)
    imported(method, [], odd=[f"`{payment.out_trade_no}`, 30.00, 一个, 店"])
    row = compared(method)
    assert [one.difference_type for one in row.differences.found()] == ["line"]


def test_it_hides_neither_another_attempt_nor_its_refund_s_payment(method, version):
    payment = attempt(method, version)
    other = attempt(method, version, out_trade_no=f"{payment.out_trade_no}A01")
    back = refund(payment)
    odd = [f"`{other.out_trade_no}, 一个, 店", f"`{payment.out_trade_no},`{back.refund_no},"]
    imported(method, [], odd=odd)
    row = compared(method)
    told = {
        (one.difference_type, one.refund_no or one.out_trade_no) for one in row.differences.all()
    }
    assert told == {
        ("line", other.out_trade_no),
        ("line", back.refund_no),
        ("ours_only", payment.out_trade_no),
    }


# --- funds --------------------------------------------------------------------------------------


def test_money_that_moved_as_it_was_traded(method, version):
    payment = attempt(method, version)
    lines = [payment_row(payment), refund_row(refund(payment))]
    imported(method, lines)
    imported(method, fund_rows(lines), bill_type=BillType.FUND)
    row = compared(method)
    assert found(row) == []
    assert str(row.funds_closing - row.funds_opening) == "19.88"


def test_money_that_did_not_come_is_a_case_after_three_days(method, version):
    payment, other = attempt(method, version), attempt(method, version)
    lines = [payment_row(payment), payment_row(other)]
    imported(method, lines)
    imported(method, fund_rows(lines[1:]), bill_type=BillType.FUND)
    row = compared(method)
    assert found(row) == [("fund_missing", payment.out_trade_no)]
    assert row.differences.get().case is None
    with clock.frozen(kit.at(NOON, DAY + 3 * ONE_DAY)):
        compared(method)
    assert row.differences.get().case.kind == "bill_fund_missing"


def test_money_that_came_the_day_after(method, version):
    payment = attempt(method, version, moved=timedelta(hours=23, minutes=59))
    line = payment_row(payment)
    imported(method, [line])
    imported(method, [], bill_type=BillType.FUND)
    assert found(compared(method)) == [("fund_missing", payment.out_trade_no)]
    with clock.frozen(kit.at(NOON, DAY + 2 * ONE_DAY)):
        later = fund_rows([line._replace(moment="2026-11-25 00:00:01")], opening_fen=0)
        imported(method, [], day=DAY + ONE_DAY)
        imported(method, later, day=DAY + ONE_DAY, bill_type=BillType.FUND)
        compared(method, DAY + ONE_DAY)
    assert not Difference.objects.found().exists()


def test_a_fee_that_the_account_was_charged_otherwise(method, version):
    payment = attempt(method, version)
    line = payment_row(payment)
    imported(method, [line])
    imported(method, fund_rows([line._replace(fee=25_000)]), bill_type=BillType.FUND)
    assert found(compared(method)) == [("fee", payment.out_trade_no)]


def test_a_balance_that_does_not_follow(method, version):
    payments = [attempt(method, version) for _one in range(3)]
    lines = [payment_row(payment) for payment in payments]
    imported(method, lines)
    moves = fund_rows(lines)
    moves[3:] = [one._replace(balance_fen=one.balance_fen + 100) for one in moves[3:]]
    imported(method, moves, bill_type=BillType.FUND)
    row = compared(method)
    assert [one.difference_type for one in row.differences.found()] == ["fund_gap"]


def test_a_day_begins_where_the_one_before_ended(method, version):
    before = fund_rows([payment_row(attempt(method, version, day=DAY - ONE_DAY))])
    after = [payment_row(attempt(method, version))]
    imported(method, before, day=DAY - ONE_DAY, bill_type=BillType.FUND)
    compared(method, DAY - ONE_DAY)
    imported(method, after)
    imported(
        method,
        fund_rows(after, opening_fen=before[-1].balance_fen + 1),
        bill_type=BillType.FUND,
    )
    assert [one[0] for one in found(compared(method))] == ["fund_gap"]
    imported(
        method,
        fund_rows(after, opening_fen=before[-1].balance_fen),
        bill_type=BillType.FUND,
        is_replacing=True,
    )
    assert found(compared(method)) == []
