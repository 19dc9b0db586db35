"""The daily bill of Alipay: unpacked, added up, and only then handed out."""

import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import BillKind
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
    "2026112222001\t,ORD1\t,交易\t,挂号费, 内科\t,"
    "2026-11-22 09:00:00,2026-11-22 23:59:59,\t,\t,\t,\t,"
    "*明(x***@126.com)\t,30.00,29.00,0.00,0.00,1.00,0.00,0.00,\t,0.00,0.00,\t,-0.18,0.00,\t"
)
REFUND = (
    "2026112222001\t,ORD1\t,退款\t,挂号费\t,2026-11-22 09:00:00,2026-11-22 12:00:00,\t,\t,\t,\t,"
    "*明(x***@126.com)\t,-10.01,-10.01,0.00,0.00,0.00,0.00,0.00,\t,0.00,0.00,RFD1\t,0.06,0.00,\t"
)


def details(
    *rows: str, paid="1笔，商家实收共29.00元", refunded="1笔，商家实收退款共-10.01元"
) -> bytes:
    lines = (
        "#支付宝业务明细查询",
        "#账号：[20880000000000010156]",
        "#起始日期：[2026年11月22日 00:00:00]   终止日期：[2026年11月23日 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        COLUMNS,
        *rows,
        "#-----------------------------------------业务明细列表结束------------------------------------",
        "#交易合计：1笔，商家实收共29.00元，商家优惠共1.00元",
        "#退款合计：1笔，商家实收退款共-10.01元，商家优惠退款共0.00元",
        "#导出时间：[2026年11月23日 09:30:00]",
        "",
    )
    return "\r\n".join(lines).encode("gbk")


def packed(files: dict[str, bytes]) -> bytes:
    """A ZIP whose names are GBK without the UTF-8 flag, as Alipay makes them."""
    buffer = io.BytesIO()
    encoded = [name.encode("gbk") for name in files]
    # zipfile would flag the names as UTF-8: put names of the same length and exchange the bytes.
    places = [f"{number}".ljust(len(name), "x") for number, name in enumerate(encoded)]
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in zip(places, files.values(), strict=True):
            archive.writestr(place, content)
    raw = buffer.getvalue()
    for place, name in zip(places, encoded, strict=True):
        raw = raw.replace(place.encode(), name)
    return raw


def named(content: bytes) -> dict[str, bytes]:
    return {"20880000_业务明细.csv": content, "20880000_业务明细(汇总).csv": b"#x"}


GOOD = details(PAYMENT, REFUND)


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


def test_it_reads_a_bill(gateway, stand_in):
    serve(stand_in, packed(named(GOOD)))
    payment, refund = gateway.download_bill(DAY).lines
    assert (payment.kind, refund.kind) == (BillKind.PAYMENT, BillKind.REFUND)
    assert (payment.amount, payment.fee) == (Decimal("30.00"), Decimal("0.18"))
    assert (payment.out_trade_no, payment.transaction_id) == ("ORD1", "2026112222001")
    assert payment.out_refund_no == ""
    assert payment.happened_at == datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC)
    assert (refund.amount, refund.out_refund_no) == (Decimal("10.01"), "RFD1")
    assert refund.fee == Decimal("-0.06")
    assert b"2026-11-22" in stand_in.seen[0].body


def test_names_in_utf8_are_read_too(gateway, stand_in):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in named(GOOD).items():
            archive.writestr(name, content)
    serve(stand_in, buffer.getvalue())
    assert len(list(gateway.download_bill(DAY).lines)) == 2


def test_no_bill_is_an_empty_one_once_it_is_certain(gateway, stand_in):
    stand_in.always(alipay_reply(METHOD, {"code": "40004", "sub_code": "isp.bill_not_exist"}))
    assert list(gateway.download_bill(DAY).lines) == []
    with pytest.raises(GatewayRejected) as caught:  # it is 10:00: yesterday's may still come
        gateway.download_bill(YESTERDAY)
    assert caught.value.reason == RejectReason.TOO_SOON


def of_rows(*rows: str) -> bytes:
    return packed(named(details(*rows)))


def damaged(archive: bytes) -> bytes:
    return archive[:80] + bytes([archive[80] ^ 0xFF]) + archive[81:]


DAMAGED = damaged(packed(named(GOOD)))
BROKEN = {
    "not there": (packed(named(GOOD)), 403, "403"),
    "no ZIP": (b"<html>expired</html>", 200, "ZIP"),
    "cut ZIP": (packed(named(GOOD))[:-30], 200, "ZIP"),
    "damaged ZIP": (DAMAGED, 200, "ZIP"),
    "no details": (packed({"x_业务明细(汇总).csv": b"#"}), 200, "files of the bill"),
    "two details": (packed({"a.csv": GOOD, "b.csv": GOOD}), 200, "files of the bill"),
    "a lost line": (of_rows(PAYMENT), 200, "totals of 退款"),
    "a doubled line": (of_rows(PAYMENT, PAYMENT, REFUND), 200, "totals of 交易"),
    "another sum": (
        of_rows(PAYMENT.replace("29.00", "29.01"), REFUND),
        200,
        "totals of 交易",
    ),
    "no totals": (
        packed(named(GOOD.partition("#交易合计".encode("gbk"))[0])),
        200,
        "without totals",
    ),
    "unknown kind": (
        of_rows(PAYMENT.replace("交易", "转账"), REFUND),
        200,
        "kind '转账'",
    ),
    "odd time": (of_rows(PAYMENT.replace("23:59:59", "x"), REFUND), 200, "time"),
    "short row": (of_rows("a,b", PAYMENT, REFUND), 200, "number of cells"),
    "renamed column": (
        packed(named(GOOD.replace("服务费".encode("gbk"), b"fee"))),
        200,
        "no column",
    ),
    "utf-16": (packed(named(GOOD.decode("gbk").encode("utf-16"))), 200, "encoding"),
    "empty": (packed(named(b"")), 200, "without totals"),
}


@pytest.mark.parametrize("fault", BROKEN, ids=str)
def test_nothing_of_a_broken_bill_is_handed_out(gateway, stand_in, fault):
    archive, status, reason = BROKEN[fault]
    serve(stand_in, archive, status)
    with pytest.raises(GatewayUnknown, match=reason):
        gateway.download_bill(DAY)
