"""Alipay's notifications: what is believed, and what is refused without asking anybody."""

from datetime import timedelta
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import hashes

from gateways.errors import GatewayUntrusted
from gateways.interface import RefundState, TradeState
from gateways.tests.kit import (
    ALI_APP_ID,
    FORM,
    NOW,
    SELLER_ID,
    alipay_body,
    alipay_callback,
    alipay_fields,
    alipay_gateway,
    alipay_signature,
)


@pytest.fixture
def gateway(stand_in):
    """Its gateway must never be asked while a callback is judged."""
    yield alipay_gateway(stand_in.url)
    assert not stand_in.seen


def notice_of(gateway, **changes):
    return gateway.parse_callback(alipay_callback(alipay_body(alipay_fields(**changes))))


def test_a_payment(gateway):
    notice = notice_of(gateway)
    assert (notice.notice_id, notice.event) == ("2026112400222100001", "TRADE_SUCCESS")
    assert notice.refund is None
    trade = notice.trade
    assert (trade.state, trade.amount) == (TradeState.PAID, Decimal("30.00"))
    assert (trade.app_id, trade.merchant_id) == (ALI_APP_ID, SELLER_ID)
    assert trade.transaction_id == "2026112422001468450512505578"
    assert trade.paid_at == NOW - timedelta(seconds=2)
    assert not trade.has_refunds
    assert trade.is_refundable


def test_a_finished_trade_was_paid_and_takes_no_refunds(gateway):
    trade = notice_of(gateway, trade_status="TRADE_FINISHED").trade
    assert (trade.state, trade.is_refundable) == (TradeState.PAID, False)


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_CLOSED"])
@pytest.mark.parametrize(
    "marks", [{"refund_fee": "10.01"}, {"gmt_refund": "2026-11-24 09:59:58.123"}], ids=str
)
def test_a_refund_notice_is_no_payment(gateway, status, marks):
    notice = notice_of(gateway, trade_status=status, out_biz_no="RFD1", **marks)
    assert notice.trade is None
    assert notice.refund.state is RefundState.SUCCESS
    assert notice.refund.out_refund_no == "RFD1"
    assert notice.refund.amount is None  # refund_fee is the total of all refunds of the trade
    assert notice.refund.merchant_id == SELLER_ID


def test_a_refund_fee_of_zero_is_a_payment(gateway):
    assert notice_of(gateway, refund_fee="0.00", out_biz_no="x").trade.state is TradeState.PAID


def test_a_refund_without_its_number_goes_by_the_trades(gateway):
    notice = notice_of(gateway, trade_status="TRADE_CLOSED", refund_fee="30.00")
    assert notice.trade is None
    assert (
        notice.refund.out_refund_no == notice.refund.out_trade_no == alipay_fields()["out_trade_no"]
    )
    assert (notice.refund.refunded_total, notice.refund.total_amount) == (
        Decimal("30.00"),
        Decimal("30.00"),
    )


def test_a_closed_trade_that_was_never_paid(gateway):
    trade = notice_of(gateway, trade_status="TRADE_CLOSED", gmt_payment=None).trade
    assert (trade.state, trade.has_refunds) == (TradeState.CLOSED, False)


@pytest.mark.parametrize("changes", [{"trade_status": "NEW"}, {"notify_type": "dut_user_sign"}])
def test_what_we_do_not_know_is_neither(gateway, changes):
    notice = notice_of(gateway, **changes)
    assert (notice.trade, notice.refund) == (None, None)


def test_an_old_notification_is_still_valid(gateway):
    assert notice_of(gateway, notify_time="2026-11-23 09:00:00").trade


def test_empty_values_may_have_been_signed_or_not(gateway):
    fields = alipay_fields(body="")
    for signed in (fields, alipay_fields()):
        body = alipay_body(fields, alipay_signature(signed))
        assert gateway.parse_callback(alipay_callback(body)).trade


def test_without_a_configured_seller_the_seller_is_not_compared(stand_in):
    gateway = alipay_gateway(stand_in.url, seller_id="")
    assert notice_of(gateway, seller_id="2088000000000999").trade.merchant_id == "2088000000000999"


GOOD = alipay_fields()
BODY = alipay_body(GOOD)


def signed(**changes):
    return alipay_callback(alipay_body(alipay_fields(**changes)))


def with_signature(signature: str):
    return alipay_callback(alipay_body(GOOD, signature))


WRONGS = {
    "no signature": (alipay_callback(BODY.rpartition(b"&sign=")[0]), "BAD_SIGNATURE"),
    "empty signature": (with_signature(""), "BAD_SIGNATURE"),
    "malformed base64": (with_signature("***"), "BAD_SIGNATURE"),
    "signature not ASCII": (with_signature("签名"), "BAD_SIGNATURE"),
    "another key": (with_signature(alipay_signature(GOOD, key="app")), "BAD_SIGNATURE"),
    "SHA-1 under RSA2": (
        with_signature(alipay_signature(GOOD, digest=hashes.SHA1)),
        "BAD_SIGNATURE",
    ),
    "downgraded sign_type": (
        alipay_callback(
            alipay_body(alipay_fields(sign_type="RSA"), alipay_signature(GOOD, digest=hashes.SHA1))
        ),
        "SIGNATURE_TYPE",
    ),
    "sign_type in lower case": (signed(sign_type="rsa2"), "SIGNATURE_TYPE"),
    "amount off by a fen": (
        alipay_callback(BODY.replace(b"total_amount=30.00", b"total_amount=30.01")),
        "BAD_SIGNATURE",
    ),
    "field added": (alipay_callback(BODY + b"&extra=1"), "BAD_SIGNATURE"),
    "field added, empty": (alipay_callback(BODY + b"&extra"), "MALFORMED"),
    "field removed": (alipay_callback(BODY.replace(b"version=1.0&", b"")), "BAD_SIGNATURE"),
    "duplicated field": (alipay_callback(BODY + b"&total_amount=30.00"), "MALFORMED"),
    "duplicated signature": (alipay_callback(BODY + b"&sign=x"), "MALFORMED"),
    "foreign application": (signed(app_id="2021000000000000"), "FOREIGN"),
    "no application": (signed(app_id=None), "FOREIGN"),
    "foreign seller": (signed(seller_id="2088000000000999"), "FOREIGN"),
    "no seller": (signed(seller_id=None), "FOREIGN"),
    "another charset announced": (signed(charset="big5"), "CHARSET"),
    "gbk announced, utf-8 written": (signed(charset="gbk"), "MALFORMED"),
    "gbk bytes": (alipay_callback("subject=挂号".encode("gbk")), "MALFORMED"),
    "gbk escapes": (alipay_callback(b"subject=%B9%D2%BA%C5"), "MALFORMED"),
    "JSON": (alipay_callback(b'{"a": 1}', "application/json"), "MALFORMED"),
    "form as JSON": (alipay_callback(BODY, "application/json"), "MALFORMED"),
    "multipart": (alipay_callback(BODY, "multipart/form-data; boundary=x"), "MALFORMED"),
    "no content type": (alipay_callback(BODY, ""), "MALFORMED"),
    "empty": (alipay_callback(b""), "BAD_SIGNATURE"),
    "a thousand fields": (
        alipay_callback(b"&".join(b"a%d=1" % n for n in range(1000))),
        "MALFORMED",
    ),
    "three decimals": (signed(total_amount="30.001"), "MALFORMED"),
    "negative": (signed(total_amount="-30.00"), "MALFORMED"),
    "exponent": (signed(total_amount="3e1"), "MALFORMED"),
    "full-width": (signed(total_amount="３０.00"), "MALFORMED"),
    "no amount": (signed(total_amount=None), "MALFORMED"),
    "no number": (signed(out_trade_no=None), "MALFORMED"),
    "no trade number": (signed(trade_no=None), "MALFORMED"),
    "odd time": (signed(gmt_payment="yesterday"), "MALFORMED"),
}


@pytest.mark.parametrize("wrong", WRONGS, ids=str)
def test_it_refuses(gateway, wrong):
    request, code = WRONGS[wrong]
    with pytest.raises(GatewayUntrusted) as caught:
        gateway.parse_callback(request)
    assert caught.value.code == code


def test_the_content_type_may_name_its_charset(gateway):
    for content_type in (FORM, "application/x-www-form-urlencoded", FORM.upper()):
        assert gateway.parse_callback(alipay_callback(BODY, content_type)).trade


@pytest.mark.parametrize("name", ["GBK", "gbk", "gb2312", "GB18030"])
def test_a_notice_in_gbk_is_verified_over_its_own_bytes_and_read(gateway, name):
    fields = alipay_fields(charset=name, subject="挂号费 中医内科", body="朱砂")
    notice = gateway.parse_callback(alipay_callback(alipay_body(fields, encoding="gbk")))
    assert notice.trade
    assert notice.trade.raw["subject"] == "挂号费 中医内科"
    assert notice.trade.amount == Decimal("30.00")
    tampered = alipay_body(fields, encoding="gbk").replace(b"total_amount=30", b"total_amount=31")
    with pytest.raises(GatewayUntrusted) as caught:
        gateway.parse_callback(alipay_callback(tampered))
    assert caught.value.code == "BAD_SIGNATURE"


def test_a_notice_signed_in_another_charset_than_it_says_is_refused(gateway):
    fields = alipay_fields(charset="GBK", subject="挂号")
    as_utf8 = alipay_signature(fields)
    with pytest.raises(GatewayUntrusted) as caught:
        gateway.parse_callback(alipay_callback(alipay_body(fields, as_utf8, encoding="gbk")))
    assert caught.value.code == "BAD_SIGNATURE"


def test_answers(gateway):
    handled = gateway.answer_callback(is_handled=True)
    assert (handled.status, handled.content_type, handled.body) == (200, "text/plain", "success")
    refused = gateway.answer_callback(is_handled=False, message="x", status=400)
    assert (refused.status, refused.body) == (400, "failure")


def test_what_the_payers_browser_brings_back_is_no_notice(gateway):
    """It carries the same signature, and anybody who paid once has it."""
    returned = {
        "app_id": ALI_APP_ID,
        "method": "alipay.trade.page.pay.return",
        "out_trade_no": "ORD20261124100000ABCD",
        "seller_id": SELLER_ID,
        "timestamp": "2026-11-24 10:00:00",
        "total_amount": "30.00",
        "trade_no": "2026112422001468450512505578",
        "version": "1.0",
    }
    with pytest.raises(GatewayUntrusted) as refusal:
        gateway.parse_callback(alipay_callback(alipay_body(returned)))
    assert refusal.value.code == "NOT_A_NOTICE"
