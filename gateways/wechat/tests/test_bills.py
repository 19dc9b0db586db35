"""The daily bill of WeChat Pay: unpacked, hashed, counted, and only then handed out."""

import gzip
import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import BillKind
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
    "`0.00,`0.00,`5000001,`RFD1,`10.01,`0.00,`ORIGINAL,`SUCCESS,`挂号费,`,`-0.06000,`0.60%,`0.00,"
    "`10.01,`"
)
SUMMARY = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
TOTALS = "`2.0,`29.00,`10.01,`0.0,`0.11,`30.00,`10.01"


def bill_text(*rows: str, totals: str = TOTALS) -> bytes:
    return "\r\n".join(("\ufeff" + HEADER, *rows, SUMMARY, totals, "")).encode()


GOOD = bill_text(PAYMENT, REFUND)


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


def test_it_reads_a_bill(gateway, stand_in):
    serve(stand_in, GOOD)
    bill = gateway.download_bill(DAY)
    payment, refund = bill.lines
    assert (bill.day, payment.kind, refund.kind) == (DAY, BillKind.PAYMENT, BillKind.REFUND)
    assert (payment.amount, payment.fee) == (Decimal("30.00"), Decimal("0.17400"))
    assert (payment.out_trade_no, payment.transaction_id) == ("ORD1", "4200001")
    assert (payment.out_refund_no, payment.refund_id, payment.state) == ("", "", "SUCCESS")
    assert (payment.app_id, refund.app_id) == ("wx1", "wx1")
    assert payment.happened_at == datetime(2026, 11, 22, 21, 1, 46, tzinfo=UTC)
    assert (refund.amount, refund.fee) == (Decimal("10.01"), Decimal("-0.06000"))
    assert (refund.out_refund_no, refund.refund_id) == ("RFD1", "5000001")
    assert "bill_date=2026-11-23&bill_type=ALL&tar_type=GZIP" in stand_in.seen[0].target
    assert stand_in.seen[1].target == "/v3/billdownload/file?token=a%2Bb"
    assert stand_in.seen[1].headers["authorization"]


def test_it_reads_the_lines_of_every_app_of_the_merchant(gateway, stand_in):
    rows = [PAYMENT.replace("`wx1,", f"`{app},") for app in ("wx1", "wx2", "wx3")]
    serve(stand_in, bill_text(*rows, totals="`3.0,`87.00,`0.00,`0.0,`0.52,`90.00,`0.00"))
    assert [line.app_id for line in gateway.download_bill(DAY).lines] == ["wx1", "wx2", "wx3"]


def test_a_bill_that_was_not_packed_is_read_too(gateway, stand_in):
    serve(stand_in, GOOD, packed=GOOD)
    assert len(list(gateway.download_bill(DAY).lines)) == 2


def test_a_day_without_movement_is_an_empty_bill(gateway, stand_in):
    stand_in.always(wechat_error(400, "NO_STATEMENT_EXIST"))
    assert list(gateway.download_bill(DAY).lines) == []


def test_a_bill_that_is_not_ready_is_too_soon(gateway, stand_in):
    stand_in.always(wechat_error(400, "STATEMENT_CREATING"))
    with pytest.raises(GatewayRejected) as caught:
        gateway.download_bill(DAY)
    assert caught.value.reason == RejectReason.TOO_SOON


BROKEN = {
    "another hash": {"content": GOOD, "sha1": "0" * 40},
    "not there": {"content": GOOD, "status": 404},
    "cut gzip": {"content": GOOD, "packed": gzip.compress(GOOD)[:-20]},
    "a lost line": {"content": bill_text(PAYMENT)},
    "no summary": {"content": "\r\n".join((HEADER, PAYMENT)).encode()},
    "empty": {"content": b""},
    "gbk": {"content": GOOD.decode().encode("gb18030")},
    "short row": {"content": bill_text("`2026-11-23 05:01:46,`wx1", REFUND)},
    "odd amount": {"content": bill_text(PAYMENT.replace("`30.00", "`3e1"), REFUND)},
    "odd time": {"content": bill_text(PAYMENT.replace("05:01:46", "25:01:46"), REFUND)},
    "renamed column": {"content": GOOD.decode().replace("手续费,", "费,").encode()},
}


@pytest.mark.parametrize("fault", BROKEN, ids=str)
def test_nothing_of_a_broken_bill_is_handed_out(gateway, stand_in, fault):
    serve(stand_in, **BROKEN[fault])
    with pytest.raises(GatewayUnknown):
        gateway.download_bill(DAY)
