"""What a day's figures say of the gateways: fees as they were charged, and what is not proven."""

from decimal import Decimal

import pytest

from backoffice.ops.figures import _reconciliation
from reconciliation.figures import figures_of_day
from reconciliation.reports import report
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillType
from reconciliation.tests.days import closed
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
from reconciliation.vouchers import vouchers
from tcmpay.common.actor import SYSTEM

pytestmark = pytest.mark.django_db


def compared(method):
    return day_reconcile(actor=SYSTEM, merchant=merchant(method), day=DAY)


def test_fees_are_what_the_account_was_charged_and_the_rounding_is_one_total():
    """0.60 % of a yuan is 0.006: the account is charged a whole fen of each."""
    version = configured("wechat")
    payments = [attempt("wechat", version, amount="1.00") for _number in range(10)]
    rows = [payment_row(payment, fee=600) for payment in payments]
    imported("wechat", rows)
    moves = fund_rows([row._replace(fee=1000) for row in rows])
    imported("wechat", moves, bill_type=BillType.FUND)
    row = compared("wechat")
    assert not row.differences.exists()
    figures = figures_of_day(DAY)
    assert (figures["fees"], figures["fees_rounding"]) == ("0.10", "0.04")
    assert figures["by_merchant"][0]["expected"] == figures["expected"] == "9.90"
    assert figures["by_method"]["wechat"]["net"] == "9.90"
    assert report(DAY, DAY).total.fees == Decimal("0.10")


def test_what_the_merchant_s_own_coupons_paid_is_not_expected_in_the_bank():
    version = configured("wechat")
    paid, given_back = (attempt("wechat", version, amount="30.00") for _number in range(2))
    back = refund(given_back, amount="12.00")
    rows = [
        payment_row(paid, settled_fen=2500, fee=15_000),
        payment_row(given_back, settled_fen=2500, fee=15_000),
        refund_row(back, settled_fen=1000, fee=-6_000),
    ]
    imported("wechat", rows)
    row = compared("wechat")
    assert not row.differences.exists()
    figures = figures_of_day(DAY)
    assert figures["coupons"] == figures["by_merchant"][0]["coupons"] == str(row.coupons) == "8.00"
    # 25.00 twice, less 10.00, less fees of 0.24.
    assert (figures["net"], figures["expected"]) == ("47.76", "39.76")
    closed(DAY)
    net: dict[str, Decimal] = {}
    for line in vouchers(report(DAY, DAY)):
        net[line.account] = net.get(line.account, Decimal(0)) + line.debit - line.credit
    assert net == {
        "1012.01": Decimal("39.76"),  # what the account holds
        "6001": Decimal("-48.00"),
        "6601": Decimal("8.00"),
        "6603": Decimal("0.24"),
    }


def test_without_its_account_s_bill_fees_are_the_trade_bill_s():
    imported("wechat", [payment_row(attempt("wechat", configured("wechat")), fee=18_400)])
    compared("wechat")
    assert [figures_of_day(DAY)[name] for name in ("fees", "fees_rounding")] == ["0.18", "0.00"]


def test_what_a_gateway_without_a_bill_took_is_not_verified():
    line = payment_row(attempt("wechat", configured("wechat")))
    attempt("alipay", configured("alipay"), amount="90.00")
    imported("wechat", [line])
    compared("wechat")
    assert figures_of_day(DAY)["verified_share"] == "0.2500"
    assert {one.name: one.samples for one in _reconciliation()}["verified_share"] == (((), 0.25),)


@pytest.mark.parametrize(("method", "funds"), [("wechat", "missing"), ("alipay", "not_checked")])
def test_whether_the_account_was_looked_at_is_said(method, funds):
    line = payment_row(attempt(method, configured(method)))
    imported(method, [line])
    compared(method)
    assert figures_of_day(DAY)["funds"] == funds
    imported(method, fund_rows([line]), bill_type=BillType.FUND)
    compared(method)
    assert figures_of_day(DAY)["funds"] == "checked"
