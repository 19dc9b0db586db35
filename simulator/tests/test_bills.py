"""Bills of the running day, as the real files are laid out."""

import gzip
import hashlib
import io
import zipfile
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest

from simulator import clock
from simulator.machine import ShortMemory
from simulator.tests.clients import BEIJING, AlipayClient, WechatClient, settled


@pytest.fixture(scope="module")
def day(start):
    """A stand-in of its own, so that the day's totals are known."""
    with start(refund_delay_seconds=0.02, spacing_factor=0) as stand_in:
        wechat, alipay = WechatClient(stand_in.config), AlipayClient(stand_in.config)
        orders = [
            wechat.order(description="挂号,`复诊`", amount={"total": fen, "currency": "CNY"})
            for fen in (3000, 1)
        ]
        for order in orders:
            wechat.prepay(order)
            stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
        refund = wechat.refund_body(orders[0], 1000)
        wechat.refund(refund)
        paid = alipay.order()
        stand_in.control(
            "pay", channel="alipay", out_trade_no=paid["out_trade_no"],
            url=alipay.address("alipay.trade.page.pay", paid),
        )  # fmt: skip
        alipay.node(
            "alipay.trade.refund",
            {
                "out_trade_no": paid["out_trade_no"],
                "refund_amount": "10.00",
                "out_request_no": "R1",
            },
        )
        settled(wechat, refund)
        yield stand_in, wechat, alipay, orders, refund, paid


def beijing_day(shift=0):
    return (datetime.now(BEIJING) + timedelta(days=shift)).strftime("%Y-%m-%d")


def offer(wechat, kind, query):
    return wechat.call("GET", f"/v3/bill/{kind}?bill_date={beijing_day()}{query}")


def download(wechat, offered):
    parts = urlsplit(offered.json["download_url"])
    return wechat.call("GET", f"{parts.path}?{parts.query}")


def rows(content):
    text = content.decode("utf-8-sig")
    assert content.startswith(b"\xef\xbb\xbf")
    assert text.endswith("\r\n")
    lines = text.removesuffix("\r\n").split("\r\n")
    return (
        lines[0].split(","),
        [line.removeprefix("`").split(",`") for line in lines[1:-2]],
        lines[-1],
    )


def named_rows(content):
    """Each row by the names of its columns, and the summary."""
    header, cells, summary = rows(content)
    return [dict(zip(header, row, strict=True)) for row in cells], summary


WITH_REFUNDS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)


@pytest.mark.parametrize(
    ("bill_type", "summary"),
    [
        ("ALL", WITH_REFUNDS),
        ("SUCCESS", "总交易单数,应结订单总金额,手续费总金额,订单总金额"),
        ("REFUND", WITH_REFUNDS),
    ],
)
def test_each_kind_of_bill_has_a_summary_of_its_own(day, bill_type, summary):
    _, wechat, *_ = day
    content = download(wechat, offer(wechat, "tradebill", f"&bill_type={bill_type}")).body
    head, values = content.decode("utf-8-sig").splitlines()[-2:]
    assert head == summary
    assert len(values.split(",`")) == len(summary.split(","))


def test_the_summary_of_payments_adds_them_up(day):
    _, wechat, *_ = day
    content = download(wechat, offer(wechat, "tradebill", "&bill_type=SUCCESS")).body
    assert named_rows(content)[1] == "`2.0,`30.01,`0.18,`30.01"


@pytest.mark.parametrize(
    ("bill_type", "columns", "count"), [("ALL", 27, 3), ("SUCCESS", 20, 2), ("REFUND", 29, 1)]
)
def test_trade_bills_have_their_columns(day, bill_type, columns, count):
    _, wechat, *_ = day
    offered = offer(wechat, "tradebill", f"&bill_type={bill_type}")
    assert wechat.verifies(offered)
    file = download(wechat, offered)
    assert "Wechatpay-Signature" not in file.headers
    header, cells, _ = rows(file.body)
    assert len(header) == columns
    assert [len(row) for row in cells] == [columns] * count


def test_the_bill_is_in_yuan_and_its_refund_row_stands_apart(day):
    _, wechat, _, orders, refund, _ = day
    header, cells, summary = rows(download(wechat, offer(wechat, "tradebill", "")).body)
    named = [dict(zip(header, row, strict=True)) for row in cells]
    by_state = {(row["交易状态"], row["商户订单号"]): row for row in named}
    payment = by_state["SUCCESS", orders[0]["out_trade_no"]]
    assert (payment["订单金额"], payment["手续费"], payment["微信退款单号"]) == (
        "30.00",
        "0.18000",
        "0",
    )
    assert payment["商品名称"] == "挂号,'复诊'"  # a backtick would look like the next cell
    given_back = by_state["REFUND", orders[0]["out_trade_no"]]
    assert (given_back["订单金额"], given_back["退款金额"]) == ("0.00", "10.00")
    assert given_back["商户退款单号"] == refund["out_refund_no"]
    assert given_back["手续费"] == "-0.06000"
    assert summary == "`3.0,`30.01,`10.00,`0.00,`0.12,`30.01,`10.00"


def test_the_hash_is_of_the_uncompressed_file(day):
    _, wechat, *_ = day
    offered = offer(wechat, "tradebill", "&tar_type=GZIP")
    content = gzip.decompress(download(wechat, offered).body)
    assert offered.json["hash_type"] == "SHA1"
    assert hashlib.sha1(content).hexdigest() == offered.json["hash_value"]


def test_the_fund_flow_ends_in_its_balance(day):
    _, wechat, *_ = day
    header, cells, summary = rows(
        download(wechat, offer(wechat, "fundflowbill", "&account_type=BASIC")).body
    )
    assert header[-1] == "业务凭证号"
    assert cells[-1][7] == "19.89"
    assert summary == "`5.0,`3.0,`30.07,`2.0,`10.18"


@pytest.mark.parametrize(
    "query", ["tradebill?bill_date=", "fundflowbill?account_type=FEES&bill_date="]
)
def test_a_day_without_anything_has_no_statement(day, query):
    _, wechat, *_ = day
    shift = -3 if "tradebill" in query else 0
    answer = wechat.call("GET", f"/v3/bill/{query}{beijing_day(shift)}")
    assert (answer.status, answer.code) == (400, "NO_STATEMENT_EXIST")


@pytest.mark.parametrize(
    "query", ["bill_date=2020-01-01", "bill_date=20261124", "", "bill_date=x&y=1"]
)
def test_it_refuses_days_that_have_no_bills(day, query):
    _, wechat, *_ = day
    assert wechat.call("GET", f"/v3/bill/tradebill?{query}").code == "PARAM_ERROR"


def test_a_bill_may_still_be_in_the_making(day):
    stand_in, wechat, *_ = day
    stand_in.control("settings", statement_creating=True)
    assert offer(wechat, "tradebill", "").code == "STATEMENT_CREATING"
    stand_in.control("settings", statement_creating=False)


def test_a_download_needs_its_token_and_a_signature(day):
    stand_in, wechat, *_ = day
    parts = urlsplit(offer(wechat, "tradebill", "").json["download_url"])
    assert stand_in.get(f"{parts.path}?{parts.query}").status == 401
    assert wechat.call("GET", f"{parts.path}?token=other").status == 400


def alipay_bill(stand_in, alipay, bill_type="trade", date=None):
    method = "alipay.data.dataservice.bill.downloadurl.query"
    return alipay.node(method, {"bill_type": bill_type, "bill_date": date or beijing_day()})


def alipay_rows(stand_in, alipay):
    """Each row of the details by the names of its columns, and the closing lines."""
    parts = urlsplit(alipay_bill(stand_in, alipay)["bill_download_url"])
    content = stand_in.get(f"{parts.path}?{parts.query}").body
    with zipfile.ZipFile(io.BytesIO(content), metadata_encoding="gbk") as archive:
        detail, summary = archive.namelist()
        lines = archive.read(detail).decode("gbk").splitlines()
    assert detail.endswith("_业务明细.csv")
    assert summary.endswith("_业务明细(汇总).csv")
    assert all(line.startswith("#") for line in lines[:4])
    header = lines[4].split(",")
    cells = [dict(zip(header, line.split(","), strict=True)) for line in lines[5:-4]]
    return cells, lines[-3:]


def test_alipays_bill_is_a_gbk_archive_with_negative_refunds(day):
    stand_in, _, alipay, _, _, paid = day
    cells, totals = alipay_rows(stand_in, alipay)
    assert [row["业务类型"] for row in cells] == ["交易\t", "退款\t"]
    assert [row["订单金额（元）"] for row in cells] == ["30.00", "-10.00"]
    assert cells[1]["退款批次号/请求号"] == "R1\t"
    assert cells[0]["商户订单号"].strip() == paid["out_trade_no"]
    assert "1笔，商家实收共30.00元" in totals[0]


def test_alipays_account_ledger_is_served_too(day):
    stand_in, _, alipay, *_ = day
    assert "bill_download_url" in alipay_bill(stand_in, alipay, "signcustomer")


def test_alipays_empty_days_and_future_days_have_no_bill(day):
    stand_in, _, alipay, *_ = day
    assert alipay_bill(stand_in, alipay, date=beijing_day(-3))["sub_code"] == "isp.bill_not_exist"
    assert alipay_bill(stand_in, alipay, date=beijing_day(2))["sub_code"] == "ACQ.INVALID_PARAMETER"


def test_a_bill_address_needs_its_token(day):
    stand_in, _, alipay, *_ = day
    parts = urlsplit(alipay_bill(stand_in, alipay)["bill_download_url"])
    assert stand_in.get(f"{parts.path}?{parts.query}").status == 200
    assert stand_in.get(f"{parts.path}?token=other").status == 403


def test_what_is_kept_for_seconds_is_gone_after_them(monkeypatch):
    memory = ShortMemory(10)
    assert memory.add("token", b"bill", seconds=30)
    assert memory.get("token") == b"bill"
    later = clock.now() + 31
    monkeypatch.setattr(clock, "now", lambda: later)
    assert memory.get("token") is None
