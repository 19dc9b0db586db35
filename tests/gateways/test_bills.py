"""Bills of the stand-in, fetched and read as the product does: every kind of row, every fault."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from config.gateways.file import read_gateway_file
from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import GATEWAY_METHODS, BillRefused, FundKind
from gateways.registry import build_gateway
from gateways.texts import SHANGHAI
from simulator.tests.running import running

DAY = datetime.now(SHANGHAI).date() - timedelta(days=3)
EMPTY_DAY = DAY - timedelta(days=1)
PAYMENTS, FEN = 20, 3_000


def business():
    payments = [
        {"out_trade_no": f"T{place:04}", "amount_fen": FEN + place, "at": f"{DAY} 10:{place}:59"}
        for place in range(10, 10 + PAYMENTS)
    ]
    payments[3] |= {"coupon_fen": 50, "coupon_by": "merchant"}
    payments[4] |= {"coupon_fen": 50, "coupon_by": "gateway"}
    refunds = [
        {"out_trade_no": f"T{place:04}", "out_refund_no": f"R{place}", "amount_fen": 1_000,
         "at": f"{DAY} 20:00:00", "status": status}
        for place, status in ((13, "SUCCESS"), (14, "SUCCESS"), (15, "PROCESSING"))
    ]  # fmt: skip
    return {"payments": payments, "refunds": refunds}


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bills")) as stand_in:
        for channel in GATEWAY_METHODS:
            stand_in.control("book", channel=channel, **business())
            stand_in.control("withdraw", channel=channel, amount_fen=1, at=f"{DAY} 12:00:00")
        yield stand_in


@pytest.fixture(scope="module")
def clients(books):
    values = read_gateway_file(books.directory / "config.json")
    base = "http://127.0.0.1:9/notify"
    return {
        method: build_gateway(method, values[method] | {"notify_url": base}, allow_custom_base=True)
        for method in GATEWAY_METHODS
    }


@pytest.fixture
def fault(books):
    channels = set()

    def ordered(channel, name):
        channels.add(channel)
        books.control("bills", channel=channel, fault=name)

    yield ordered
    for channel in channels:
        books.control("bills", channel=channel, fault="")


def fen(text):
    return int(Decimal(text) * 100)


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_the_trades_are_those_of_the_books(books, clients, method):
    bill = clients[method].download_bill(DAY)
    said = books.shown(f"books?day={DAY}")[method]
    rows = list(bill.rows())
    paid, back = ([row for row in rows if row.is_refund is side] for side in (False, True))
    assert bill.odd_lines == ()
    assert (len(paid), sum(row.amount_fen for row in paid)) == (PAYMENTS, fen(said["receipts"]))
    done = [row for row in back if row.state == "SUCCESS"]
    assert sum(row.amount_fen for row in done) == fen(said["refunds"])
    assert sum(row.fee for row in rows) == 1_000 * fen(said["fees"])
    assert {row.amount_fen - row.settled_fen for row in paid} == {0, 50}
    assert {row.out_refund_no for row in back} >= {"R13", "R14"}
    assert all(row.moment.startswith(str(DAY)) for row in rows)
    assert len(bill.merchants) == 1


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_the_funds_go_on_from_line_to_line(books, clients, method):
    bill = clients[method].download_fund_bill(DAY)
    said = books.shown(f"books?day={DAY}")[method]
    rows = list(bill.fund_rows())
    balance = fen(said["opening"])
    for row in rows:
        balance += row.change_fen
        assert row.balance_fen == balance
    assert balance == fen(said["bill_closing"])
    usual = {FundKind.PAYMENT, FundKind.FEE, FundKind.REFUND, FundKind.FEE_BACK}
    assert {row.kind for row in rows} == {*usual, FundKind.WITHDRAWAL}
    assert {row.out_trade_no for row in rows if row.kind is FundKind.PAYMENT} == {
        f"T{place:04}" for place in range(10, 10 + PAYMENTS)
    }


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_a_day_without_movement_has_no_bills(clients, method):
    assert clients[method].download_bill(EMPTY_DAY) is None
    assert clients[method].download_fund_bill(EMPTY_DAY) is None


@pytest.mark.parametrize("method", GATEWAY_METHODS)
@pytest.mark.parametrize("name", ["cut", "unbalanced"])
def test_a_broken_bill_is_refused(clients, fault, method, name):
    fault(method, name)
    for download in (clients[method].download_bill, clients[method].download_fund_bill):
        with pytest.raises(BillRefused):
            download(DAY)


def test_a_late_bill_is_too_soon(clients, fault):
    fault("wechat", "late")
    with pytest.raises(GatewayRejected) as caught:
        clients["wechat"].download_bill(DAY)
    assert caught.value.reason == RejectReason.TOO_SOON


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_a_line_that_breaks_off_is_quarantined(books, clients, method):
    counts = {"line": 2}
    books.control("bills/plant", channel=method, day=str(DAY), seed=1, counts=counts)
    try:
        bill = clients[method].download_bill(DAY)
        assert len(bill.odd_lines) == 2
        assert len(list(bill.rows())) == bill.lines - 2
    finally:
        books.control("bills/unplant", channel=method, day=str(DAY))
