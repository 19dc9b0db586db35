"""The daily bills of WeChat Pay: unpacked, hashed, added up, and only then handed out."""

import gzip
import hashlib
import io
from datetime import date

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import BillRefused, FundKind
from gateways.registry import open_bill
from gateways.tests.kit import Reply, wechat_error, wechat_gateway, wechat_reply

DAY = date(2026, 11, 23)
HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,"
    "退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
PAYMENT = (
    "`2026-11-23 05:01:46,`wx1,`1900000109,`0,`,`4200001,`ORD1,`o1,`NATIVE,`SUCCESS,`OTHERS,`CNY,"
    "`29.00,`1.00,`0,`0,`0.00,`0.00,`,`,`挂号费, 内科,`,`0.17400,`0.60%,`30.00,`0.00,`"
)
REFUND = (
    "`2026-11-23 23:59:59,`wx1,`1900000109,`0,`,`4200001,`ORD1,`o1,`NATIVE,`REFUND,`OTHERS,`CNY,"
    "`0.00,`0.00,`5000001,`RFD1,`10.00,`0.01,`ORIGINAL,`PROCESSING,`挂号费,`,`-0.06000,`0.60%,"
    "`0.00,`10.01,`"
)
SUMMARY = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
TOTALS = "`2.0,`29.00,`10.00,`0.01,`0.11400,`30.00,`10.01"


def bill_text(*rows: str, header=HEADER, summary=SUMMARY, totals=TOTALS, end="\r\n") -> bytes:
    return end.join(("\ufeff" + header, *rows, summary, totals, "")).encode()


GOOD = bill_text(PAYMENT, REFUND)


def opened(content: bytes, bill_type: str = "trade"):
    return open_bill("wechat", bill_type, io.BytesIO(content))


# -- the file -------------------------------------------------------------------------------------


def test_a_line_carries_both_amounts_the_fee_and_its_rate():
    bill = opened(GOOD)
    payment, refund = bill.rows()
    assert (payment.number, payment.is_refund, payment.state) == (2, False, "SUCCESS")
    assert (payment.out_trade_no, payment.transaction_id) == ("ORD1", "4200001")
    assert (payment.out_refund_no, payment.refund_id) == ("", "")
    assert (payment.amount_fen, payment.settled_fen) == (3000, 2900)
    assert (payment.fee, payment.fee_rate) == (17400, "0.60%")
    assert (payment.moment, payment.app_id, payment.merchant) == (
        "2026-11-23 05:01:46", "wx1", "1900000109",
    )  # fmt: skip
    assert (refund.number, refund.is_refund, refund.state) == (3, True, "PROCESSING")
    assert (refund.out_refund_no, refund.refund_id) == ("RFD1", "5000001")
    assert (refund.amount_fen, refund.settled_fen, refund.fee) == (1001, 1000, -6000)


def test_the_bill_says_whose_and_of_when_it_is():
    bill = opened(GOOD)
    assert bill.merchants == {"1900000109"}
    assert (bill.first_moment, bill.last_moment) == ("2026-11-23 05:01:46", "2026-11-23 23:59:59")
    assert (bill.lines, bill.odd_lines, bill.period) == (2, (), None)
    assert (bill.bytes_long, bill.sha256) == (len(GOOD), hashlib.sha256(GOOD).hexdigest())
    assert bill.totals["手续费总金额"] == "0.11400"
    assert bill.file.read(0) == b""
    assert list(bill.rows()) == list(bill.rows())


def without(names: list[str], line: str, split: str) -> str:
    cells = line.split(split)
    places = [place for place, name in enumerate(HEADER.split(",")) if name not in names]
    return split.join(cells[place] for place in places)


REFUND_COLUMNS = [
    "微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态",
    "申请退款金额",
]  # fmt: skip
SUCCESS_BILL = bill_text(
    without(REFUND_COLUMNS, PAYMENT, ",`"),
    header=without(REFUND_COLUMNS, HEADER, ","),
    summary="总交易单数,应结订单总金额,手续费总金额,订单总金额",
    totals="`1.0,`29.00,`0.17400,`30.00",
)


def with_times(line: str, split: str, *cells: str) -> str:
    """REFUND has two more columns before those of the refund."""
    found = line.split(split)
    return split.join([*found[:14], *cells, *found[14:]])


REFUND_BILL = bill_text(
    with_times(REFUND, ",`", "2026-11-23 23:59:59", ""),
    header=with_times(HEADER, ",", "退款申请时间", "退款成功时间"),
    totals="`1.0,`0.00,`10.00,`0.01,`-0.06000,`0.00,`10.01",
)
OLD_HEADER = (
    HEADER.replace("应结订单金额,代金券金额", "总金额,企业红包金额")
    .replace("充值券退款金额", "企业红包退款金额")
    .replace(",订单金额,申请退款金额,费率备注", "")
)
OLD_BILL = bill_text(
    ",`".join(PAYMENT.replace("29.00", "30.00").split(",`")[:24]),
    ",`".join(REFUND.split(",`")[:24]),
    header=OLD_HEADER,
    summary="总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额",
    totals="`2,`30.00,`10.00,`0.01,`0.11",
)


@pytest.mark.parametrize(
    ("content", "columns", "amounts", "kinds"),
    [
        (GOOD, 27, [(3000, 2900), (1001, 1000)], (True, True)),
        (SUCCESS_BILL, 20, [(3000, 2900)], (True, False)),
        (REFUND_BILL, 29, [(1001, 1000)], (False, True)),
        (OLD_BILL, 24, [(3000, 3000), (1000, 1000)], (True, True)),
    ],
    ids=["ALL", "SUCCESS", "REFUND", "before settled amounts"],
)
def test_every_layout_is_read_by_the_names_of_its_columns(content, columns, amounts, kinds):
    bill = opened(content)
    assert len(content.partition(b"\r\n")[0].split(b",")) == columns
    assert [(row.amount_fen, row.settled_fen) for row in bill.rows()] == amounts
    assert (bill.has_payments, bill.has_refunds) == kinds


HARMLESS = {
    "gzip": gzip.compress(GOOD),
    "LF": bill_text(PAYMENT, REFUND, end="\n"),
    "no end of the last line": GOOD.rstrip(b"\r\n"),
    "no BOM": GOOD.removeprefix(b"\xef\xbb\xbf"),
    "blank lines at the end": GOOD + b"\r\n\r\n",
    "no backtick before the first total": bill_text(PAYMENT, REFUND, totals=TOTALS[1:]),
    "blanks before the totals": bill_text(PAYMENT, REFUND, totals=TOTALS.replace(",`", ", `")),
    "quoted header": bill_text(
        PAYMENT, REFUND,
        header=",".join(f'"{name}"' for name in HEADER.split(",")),
        summary=",".join(f'"{name}"' for name in SUMMARY.split(",")),
    ),
    "backticks in the header": bill_text(
        PAYMENT, REFUND, header="`" + HEADER.replace(",", ",`"), summary="`" + SUMMARY
    ),
    "fees summed to two places": bill_text(
        PAYMENT, REFUND, totals=TOTALS.replace("0.11400", "0.11")
    ),
    "negative refunds": bill_text(
        PAYMENT, REFUND.replace("`10.0", "`-10.0").replace("`0.01,", "`-0.01,"), totals=TOTALS
    ),
    "negative refunds and totals": bill_text(
        PAYMENT, REFUND.replace("`10.0", "`-10.0"), totals=TOTALS.replace("`10.0", "`-10.0")
    ),
    "columns in another order": bill_text(
        *(",`".join(["`" + row.split(",`")[-1], row[1:].rpartition(",`")[0]])
          for row in (PAYMENT, REFUND)),
        header="费率备注," + HEADER.rpartition(",")[0],
    ),
    "one more column": bill_text(PAYMENT + ",`x", REFUND + ",`y", header=HEADER + ",新列"),
    "numbers as Java prints them": bill_text(
        PAYMENT, REFUND, totals="`2,`29.0,`1E1,`0.01,`0.114,`30,`10.01"
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", HARMLESS, ids=str)
def test_what_changes_nothing_is_read_all_the_same(shape):
    bill = opened(HARMLESS[shape])
    assert list(bill.rows()) == list(opened(GOOD).rows())
    assert (bill.lines, bill.odd_lines) == (2, ())


def test_a_bill_without_lines_is_read():
    content = bill_text(totals="`0.0,`0.00,`0.00,`0.0,`0.0,`0.00,`0.00")
    bill = opened(content)
    assert (list(bill.rows()), bill.lines, bill.merchants) == ([], 0, frozenset())


def test_text_is_text():
    name = '=HYPERLINK("x"),\u202e<b>\'`\x00, 龘𠮷'
    bill = opened(bill_text(PAYMENT.replace("ORD1", name).replace("挂号费, 内科", name), REFUND))
    assert next(bill.rows()).out_trade_no == name


REFUSED = {
    "empty": (b"", "空"),
    "HTML": (b"<html>expired</html>", "没有“交易时间”"),
    "cut gzip": (gzip.compress(GOOD)[:-20], "损坏"),
    "gzip in gzip": (gzip.compress(gzip.compress(GOOD)), "还是压缩文件"),
    "GBK": (GOOD.decode("utf-8-sig").encode("gb18030"), "UTF-8"),
    "UTF-16": (GOOD.decode("utf-8-sig").encode("utf-16"), "UTF-8"),
    "the flow of funds": ("记账时间,资金流水单号\r\n".encode(), "而是微信支付的资金账单"),
    "Alipay's": ("支付宝交易号,商户订单号\r\n".encode(), "而是支付宝"),
    "Alipay's as it comes": ("#支付宝业务明细查询\r\n".encode("gbk"), "而是支付宝"),
    "saved by a spreadsheet": (GOOD.replace(b"`", b""), "没有一行可以读取.*另存"),
    "a renamed column": (GOOD.replace("手续费,费率".encode(), "费,费率".encode()), "手续费"),
    "ordered amounts renamed": (
        GOOD.replace(",订单金额,".encode(), ",金额,".encode()), "订单金额",
    ),
    "a column twice": (GOOD.replace("设备号".encode(), "商户号".encode()), "重复"),
    "no summary": (GOOD[: GOOD.index("总交易单数".encode())], "没有合计"),
    "no totals": (GOOD[: GOOD.index(b"`2.0")], "没有合计"),
    "a total cut off": (bill_text(PAYMENT, REFUND, totals=TOTALS[:-8]), "列数"),
    "unknown total": (GOOD.replace("订单总金额,申".encode(), "订单额,申".encode()), "未知的合计"),
    "a total left out": (
        bill_text(
            PAYMENT, REFUND, summary=SUMMARY.replace(",订单总金额", ""),
            totals=TOTALS.replace(",`30.00", ""),
        ),
        "没有合计项 订单总金额",
    ),
    "fees off by less than the places printed": (
        bill_text(PAYMENT, REFUND, totals=TOTALS.replace("0.11400", "0.11000")), "手续费",
    ),
    "an unreadable total": (bill_text(PAYMENT, REFUND, totals=TOTALS.replace("30.00", "3O")), "3O"),
    "a lost line": (bill_text(PAYMENT), "总交易单数"),
    "a doubled line": (bill_text(PAYMENT, PAYMENT, REFUND), "总交易单数"),
    "two bills in one": (GOOD + GOOD, "拼接"),
    "a line after the summary": (GOOD + PAYMENT.encode(), "拼接"),
    "another ordered sum": (bill_text(PAYMENT.replace("`30.00", "`30.01"), REFUND), "订单总金额"),
    "another settled sum": (bill_text(PAYMENT.replace("`29.00", "`28.99"), REFUND), "应结订单"),
    "another refund": (bill_text(PAYMENT, REFUND.replace("`10.00", "`9.00")), "退款总金额"),
    "another sum asked": (bill_text(PAYMENT, REFUND.replace("`10.01", "`9.01")), "申请退款"),
    "another coupon": (bill_text(PAYMENT, REFUND.replace("`0.01", "`0.02")), "充值券"),
    "another fee": (bill_text(PAYMENT.replace("0.17400", "0.17401"), REFUND), "手续费"),
    "fees further off than rounding": (
        bill_text(PAYMENT, REFUND, totals=TOTALS.replace("0.11400", "0.12")), "手续费",
    ),
    "a line without end": (GOOD[:-2] + b"x" * (1 << 20), "有一行"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED, ids=str)
def test_what_is_no_such_bill_or_does_not_add_up_is_refused_in_words(fault):
    content, reason = REFUSED[fault]
    with pytest.raises(BillRefused, match=reason):
        opened(content)


# -- odd lines ------------------------------------------------------------------------------------

QUARANTINED = {
    "an unreadable amount": (PAYMENT.replace("`30.00", "`3e1"), "金额无法读取：3e1"),
    "an unreadable time": (PAYMENT.replace("05:01:46", "25:01:46"), "时间无法读取"),
    "a day that is none": (PAYMENT.replace("11-23", "02-30"), "时间无法读取"),
    "an unknown state": (PAYMENT.replace("SUCCESS", "PAYERROR"), "未知的交易状态"),
    "cells lost": (PAYMENT[:40], "单元格数"),
    "no UTF-8 in a number": (PAYMENT.replace("ORD1", "ORD龘"), "矛盾"),
    "a rate that is not a number": (PAYMENT.replace("0.60%", "NaN%"), "费率无法读取：NaN%"),
    "a rate without end": (PAYMENT.replace("0.60%", "Infinity%"), "费率无法读取：Infinity%"),
}


@pytest.mark.parametrize("oddity", QUARANTINED, ids=str)
def test_an_odd_line_is_quarantined_and_the_others_are_read(oddity):
    line, reason = QUARANTINED[oddity]
    content = bill_text(line, REFUND).replace("ORD龘".encode(), b"ORD\xff")
    bill = opened(content)
    (odd,) = bill.odd_lines
    assert (odd.number, bill.lines) == (2, 2)
    assert reason in odd.reason
    assert odd.text.startswith("`2026-")
    assert [row.number for row in bill.rows()] == [3]


def test_an_odd_line_may_be_a_refund_whose_fee_was_given_back():
    bill = opened(bill_text(PAYMENT, REFUND.replace(",`RFD1", "")))
    assert [odd.number for odd in bill.odd_lines] == [3]
    assert [row.number for row in bill.rows()] == [2]


@pytest.mark.parametrize("cell", ["`29.00", "`0.17400"])
def test_totals_that_differ_by_more_than_an_odd_line_can_carry_refuse_the_file(cell):
    line = PAYMENT.replace("`30.00", "`3e1")
    with pytest.raises(BillRefused, match="合计不符"):
        opened(bill_text(line.replace(cell, "`0.01000"), REFUND))


def test_a_line_that_adds_nothing_is_quarantined():
    bill = opened(bill_text(PAYMENT, "`a,`b", REFUND))
    assert [(odd.number, odd.reason) for odd in bill.odd_lines] == [(3, "单元格数为 2，应为 27")]
    assert len(list(bill.rows())) == 2


@pytest.mark.parametrize("name", ["参,`芪", ",`", "a,`b,`c", ",`0.06000,`0.60%,`9.00,`0.00"])
def test_a_name_that_looks_like_several_cells_is_put_together_where_the_totals_prove_it(name):
    bill = opened(bill_text(PAYMENT.replace("挂号费, 内科", name), REFUND))
    assert bill.odd_lines == ()
    assert list(bill.rows()) == list(opened(GOOD).rows())


def test_two_readings_with_the_same_totals_prove_neither():
    """A separator near the numbers: the amounts are the same either way, the numbers aren't."""
    line = PAYMENT.replace("`,`4200001,`ORD1,`o1,", "`,`4200001,`ORD1,`ORD1,`o1,")
    bill = opened(bill_text(line, REFUND))
    assert [odd.number for odd in bill.odd_lines] == [2]
    assert bill.lines == 2


def test_a_file_of_odd_lines_is_no_bill():
    with pytest.raises(BillRefused, match="超过 100 行无法读取"):
        opened(bill_text(*["`a,`b"] * 101))


# -- the flow of funds ----------------------------------------------------------------------------

FLOW_HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FLOW = [
    "`2026-11-23 05:01:46,`4200001,`F1,`交易,`交易,`收入,`29.00,`129.00,`system,`,`ORD1",
    "`2026-11-23 05:01:46,`4200001,`F2,`交易,`扣除交易手续费,`支出,`0.17,`128.83,`system,`,`ORD1",
    "`2026-11-23 08:00:00,`5000001,`F3,`退款,`退款,`支出,`10.00,`118.83,`1900API,`a, b,`RFD1",
    "`2026-11-23 08:00:00,`5000001,`F4,`退还交易手续费,`退款,`收入,`0.06,`118.89,`s,`,`RFD1",
    "`2026-11-23 09:00:00,`5000002,`F5,`退款,`退款关闭,`收入,`1.00,`119.89,`s,`,`RFD2",
    "`2026-11-23 10:00:00,`,`F6,`提现,`提现到银行卡,`支出,`100.00,`19.89,`s,`,`W1",
    "`2026-11-23 11:00:00,`,`F7,`其他,`分账,`支出,`20.00,`-0.11,`s,`,`X1",
]
FLOW_SUMMARY = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
FLOW_TOTALS = "`7.0,`3.0,`30.06,`4.0,`130.17"


def flow_text(*rows: str, totals: str = FLOW_TOTALS) -> bytes:
    return bill_text(*rows, header=FLOW_HEADER, summary=FLOW_SUMMARY, totals=totals)


def test_the_flow_of_funds_is_read_with_its_kinds():
    bill = opened(flow_text(*FLOW), "fund")
    rows = list(bill.fund_rows())
    assert [row.kind for row in rows] == [
        FundKind.PAYMENT, FundKind.FEE, FundKind.REFUND, FundKind.FEE_BACK,
        FundKind.REFUND_CLOSED, FundKind.WITHDRAWAL, FundKind.OTHER,
    ]  # fmt: skip
    assert [row.change_fen for row in rows] == [2900, -17, -1000, 6, 100, -10000, -2000]
    assert [row.balance_fen for row in rows][-2:] == [1989, -11]
    first, refund = rows[0], rows[2]
    assert (first.number, first.moment, first.flow_no) == (2, "2026-11-23 05:01:46", "F1")
    assert (first.transaction_id, first.out_trade_no, first.out_refund_no) == (
        "4200001", "ORD1", "",
    )  # fmt: skip
    assert (refund.out_trade_no, refund.out_refund_no, refund.kind_text) == ("", "RFD1", "退款")
    assert (bill.lines, bill.odd_lines, bill.merchants) == (7, (), frozenset())


FLOW_REFUSED = {
    "a trade bill": (GOOD, "而是微信支付的交易账单"),
    "a lost line": (flow_text(*FLOW[:-1]), "资金流水总笔数"),
    "another amount": (flow_text(FLOW[0].replace("`29.00", "`29.01"), *FLOW[1:]), "收入金额"),
    "a changed direction": (flow_text(*FLOW[:-1], FLOW[-1].replace("支出", "收入")), "收入笔数"),
}


@pytest.mark.parametrize("fault", FLOW_REFUSED, ids=str)
def test_a_flow_of_funds_that_does_not_add_up_is_refused(fault):
    content, reason = FLOW_REFUSED[fault]
    with pytest.raises(BillRefused, match=reason):
        opened(content, "fund")


@pytest.mark.parametrize(
    ("place", "cell", "odd", "reason"),
    [
        (0, "`29.00,", "`x,", "金额无法读取：x"),
        (6, "`-0.11", "`", "金额无法读取"),
        (2, "`支出", "`不明", "未知的收支类型"),
        (5, "10:00:00", "10:00", "时间无法读取"),
    ],
)
def test_an_odd_line_of_the_flow_is_quarantined(place, cell, odd, reason):
    rows = [row.replace(cell, odd) if n == place else row for n, row in enumerate(FLOW)]
    bill = opened(flow_text(*rows), "fund")
    assert [(line.number, reason in line.reason) for line in bill.odd_lines] == [(place + 2, True)]
    assert len(list(bill.fund_rows())) == 6


def test_a_remark_with_a_separator_is_put_together():
    bill = opened(flow_text(*(row.replace("`a, b", "`a,`b") for row in FLOW)), "fund")
    assert (bill.odd_lines, len(list(bill.fund_rows()))) == ((), 7)
    assert [row.number for row in bill.fund_rows()] == list(range(2, 9))


# -- fetching it ----------------------------------------------------------------------------------


def serve(stand_in, content: bytes, *, packed: bytes | None = None, status: int = 200, sha1=None):
    file = gzip.compress(content) if packed is None else packed
    digest = sha1 or hashlib.sha1(content).hexdigest()

    def answer(seen):
        if seen.target.startswith("/v3/billdownload"):
            return Reply(status, file)
        # The standby's name: the gateway must stay with the address that it was given.
        url = "https://api2.mch.weixin.qq.com/v3/billdownload/file?token=a%2Bb"
        return wechat_reply({"hash_type": "SHA1", "hash_value": digest, "download_url": url})

    stand_in.answer = answer


@pytest.fixture
def gateway(stand_in):
    return wechat_gateway(stand_in.url)


def test_it_fetches_the_bill_of_all_trades(gateway, stand_in):
    serve(stand_in, GOOD)
    assert len(list(gateway.download_bill(DAY).rows())) == 2
    assert "bill_date=2026-11-23&bill_type=ALL&tar_type=GZIP" in stand_in.seen[0].target
    assert stand_in.seen[1].target == "/v3/billdownload/file?token=a%2Bb"
    assert stand_in.seen[1].headers["authorization"]


def test_it_fetches_the_flow_of_the_basic_account(gateway, stand_in):
    serve(stand_in, flow_text(*FLOW))
    assert len(list(gateway.download_fund_bill(DAY).fund_rows())) == 7
    assert stand_in.seen[0].target == (
        "/v3/bill/fundflowbill?bill_date=2026-11-23&account_type=BASIC&tar_type=GZIP"
    )


def test_a_bill_that_was_not_packed_is_read_too(gateway, stand_in):
    serve(stand_in, GOOD, packed=GOOD)
    assert len(list(gateway.download_bill(DAY).rows())) == 2


def test_a_day_without_movement_has_no_bill(gateway, stand_in):
    stand_in.always(wechat_error(400, "NO_STATEMENT_EXIST"))
    assert gateway.download_bill(DAY) is None
    assert gateway.download_fund_bill(DAY) is None


def test_a_bill_that_is_not_ready_is_too_soon(gateway, stand_in):
    stand_in.always(wechat_error(400, "STATEMENT_CREATING"))
    with pytest.raises(GatewayRejected) as caught:
        gateway.download_bill(DAY)
    assert caught.value.reason == RejectReason.TOO_SOON


def test_a_flow_of_funds_without_the_right_to_it_is_not_offered(gateway, stand_in):
    stand_in.always(wechat_error(403, "NO_AUTH"))
    with pytest.raises(GatewayRejected) as caught:
        gateway.download_fund_bill(DAY)
    assert caught.value.reason == RejectReason.NOT_OFFERED


@pytest.mark.parametrize(
    "served",
    [{"sha1": "0" * 40}, {"packed": gzip.compress(GOOD)[:-20]}, {"packed": b"<html>gone</html>"}],
    ids=["another hash", "cut", "no bill"],
)
def test_a_broken_download_is_refused(gateway, stand_in, served):
    serve(stand_in, GOOD, **served)
    with pytest.raises(BillRefused):
        gateway.download_bill(DAY)


def test_a_file_that_is_not_there_is_unknown(gateway, stand_in):
    serve(stand_in, GOOD, status=404)
    with pytest.raises(GatewayUnknown):
        gateway.download_bill(DAY)
