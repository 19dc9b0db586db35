"""Alipay over HTTP, against a small server that signs as Alipay does."""

import json
import os
import time
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateways.errors import (
    GatewayRejected,
    GatewayUnavailable,
    GatewayUnknown,
    RejectReason,
)
from gateways.interface import CloseState, RefundState, Scene, TradeState
from gateways.keys import alipay_certificate_sn, alipay_root_sn, load_certificate
from gateways.tests.kit import (
    ALI_APP_ID,
    NOW,
    Reply,
    alipay_gateway,
    alipay_reply,
    certificate_pem,
    is_signed,
    payment_request,
    refund_request,
)

NUMBER = "ORD20261124100000A1"
TRADE = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": NUMBER,
    "trade_no": "4200001234",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "30.00",
    "send_pay_date": "2026-11-24 09:59:58",
    "buyer_logon_id": "x***@126.com",
}
QUERY, CLOSE = "alipay.trade.query", "alipay.trade.close"
REFUND, REFUND_QUERY = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"
REFUNDED = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": NUMBER,
    "trade_no": "4200001234",
    "fund_change": "Y",
    "refund_fee": "20.02",
}


@pytest.fixture
def gateway(stand_in):
    return alipay_gateway(stand_in.url)


def fields_of(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, strict_parsing=True))


def require_signed(fields: dict[str, str]) -> None:
    """Rule 1: all but sign, sign_type among them, sorted, values decoded."""
    text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "sign")
    assert is_signed("app", text.encode(), fields["sign"])


def refusal(sub_code: str, code: str = "40004", method: str = QUERY) -> Reply:
    return alipay_reply(
        method, {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "不"}
    )


# -- creating --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scene", "method", "product_code", "returns"),
    [
        (Scene.PAGE, "alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY", True),
        (Scene.WAP, "alipay.trade.wap.pay", "QUICK_WAP_WAY", True),
        (Scene.APP, "alipay.trade.app.pay", "QUICK_MSECURITY_PAY", False),
    ],
)
def test_a_signed_request_for_the_payer(gateway, stand_in, scene, method, product_code, returns):
    start = gateway.create_payment(gateway.prepare_payment(payment_request(scene)))
    if scene is Scene.APP:
        fields = fields_of(start.prepay_data["order_string"])
    else:
        assert start.payment_url.startswith(f"{stand_in.url}/gateway.do?")
        fields = fields_of(urlsplit(start.payment_url).query)
    require_signed(fields)
    assert (fields["method"], fields["app_id"]) == (method, ALI_APP_ID)
    assert fields["notify_url"] == "https://pay.example.com/payment/callback/alipay"
    assert fields.get("return_url") == (
        "https://shop.example.com/back?a=1&b=2" if returns else None
    )
    assert fields["timestamp"] == "2026-11-24 10:00:00"
    content = json.loads(fields["biz_content"])
    assert content["total_amount"] == "30.00"
    assert content["product_code"] == product_code
    assert content["time_expire"] == "2026-11-24 12:00:00"
    assert not stand_in.seen


def test_qr_is_registered_by_a_call(gateway, stand_in):
    method = "alipay.trade.precreate"
    stand_in.always(
        alipay_reply(method, {"code": "10000", "qr_code": "https://qr.alipay.com/bax1"})
    )
    start = gateway.create_payment(gateway.prepare_payment(payment_request(Scene.QR)))
    assert start.qr_code == "https://qr.alipay.com/bax1"
    (seen,) = stand_in.seen
    require_signed(seen.fields)
    assert seen.verb == "POST"
    assert "biz_content" not in seen.target  # addresses are logged on their way
    assert seen.fields["notify_url"] == "https://pay.example.com/payment/callback/alipay"
    assert json.loads(seen.fields["biz_content"])["product_code"] == "FACE_TO_FACE_PAYMENT"


def test_without_a_return_url_the_configured_one_is_used(gateway):
    prepared = gateway.prepare_payment(payment_request(Scene.PAGE, return_url=""))
    assert prepared["return_url"] == "https://pay.example.com/payment/success"


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai"])
def test_the_timestamp_does_not_depend_on_the_zone_of_the_process(gateway, zone, monkeypatch):
    monkeypatch.setitem(os.environ, "TZ", zone)
    time.tzset()
    try:
        start = gateway.create_payment(gateway.prepare_payment(payment_request(Scene.PAGE)))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert fields_of(urlsplit(start.payment_url).query)["timestamp"] == "2026-11-24 10:00:00"


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.01", "0.01"), ("0.1", "0.10"), ("30", "30.00"), ("99999999.99", "99999999.99")],
)
def test_amounts_are_exact_text(gateway, amount, text):
    prepared = gateway.prepare_payment(payment_request(Scene.PAGE, amount=Decimal(amount)))
    assert prepared["biz_content"]["total_amount"] == text


def test_the_subject_is_plain(gateway):
    request = payment_request(Scene.PAGE, description="a/b=c&d𠮷\u202e\n中药")
    assert gateway.prepare_payment(request)["biz_content"]["subject"] == "a b c d□ 中药"


@pytest.mark.parametrize(
    "request_",
    [payment_request(Scene.NATIVE), payment_request(Scene.PAGE, out_trade_no="a/b")],
    ids=str,
)
def test_it_refuses_what_alipay_would_refuse_before_sending(gateway, request_):
    with pytest.raises(GatewayRejected) as caught:
        gateway.prepare_payment(request_)
    assert caught.value.reason == RejectReason.INVALID


def test_certificate_mode_names_both_certificates(stand_in):
    app, root = certificate_pem("app", 11), certificate_pem("root", 12)
    bundle = (root + certificate_pem("other root", 13)).replace("\n", "\r\n")
    ours = certificate_pem("alipay", 14)
    gateway = alipay_gateway(
        stand_in.url, app_cert=app, root_cert=bundle, alipay_cert=ours, public_key=""
    )
    name = alipay_certificate_sn(load_certificate(ours))
    stand_in.always(alipay_reply(QUERY, TRADE, alipay_cert_sn=name))
    assert gateway.query_payment(NUMBER).state is TradeState.PAID
    fields = stand_in.seen[0].fields
    assert fields["app_cert_sn"] == alipay_certificate_sn(load_certificate(app))
    assert fields["alipay_root_cert_sn"] == alipay_root_sn(bundle)
    assert fields["alipay_root_cert_sn"].count("_") == 1
    require_signed(fields)


# -- querying and closing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "paid", "state", "has_refunds", "is_refundable"),
    [
        ("WAIT_BUYER_PAY", False, TradeState.UNPAID, False, True),
        ("TRADE_SUCCESS", True, TradeState.PAID, False, True),
        ("TRADE_FINISHED", True, TradeState.PAID, False, False),
        ("TRADE_CLOSED", True, TradeState.PAID, True, False),
        ("TRADE_CLOSED", False, TradeState.CLOSED, False, False),
    ],
)
def test_it_reads_the_state_of_a_trade(
    gateway, stand_in, status, paid, state, has_refunds, is_refundable
):
    trade = {**TRADE, "trade_status": status}
    if not paid:
        del trade["send_pay_date"]
    stand_in.always(alipay_reply(QUERY, trade))
    report = gateway.query_payment(NUMBER)
    assert report.state is state
    assert (report.has_refunds, report.is_refundable) == (has_refunds, is_refundable)
    assert report.amount == Decimal("30.00")
    assert report.paid_at == (NOW - timedelta(seconds=2) if paid else None)


def test_a_trade_that_nobody_opened_is_not_found(gateway, stand_in):
    stand_in.always(refusal("ACQ.TRADE_NOT_EXIST"))
    assert gateway.query_payment(NUMBER).state is TradeState.NOT_FOUND


@pytest.mark.parametrize(
    "text", ["a { b", "} } }", 'say \\"{\\" twice', "back\\\\slash }", "http://x/y", "{\\u007d"]
)
def test_braces_quotes_and_slashes_in_strings_lose_no_answer(gateway, stand_in, text):
    node = json.dumps(TRADE, ensure_ascii=False)[:-1] + f', "subject": "{text} 中"}}'
    stand_in.always(alipay_reply(QUERY, node))
    assert gateway.query_payment(NUMBER).state is TradeState.PAID


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (alipay_reply(CLOSE, {"code": "10000", "out_trade_no": NUMBER}), CloseState.CLOSED),
        (refusal("ACQ.TRADE_NOT_EXIST", method=CLOSE), CloseState.NOT_FOUND),
        (refusal("ACQ.TRADE_HAS_CLOSE", method=CLOSE), CloseState.CLOSED),
        (refusal("ACQ.TRADE_HAS_SUCCESS", method=CLOSE), CloseState.ALREADY_PAID),
    ],
    ids=["done", "not exist", "closed", "paid"],
)
def test_closing(gateway, stand_in, reply, state):
    stand_in.always(reply)
    assert gateway.close_payment(NUMBER) is state


@pytest.mark.parametrize(
    ("status", "state"),
    [("TRADE_SUCCESS", CloseState.ALREADY_PAID), ("TRADE_CLOSED", CloseState.CLOSED)],
)
def test_a_wrong_status_at_closing_is_looked_up(gateway, stand_in, status, state):
    trade = {**TRADE, "trade_status": status}
    if status == "TRADE_CLOSED":
        del trade["send_pay_date"]
    replies = {
        CLOSE: refusal("ACQ.TRADE_STATUS_ERROR", method=CLOSE),
        QUERY: alipay_reply(QUERY, trade),
    }
    stand_in.answer = lambda seen: replies[seen.fields["method"]]
    assert gateway.close_payment(NUMBER) is state


# -- refunds ---------------------------------------------------------------------------------------


def refund_replies(stand_in, refunded: dict, queried: dict | Reply) -> None:
    query = queried if isinstance(queried, Reply) else alipay_reply(REFUND_QUERY, queried)
    replies = {REFUND: alipay_reply(REFUND, refunded), REFUND_QUERY: query}
    stand_in.answer = lambda seen: replies[seen.fields["method"]]


QUERIED = {
    "code": "10000",
    "out_trade_no": NUMBER,
    "trade_no": "4200001234",
    "out_request_no": "RFD20261124100500B2",
    "refund_amount": "10.01",
    "refund_status": "REFUND_SUCCESS",
    "gmt_refund_pay": "2026-11-24 09:59:58",
}
NOT_KNOWN = {"code": "10000", "msg": "Success"}


def test_fund_change_y_is_done(gateway, stand_in):
    refund_replies(stand_in, REFUNDED, NOT_KNOWN)
    report = gateway.refund(refund_request())
    assert report.state is RefundState.SUCCESS
    # refund_fee is the total of all refunds of the trade
    assert (report.amount, report.refunded_total) == (None, Decimal("20.02"))
    content = json.loads(stand_in.seen[0].fields["biz_content"])
    assert content == {
        "out_trade_no": NUMBER,
        "trade_no": "4200001234",
        "out_request_no": "RFD20261124100500B2",
        "refund_amount": "10.01",
        "refund_reason": "患者取消",
    }
    assert len(stand_in.seen) == 1


@pytest.mark.parametrize("fund_change", ["N", None])
@pytest.mark.parametrize(
    ("queried", "state"), [(QUERIED, RefundState.SUCCESS), (NOT_KNOWN, RefundState.PROCESSING)]
)
def test_any_other_fund_change_is_looked_up(gateway, stand_in, fund_change, queried, state):
    answer = {name: value for name, value in REFUNDED.items() if name != "fund_change"}
    refund_replies(stand_in, {**answer, **({"fund_change": "N"} if fund_change else {})}, queried)
    assert gateway.refund(refund_request()).state is state


def test_a_refused_look_up_does_not_refuse_the_refund(gateway, stand_in):
    refund_replies(
        stand_in, {**REFUNDED, "fund_change": "N"}, refusal("ACQ.X", method=REFUND_QUERY)
    )
    with pytest.raises(GatewayUnknown):
        gateway.refund(refund_request())


def test_it_queries_a_refund(gateway, stand_in):
    stand_in.always(alipay_reply(REFUND_QUERY, QUERIED))
    report = gateway.query_refund(refund_request())
    assert (report.state, report.amount) == (RefundState.SUCCESS, Decimal("10.01"))
    assert report.completed_at == NOW - timedelta(seconds=2)
    content = json.loads(stand_in.seen[0].fields["biz_content"])
    assert content["query_options"] == ["gmt_refund_pay"]


@pytest.mark.parametrize(
    "reply",
    [alipay_reply(REFUND_QUERY, NOT_KNOWN), refusal("ACQ.TRADE_NOT_EXIST", method=REFUND_QUERY)],
    ids=["no refund_status", "no trade"],
)
def test_a_refund_that_alipay_does_not_know(gateway, stand_in, reply):
    stand_in.always(reply)
    assert gateway.query_refund(refund_request()).state is RefundState.NOT_FOUND


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "sub_code", "reason"),
    [
        ("40004", "ACQ.TRADE_HAS_SUCCESS", RejectReason.ALREADY_PAID),
        ("40004", "ACQ.TRADE_HAS_CLOSE", RejectReason.NUMBER_USED),
        ("40004", "ACQ.CONTEXT_INCONSISTENT", RejectReason.CHANGED_REQUEST),
        ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST", RejectReason.CHANGED_REQUEST),
        ("40004", "ACQ.TRADE_NOT_EXIST", RejectReason.NOT_FOUND),
        ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", RejectReason.SHORT_OF_FUNDS),
        ("40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR", RejectReason.OTHER),
        ("20001", "aop.invalid-auth-token", RejectReason.CONFIGURATION),
        ("40001", "isv.missing-method", RejectReason.CONFIGURATION),
        ("40002", "isv.invalid-app-id", RejectReason.CONFIGURATION),
        ("40005", "isv.call-limited", RejectReason.TOO_SOON),
        ("40006", "isv.insufficient-isv-permissions", RejectReason.CONFIGURATION),
        ("20000", "isp.unknow-error", None),
        ("20000", "aop.ACQ.SYSTEM_ERROR", None),
        ("40004", "ACQ.SYSTEM_ERROR", None),
        ("40004", "ACQ.UNKNOWN_ERROR", None),
        ("10003", "", None),
        ("99999", "", None),
    ],
)
def test_a_signed_refusal(gateway, stand_in, code, sub_code, reason):
    stand_in.always(refusal(sub_code, code, REFUND))
    with pytest.raises(GatewayRejected if reason else GatewayUnknown) as caught:
        gateway.refund(refund_request())
    assert caught.value.code == (sub_code or code)
    assert getattr(caught.value, "reason", None) == reason


def unsigned(name: str, **node: str) -> Reply:
    return Reply(200, json.dumps({name: node}).encode())


def test_an_unsigned_refusal_of_the_signature_is_about_configuration(gateway, stand_in):
    stand_in.always(unsigned("error_response", code="40002", sub_code="isv.invalid-signature"))
    with pytest.raises(GatewayRejected) as caught:
        gateway.refund(refund_request())
    assert caught.value.reason == RejectReason.CONFIGURATION


GOOD = alipay_reply(REFUND, REFUNDED).body
DOUBTS = {
    "unsigned success": unsigned("alipay_trade_refund_response", **REFUNDED),
    "unsigned refusal": unsigned("alipay_trade_refund_response", code="40004", sub_code="ACQ.X"),
    "unsigned system error": unsigned("error_response", code="20000"),
    "another key": alipay_reply(REFUND, REFUNDED, key="app"),
    "tampered": Reply(200, GOOD.replace(b'"Y"', b'"N"')),
    "malformed signature": alipay_reply(REFUND, REFUNDED, sign="***"),
    "signature as number": alipay_reply(REFUND, REFUNDED, sign=5),
    "another node": alipay_reply(QUERY, REFUNDED),
    "another trade": alipay_reply(REFUND, {**REFUNDED, "out_trade_no": "OTHER"}),
    "node twice": Reply(200, GOOD.rstrip()[:-1] + b', "alipay_trade_refund_response":{}}'),
    "text behind": Reply(200, GOOD + b"x"),
    "html": Reply(200, b"<html>busy</html>"),
    "gbk": Reply(200, GOOD.decode().replace("Success", "成功").encode("gbk")),
    "empty": Reply(200, b""),
    "list": Reply(200, b"[]"),
    "depth bomb": Reply(200, b'{"a":' + b"[" * 100_000),
    "half": Reply(200, GOOD[:40]),
    "server error": Reply(500, b""),
    "redirect": Reply(302, b"", {"Location": "http://127.0.0.1:1/"}),
    "cut": Reply(200, GOOD, is_cut=True),
    "hung": Reply(is_hung=True),
}


@pytest.mark.parametrize("doubt", DOUBTS, ids=str)
def test_everything_else_leaves_a_refund_unknown(gateway, stand_in, doubt):
    stand_in.always(DOUBTS[doubt])
    with pytest.raises(GatewayUnknown) as caught:
        gateway.refund(refund_request())
    assert not isinstance(caught.value, GatewayUnavailable)  # it was sent
    assert len(stand_in.seen) == 1


def test_without_a_connection_nothing_was_sent():
    with pytest.raises(GatewayUnavailable):
        alipay_gateway().refund(refund_request())


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "OTHER"},
        {"trade_status": "NEW"},
        {"total_amount": "30.001"},
        {"total_amount": 30},
        {"total_amount": "３０.00"},
        {"send_pay_date": "soon"},
        {"trade_no": None},
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_unknown(gateway, stand_in, changes):
    stand_in.always(alipay_reply(QUERY, {**TRADE, **changes}))
    with pytest.raises(GatewayUnknown):
        gateway.query_payment(NUMBER)


@pytest.mark.parametrize("scene", [Scene.PAGE, Scene.WAP])
def test_another_return_url_is_signed_for_the_same_trade(gateway, scene):
    prepared = gateway.prepare_payment(payment_request(scene))
    other = gateway.with_return_url(prepared, "https://shop.example.com/other")
    led = {"quit_url": "https://shop.example.com/other"} if scene is Scene.WAP else {}
    assert other["biz_content"] == prepared["biz_content"] | led
    address = gateway.create_payment(other).payment_url
    assert dict(parse_qsl(urlsplit(address).query))["return_url"] == (
        "https://shop.example.com/other"
    )
    assert gateway.with_return_url(other, "")["return_url"] == (
        "https://pay.example.com/payment/success"
    )


@pytest.mark.parametrize("scene", [Scene.APP, Scene.QR])
def test_a_scene_without_a_return_takes_none(gateway, scene):
    prepared = gateway.prepare_payment(payment_request(scene))
    assert gateway.with_return_url(prepared, "https://shop.example.com/other") == prepared


def test_where_a_wap_payer_is_led_is_in_what_is_sent_and_not_in_what_is_kept(gateway):
    link = "https://shop.example.com/pay/secret"
    prepared = gateway.prepare_payment(payment_request(Scene.WAP, return_url=link))
    assert prepared["biz_content"]["quit_url"] == link
    kept = gateway.with_return_url(prepared, "")
    assert link not in json.dumps(kept)
    assert gateway.with_return_url(kept, link) == prepared
