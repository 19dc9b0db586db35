"""The daily bills of Alipay: unpacked, added up, and only then handed out."""

import gzip
import io
import struct
import zipfile
from datetime import date

import pytest

from gateways import bill_files
from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import BillRefused, FundKind
from gateways.registry import open_bill
from gateways.tests.kit import Reply, alipay_gateway, alipay_reply

METHOD = "alipay.data.dataservice.bill.downloadurl.query"
DAY = date(2026, 11, 22)  # the day before yesterday, seen from the tests' now
YESTERDAY = date(2026, 11, 23)
COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
PAYMENT = (
    "2026112222001\t,ORD1\t,交易\t,挂号费\t,"
    "2026-11-22 09:00:00,2026-11-22 23:59:59,\t,\t,\t,\t,"
    "*明(x***@126.com)\t,30.00,29.00,0.00,0.00,0.00,1.00,0.00,\t,0.00,0.00,\t,-0.18,0.00,\t"
)
REFUND = (
    "2026112222001\t,ORD1\t,退款\t,挂号费\t,2026-11-22 09:00:00,2026-11-22 12:00:00,\t,\t,\t,\t,"
    "*明(x***@126.com)\t,-10.01,-9.51,0.00,0.00,0.00,-0.50,0.00,\t,0.00,0.00,RFD1\t,0.06,0.00,\t"
)
TITLE = "#支付宝业务明细查询"
ACCOUNT = "#账号：[20880000000000010156]"
PERIOD = "#起始日期：[2026年11月22日 00:00:00]   终止日期：[2026年11月23日 00:00:00]"
BEGIN = (
    "#-----------------------------------------业务明细列表----------------------------------------"
)
END = (
    "#-----------------------------------------业务明细列表结束------------------------------------"
)
PAID = "#交易合计：1笔，商家实收共29.00元，商家优惠共1.00元"
GIVEN_BACK = "#退款合计：1笔，商家实收退款共-9.51元，商家优惠退款共-0.50元"
MADE_AT = "#导出时间：[2026年11月23日 09:30:00]"
HEAD, TAIL = (TITLE, ACCOUNT, PERIOD, BEGIN), (END, PAID, GIVEN_BACK, MADE_AT)


def text_of(*rows: str, head=HEAD, columns=COLUMNS, tail=TAIL, end="\r\n") -> str:
    return end.join((*head, columns, *rows, *tail, ""))


def details(*rows: str, encoding="gbk", **parts) -> bytes:
    return text_of(*rows, **parts).encode(encoding)


def packed(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP whose names are GBK without the UTF-8 flag, as Alipay makes them."""
    buffer = io.BytesIO()
    encoded = [name.encode("gbk") for name in files]
    # zipfile would flag the names as UTF-8: put names of the same length and exchange the bytes.
    places = [f"{number}".ljust(len(name), "x") for number, name in enumerate(encoded)]
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for place, content in zip(places, files.values(), strict=True):
            archive.writestr(place, content)
    raw = buffer.getvalue()
    for place, name in zip(places, encoded, strict=True):
        raw = raw.replace(place.encode(), name)
    return raw


SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,支付宝优惠（元）,"
    "商家优惠（元）,卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）"
)
SUMMARY_ALL = "合计\t,\t,1,1,19.99,19.49,0.00,0.50,0.00,-0.12,0.00,19.37"


def summary(line: str = SUMMARY_ALL, columns: str = SUMMARY_COLUMNS) -> bytes:
    rule = "业务汇总列表"
    lines = ("#支付宝业务汇总查询", ACCOUNT, PERIOD, f"#----{rule}----", columns, line)
    return "\r\n".join((*lines, f"#---{rule}结束---", MADE_AT, "")).encode("gbk")


def named(content: bytes, second: bytes | None = None) -> dict[str, bytes]:
    second = summary() if second is None else second
    return {"20880000_业务明细.csv": content, "20880000_业务明细(汇总).csv": second}


GOOD = details(PAYMENT, REFUND)


def opened(content: bytes, bill_type: str = "trade"):
    return open_bill("alipay", bill_type, io.BytesIO(content))


# -- the file -------------------------------------------------------------------------------------


def test_a_line_carries_both_amounts_and_the_fee():
    payment, refund = opened(packed(named(GOOD))).rows()
    assert (payment.number, payment.is_refund, payment.state) == (6, False, "SUCCESS")
    assert (payment.out_trade_no, payment.transaction_id) == ("ORD1", "2026112222001")
    assert (payment.out_refund_no, payment.refund_id, payment.fee_rate) == ("", "", "")
    assert (payment.amount_fen, payment.settled_fen, payment.fee) == (3000, 2900, 18000)
    assert payment.moment == "2026-11-22 23:59:59"
    assert (refund.number, refund.is_refund, refund.out_refund_no) == (7, True, "RFD1")
    assert (refund.amount_fen, refund.settled_fen, refund.fee) == (1001, 951, -6000)


def test_the_bill_says_whose_and_of_when_it_is():
    bill = opened(GOOD)
    assert bill.merchants == {"2088000000000001"}
    assert bill.period == (DAY, DAY)
    assert (bill.first_moment, bill.last_moment) == ("2026-11-22 12:00:00", "2026-11-22 23:59:59")
    assert (bill.lines, bill.odd_lines) == (2, ())
    assert bill.totals == {
        "交易": "1笔，商家实收共29.00元，商家优惠共1.00元",
        "退款": "1笔，商家实收退款共-9.51元，商家优惠退款共-0.50元",
    }
    assert list(bill.rows()) == list(bill.rows())


def utf8_names() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in named(GOOD).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def positive(line: str) -> str:
    return line.replace(",-", ",")


def without(name: str, *lines: str) -> list[str]:
    place = COLUMNS.split(",").index(name)
    return [",".join(line.split(",")[:place] + line.split(",")[place + 1 :]) for line in lines]


HARMLESS = {
    "ZIP": packed(named(GOOD)),
    "ZIP with names in UTF-8": utf8_names(),
    "ZIP of the details alone": packed({"x.csv": GOOD}),
    "gzip": gzip.compress(GOOD),
    "UTF-8": details(PAYMENT, REFUND, encoding="utf-8"),
    "UTF-8 with BOM": details(PAYMENT, REFUND, encoding="utf-8-sig"),
    "LF": details(PAYMENT, REFUND, end="\n"),
    "no end of the last line": GOOD.rstrip(b"\r\n"),
    "no tabs": GOOD.replace(b"\t", b""),
    "positive refunds": details(
        PAYMENT, positive(REFUND), tail=(END, PAID, GIVEN_BACK.replace("-", ""), MADE_AT)
    ),
    "other rules": details(
        PAYMENT, REFUND,
        head=(TITLE, ACCOUNT, PERIOD, "#--业务明细列表--"), tail=("#-业务明细列表结束-", *TAIL[1:]),
    ),
    "no time of export": details(PAYMENT, REFUND, tail=TAIL[:3]),
    "another title": details(PAYMENT, REFUND, head=("#支付宝业务明细", *HEAD[1:])),
    "the period to the end of the day": details(
        PAYMENT, REFUND,
        head=(TITLE, ACCOUNT, PERIOD.replace("11月23日 00:00:00", "11月22日 24:00:00"), BEGIN),
    ),
    "half-width brackets": details(
        PAYMENT, REFUND, columns=COLUMNS.replace("（", "(").replace("）", ")")
    ),
    "the older name of refund numbers": details(
        PAYMENT, REFUND, columns=COLUMNS.replace("/请求号", "")
    ),
    "no column of merchant coupons": details(
        *(without("商家优惠（元）", COLUMNS, PAYMENT, REFUND))[1:],
        columns=without("商家优惠（元）", COLUMNS)[0],
    ),
    "no column of creation": details(
        *without("创建时间", PAYMENT, REFUND), columns=without("创建时间", COLUMNS)[0]
    ),
    "no sums of coupons": details(
        PAYMENT, REFUND,
        tail=(END, PAID.rpartition("，")[0], GIVEN_BACK.rpartition("，")[0], MADE_AT),
    ),
    "one more column": details(
        f"{PAYMENT},x\t", f"{REFUND},y\t", columns=f"{COLUMNS},花呗分期数"
    ),
    "from a spreadsheet": details(
        PAYMENT, REFUND,
        head=[f'"{line}",,,' for line in HEAD], tail=[f'"{line}",,,' for line in TAIL],
        columns=",".join(f'"{name}"' for name in COLUMNS.split(",")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", HARMLESS, ids=str)
def test_what_changes_nothing_is_read_all_the_same(shape):
    bill = opened(HARMLESS[shape])
    assert list(bill.rows()) == list(opened(GOOD).rows())
    assert (bill.odd_lines, bill.period, bill.merchants) == ((), (DAY, DAY), {"2088000000000001"})


def test_a_payment_that_names_no_end_happened_when_it_began():
    row = PAYMENT.replace("2026-11-22 23:59:59", "")
    assert next(opened(details(row, REFUND)).rows()).moment == "2026-11-22 09:00:00"


def test_a_rare_character_loses_nothing():
    rows = [PAYMENT.replace("挂号费", "𠮷"), REFUND.replace("RFD1", "RFD𠮷")]
    bill = opened(details(*rows, encoding="gb18030"))
    assert [row.out_refund_no for row in bill.rows()] == ["", "RFD𠮷"]


def test_a_day_without_lines_is_read():
    tail = (
        END,
        "#交易合计：0笔，商家实收共0.00元，商家优惠共0.00元",
        "#退款合计：0笔，商家实收退款共0.00元，商家优惠退款共0.00元",
        MADE_AT,
    )
    assert list(opened(details(tail=tail)).rows()) == []


def test_a_file_that_tells_no_refunds_has_none():
    bill = opened(details(PAYMENT, tail=(END, PAID, MADE_AT)))
    assert len(list(bill.rows())) == 1
    with pytest.raises(BillRefused, match="退款 笔数"):
        opened(details(PAYMENT, REFUND, tail=(END, PAID, MADE_AT)))


def replaced(old: str, new: str) -> bytes:
    return text_of(PAYMENT, REFUND).replace(old, new).encode("gbk")


def with_summary(old: str, new: str) -> bytes:
    return packed(named(GOOD, summary(SUMMARY_ALL.replace(old, new))))


def damaged(archive: bytes) -> bytes:
    return archive[:80] + bytes([archive[80] ^ 0xFF]) + archive[81:]


def many_members() -> bytes:
    """A directory that claims more files than a bill has, and is not read."""
    archive = packed(named(GOOD))
    place = archive.rindex(b"PK\x05\x06")
    return archive[: place + 8] + struct.pack("<2H", 60_000, 60_000) + archive[place + 12 :]


OLD_FOOTER = "#交易合计：1笔，交易金额共9.99元，优惠金额共0.00元"
REFUSED = {
    "no ZIP": (b"<html>expired</html>", "没有表头|没有“"),
    "cut ZIP": (packed(named(GOOD))[:-30], "损坏"),
    "damaged ZIP": (damaged(packed(named(GOOD))), "损坏"),
    "LZMA": (packed(named(GOOD), zipfile.ZIP_LZMA), "压缩方式"),
    "damaged LZMA": (damaged(packed(named(GOOD), zipfile.ZIP_LZMA)), "压缩方式"),
    "damaged BZ2": (damaged(packed(named(GOOD), zipfile.ZIP_BZIP2)), "压缩方式"),
    "many members": (many_members(), "一个明细文件"),
    "a ZIP in a ZIP": (packed({"x.zip": packed(named(GOOD))}), "还是压缩文件"),
    "a gzip in a ZIP": (packed({"x.gz": gzip.compress(GOOD)}), "还是压缩文件"),
    "no details": (packed({"x(汇总).csv": summary()}), "一个明细文件"),
    "two details": (packed({"a.csv": GOOD, "b.csv": GOOD}), "一个明细文件"),
    "two summaries": (
        packed({"明细.csv": GOOD, "汇总1.csv": summary(), "汇总2.csv": summary()}), "一个明细文件",
    ),
    "the summary alone": (summary(), "而是支付宝业务汇总查询"),
    "the account": (replaced("业务明细", "账务明细"), "而是支付宝账务明细查询"),
    "WeChat's": ("交易时间,公众账号ID\r\n".encode(), "支付宝交易号"),
    "WeChat's as it comes": ("`交易时间,`微信订单号,`商户号\r\n".encode(), "而是微信支付"),
    "moments saved by a spreadsheet": (
        GOOD.replace(b"2026-11-22 ", b"2026/11/22 "), "没有一行可以读取.*时间无法读取.*另存",
    ),
    "numbers rounded by a spreadsheet": (replaced("2026112222001\t", "2.02611E+27"), "2.02611E"),
    "UTF-16": (text_of(PAYMENT, REFUND).encode("utf-16"), "没有“|没有表头|未知的内容"),
    "re-encoded": (GOOD.decode("gbk").encode("utf-8").decode("latin-1").encode(), "未知的内容"),
    "empty": (b"", "空"),
    "blank": (b"\r\n\r\n", "没有表头"),
    "an unknown line of the frame": (replaced(ACCOUNT, "#别的"), "未知的内容"),
    "a period that is none": (replaced("2026年11月22日", "2026年13月22日"), "起止日期"),
    "a renamed column": (replaced("服务费（元）", "fee"), "服务费"),
    "a column twice": (replaced("备注", "商品名称"), "重复"),
    "no totals": (GOOD.partition("#交易合计".encode("gbk"))[0], "没有合计"),
    "cut in the rows": (details(PAYMENT, REFUND, tail=()), "没有合计"),
    "no end of the list": (details(PAYMENT, REFUND, tail=TAIL[1:]), "没有合计"),
    "the old wording": (details(PAYMENT, REFUND, tail=(END, OLD_FOOTER, MADE_AT)), "未知的合计"),
    "another wording": (replaced("商家实收共", "实收共"), "未知的合计"),
    "a total twice": (details(PAYMENT, REFUND, tail=(*TAIL[:3], PAID)), "两次"),
    "two bills in one": (GOOD + GOOD, "两次|未知的合计"),
    "a line after the totals": (GOOD + PAYMENT.encode("gbk"), "未知的合计"),
    "a lost line": (details(PAYMENT), "退款 笔数"),
    "a doubled line": (details(PAYMENT, PAYMENT, REFUND), "交易 笔数"),
    "another sum": (details(PAYMENT.replace("29.00", "29.01"), REFUND), "商家实收"),
    "another refund": (details(PAYMENT, REFUND.replace("-9.51", "-9.50")), "退款 商家实收"),
    "another coupon": (replaced("优惠共1.00元", "优惠共0.99元"), "商家优惠"),
    "a summary of other counts": (with_summary("1,1,", "2,1,"), "汇总 交易"),
    "a summary of other amounts": (with_summary("19.99", "19.98"), "汇总 订单"),
    "a summary of other fees": (with_summary("-0.12", "-0.13"), "汇总 服务费"),
    "a summary without its last line": (with_summary("合计", "x"), "汇总文件没有合计行"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED, ids=str)
def test_what_is_no_such_bill_or_does_not_add_up_is_refused_in_words(fault):
    content, reason = REFUSED[fault]
    with pytest.raises(BillRefused, match=reason):
        opened(content)


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(bill_files, "BILL_BYTES_MAX", 3 << 20)
    for content in (packed({"x.csv": bytes(4 << 20)}), gzip.compress(bytes(4 << 20))):
        with pytest.raises(BillRefused, match="太大"):
            opened(content)


@pytest.mark.parametrize(
    "line",
    [
        "合计\t,\t,1,1,30.00,29.00,0.00,1.00,0.00,0.18,0.00,19.49",  # of payments alone
        "合计\t,\t,1,1,19.99,19.49,0.00,0.50,0.00,-0.12,0.00,19.37",  # refunds and fees taken off
    ],
)
def test_a_summary_may_take_refunds_off_or_not(line):
    assert opened(packed(named(GOOD, summary(line)))).totals["汇总 交易订单总笔数"] == "1"


# -- odd lines ------------------------------------------------------------------------------------

QUARANTINED = {
    "an unknown kind": (PAYMENT.replace("交易", "转账"), "未知的业务类型：转账"),
    "an unreadable time": (PAYMENT.replace("23:59:59", "x"), "时间无法读取"),
    "an unreadable amount": (PAYMENT.replace("30.00", "3O.00"), "金额无法读取：3O.00"),
    "a negative payment": (PAYMENT.replace("30.00", "-30.00"), "矛盾"),
    "a short row": ("a,b", "单元格数为 2"),
}


@pytest.mark.parametrize("oddity", QUARANTINED, ids=str)
def test_an_odd_line_is_quarantined_and_the_others_are_read(oddity):
    line, reason = QUARANTINED[oddity]
    bill = opened(details(line, REFUND))
    (odd,) = bill.odd_lines
    assert (odd.number, bill.lines) == (6, 2)
    assert reason in odd.reason
    assert [row.number for row in bill.rows()] == [7]


def test_totals_that_differ_by_more_than_an_odd_line_can_carry_refuse_the_file():
    odd = PAYMENT.replace("30.00", "3O.00").replace("29.00", "28.00")
    with pytest.raises(BillRefused, match="合计不符"):
        opened(details(odd, REFUND))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("挂号费", "挂号费, 内科, 初诊"),
        ("\t,\t,\t,\t,*明", "\t,南京东路店,总店\t,\t,\t,*明"),
        ("*明(x***@126.com)", "*明,(x***@126.com)"),
        ("0.00,\t\r\n", "0.00,a,b\t\r\n"),
    ],
    ids=["product", "shop", "payer", "remark"],
)
def test_a_comma_in_a_text_is_put_together_where_the_totals_prove_it(old, new):
    content = text_of(PAYMENT, REFUND)
    assert old in content
    bill = opened(content.replace(old, new).encode("gbk"))
    assert bill.odd_lines == ()
    assert list(bill.rows()) == list(opened(GOOD).rows())


# -- the account ----------------------------------------------------------------------------------

ACCOUNT_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,"
    "账户余额（元）,交易渠道,业务类型,备注"
)
MOVES = [
    "F1\t,T1\t,ORD1\t,挂号费\t,2026-11-22 09:00:00,x\t,29.00,,129.00,支付宝\t,在线支付\t,\t",
    "F2\t,T1\t,ORD1\t,挂号费\t,2026-11-22 09:00:00,x\t,,-0.18,128.82,支付宝\t,收费\t,\t",
    "F3\t,T1\t,ORD1\t,挂号费\t,2026-11-22 12:00:00,x\t,0.00,-9.51,119.31,支付宝\t,交易退款\t,\t",
    "F4\t,T1\t,ORD1\t,挂号费\t,2026-11-22 12:00:00,x\t,0.06,0.00,119.37,支付宝\t,退费\t,\t",
    "F5\t,W1\t,\t,\t,2026-11-22 13:00:00,x\t,,100.00,19.37,支付宝\t,提现\t,\t",
    "F6\t,X1\t,\t,\t,2026-11-22 14:00:00,x\t,,-20.00,-0.63,支付宝\t,转账\t,\t",
]
ACCOUNT_SUMMARY = "\r\n".join(
    (
        *("#支付宝账务汇总查询", ACCOUNT, PERIOD, "#----账务汇总列表----"),
        "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）",
        *("在线支付\t,1,29.00,0,0.00,29.00", "合计\t,2,29.06,4,-129.69,-100.63"),
        *("#----账务汇总列表结束----", MADE_AT, ""),
    )
).encode("gbk")
ACCOUNT_HEAD = ("#支付宝账务明细查询", ACCOUNT, PERIOD, BEGIN.replace("业务", "账务"))
ACCOUNT_TAIL = (
    END.replace("业务", "账务"),
    "#支出合计：4笔，共-129.69元",
    "#收入合计：2笔，共29.06元",
    MADE_AT,
)


def account(*rows: str, tail=ACCOUNT_TAIL) -> bytes:
    return details(*rows, head=ACCOUNT_HEAD, columns=ACCOUNT_COLUMNS, tail=tail)


def test_the_account_is_read_with_its_kinds():
    bill = opened(packed(named(account(*MOVES), ACCOUNT_SUMMARY)), "fund")
    rows = list(bill.fund_rows())
    assert [row.kind for row in rows] == [
        FundKind.PAYMENT, FundKind.FEE, FundKind.REFUND, FundKind.FEE_BACK,
        FundKind.WITHDRAWAL, FundKind.OTHER,
    ]  # fmt: skip
    assert [row.change_fen for row in rows] == [2900, -18, -951, 6, -10000, -2000]
    assert [row.balance_fen for row in rows][-2:] == [1937, -63]
    assert (rows[0].flow_no, rows[0].transaction_id, rows[0].out_trade_no) == ("F1", "T1", "ORD1")
    assert (rows[0].moment, rows[0].kind_text) == ("2026-11-22 09:00:00", "在线支付")
    assert (bill.period, bill.merchants) == ((DAY, DAY), {"2088000000000001"})


ACCOUNT_REFUSED = {
    "a trade bill": (GOOD, "而是支付宝业务明细查询"),
    "numbers rounded by a spreadsheet": (
        account(MOVES[0].replace("F1", "2.02611E+27"), *MOVES[1:]), "科学计数法",
    ),
    "a lost line": (account(*MOVES[1:]), "收入 笔数"),
    "another amount": (account(MOVES[0].replace("29.00,", "29.01,"), *MOVES[1:]), "收入 金额"),
    "a summary of other amounts": (
        packed(named(account(*MOVES), ACCOUNT_SUMMARY.replace(b"129.69", b"129.68"))), "汇总 支出",
    ),
    "a summary of trades": (packed(named(account(*MOVES), summary())), "没有合计行"),
    "no sum of what left": (
        account(*MOVES, tail=(ACCOUNT_TAIL[0], *ACCOUNT_TAIL[2:])), "支出 笔数",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ACCOUNT_REFUSED, ids=str)
def test_an_account_that_does_not_add_up_is_refused(fault):
    content, reason = ACCOUNT_REFUSED[fault]
    with pytest.raises(BillRefused, match=reason):
        opened(content, "fund")


@pytest.mark.parametrize(
    ("old", "new"), [("29.00,,", "29.0O,,"), ("29.00,,", "29.00,-1.00,"), (",129.00", ",x")]
)
def test_an_odd_line_of_the_account_is_quarantined(old, new):
    bill = opened(account(MOVES[0].replace(old, new), *MOVES[1:]), "fund")
    assert [line.number for line in bill.odd_lines] == [6]
    assert len(list(bill.fund_rows())) == 5


# -- fetching it ----------------------------------------------------------------------------------


def serve(stand_in, archive: bytes, status: int = 200) -> None:
    url = f"{stand_in.url}/downloadBillFile?token=1"

    def answer(seen):
        if seen.target.startswith("/downloadBillFile"):
            return Reply(status, archive)
        return alipay_reply(METHOD, {"code": "10000", "bill_download_url": url})

    stand_in.answer = answer


@pytest.fixture
def gateway(stand_in):
    return alipay_gateway(stand_in.url)


def test_it_fetches_the_bill_of_trades(gateway, stand_in):
    serve(stand_in, packed(named(GOOD)))
    assert len(list(gateway.download_bill(DAY).rows())) == 2
    assert b"2026-11-22" in stand_in.seen[0].body
    assert b"trade" in stand_in.seen[0].body


def test_it_fetches_the_account(gateway, stand_in):
    serve(stand_in, packed({"x.csv": account(*MOVES)}))
    assert len(list(gateway.download_fund_bill(DAY).fund_rows())) == 6
    assert b"signcustomer" in stand_in.seen[0].body


def test_there_is_no_bill_once_it_is_certain(gateway, stand_in):
    stand_in.always(alipay_reply(METHOD, {"code": "40004", "sub_code": "isp.bill_not_exist"}))
    assert gateway.download_bill(DAY) is None
    with pytest.raises(GatewayRejected) as caught:  # it is 10:00: yesterday's may still come
        gateway.download_bill(YESTERDAY)
    assert caught.value.reason == RejectReason.TOO_SOON


def test_an_account_without_the_right_to_it_is_not_offered(gateway, stand_in):
    refusal = {"code": "40006", "sub_code": "isv.insufficient-isv-permissions"}
    stand_in.always(alipay_reply(METHOD, refusal))
    with pytest.raises(GatewayRejected) as caught:
        gateway.download_fund_bill(DAY)
    assert caught.value.reason == RejectReason.NOT_OFFERED


def test_a_broken_download_is_refused(gateway, stand_in):
    serve(stand_in, packed(named(GOOD))[:-30])
    with pytest.raises(BillRefused):
        gateway.download_bill(DAY)


def test_a_file_that_is_not_there_is_unknown(gateway, stand_in):
    serve(stand_in, packed(named(GOOD)), 403)
    with pytest.raises(GatewayUnknown, match="403"):
        gateway.download_bill(DAY)
