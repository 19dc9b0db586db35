"""WeChat Pay over HTTP, against a small server that signs as WeChat Pay does."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from gateways.breaker import Breaker, CallLimiter
from gateways.errors import (
    GatewayRejected,
    GatewayUnavailable,
    GatewayUnknown,
    RejectReason,
)
from gateways.interface import CloseState, RefundState, Scene, TradeState
from gateways.tests.kit import (
    HEX_PLATFORM_SERIAL,
    MCH_ID,
    NOW,
    PUBLIC_KEY_ID,
    TIMESTAMP,
    WX_APP_ID,
    Reply,
    is_signed,
    now_seconds,
    payment_request,
    quick_transport,
    refund_request,
    wechat_error,
    wechat_gateway,
    wechat_headers,
    wechat_reply,
    wechat_trade,
    wechat_values,
)
from gateways.wechat.configuration import WechatConfig
from gateways.wechat.gateway import WechatGateway

NUMBER = "ORD20261124100000A1"
REFUND = {
    "refund_id": "50000000382019052709732678859",
    "out_refund_no": "RFD20261124100500B2",
    "transaction_id": "4200001234",
    "out_trade_no": NUMBER,
    "status": "PROCESSING",
    "amount": {"refund": 1001, "total": 3000, "currency": "CNY"},
}


@pytest.fixture
def gateway(stand_in):
    return wechat_gateway(stand_in.url)


def require_authorization(seen) -> None:
    header = seen.headers["authorization"]
    fields = dict(re.findall(r'(\w+)="([^"]*)"', header))
    assert header.startswith("WECHATPAY2-SHA256-RSA2048 ")
    assert fields["mchid"] == MCH_ID
    lines = (seen.verb, seen.target, fields["timestamp"], fields["nonce_str"], seen.body.decode())
    text = "".join(f"{line}\n" for line in lines)
    assert is_signed("merchant", text.encode(), fields["signature"])


# -- creating --------------------------------------------------------------------------------------


def test_it_registers_a_native_payment(gateway, stand_in):
    stand_in.always(wechat_reply({"code_url": "weixin://wxpay/bizpayurl?pr=abc"}))
    start = gateway.create_payment(gateway.prepare_payment(payment_request(Scene.NATIVE)))
    assert start.qr_code == "weixin://wxpay/bizpayurl?pr=abc"
    (seen,) = stand_in.seen
    require_authorization(seen)
    assert seen.target == "/v3/pay/transactions/native"
    assert seen.headers["wechatpay-serial"] == PUBLIC_KEY_ID
    assert seen.json == {
        "appid": WX_APP_ID,
        "mchid": MCH_ID,
        "description": "挂号费",
        "out_trade_no": NUMBER,
        "time_expire": "2026-11-24T12:00:00+08:00",
        "notify_url": "https://pay.example.com/payment/callback/wechat",
        "amount": {"total": 3000, "currency": "CNY"},
    }


def test_a_repetition_sends_the_same_bytes_whatever_order_the_database_gave(gateway, stand_in):
    stand_in.always(wechat_reply({"code_url": "weixin://x"}))
    prepared = gateway.prepare_payment(payment_request(Scene.NATIVE))
    reordered = {name: prepared[name] for name in sorted(prepared, reverse=True)}
    reordered["body"] = dict(reversed(prepared["body"].items()))
    gateway.create_payment(prepared)
    gateway.create_payment(reordered)
    assert stand_in.seen[0].body == stand_in.seen[1].body


@pytest.mark.parametrize(
    ("scene", "path", "last_line", "signature", "names"),
    [
        (
            Scene.JSAPI,
            "jsapi",
            "prepay_id=wx24abc",
            "paySign",
            {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"},
        ),
        (
            Scene.MINI_PROGRAM,
            "jsapi",
            "prepay_id=wx24abc",
            "paySign",
            {"timeStamp", "nonceStr", "package", "signType", "paySign"},
        ),
        (
            Scene.APP,
            "app",
            "wx24abc",
            "sign",
            {"appid", "partnerid", "prepayid", "package", "noncestr", "timestamp", "sign"},
        ),
    ],
)
def test_it_signs_for_the_payers_app(gateway, stand_in, scene, path, last_line, signature, names):
    stand_in.always(wechat_reply({"prepay_id": "wx24abc"}))
    start = gateway.create_payment(gateway.prepare_payment(payment_request(scene)))
    fields = start.prepay_data
    assert stand_in.seen[0].target == f"/v3/pay/transactions/{path}"
    assert set(fields) == names
    assert start.prepay_id == "wx24abc"
    nonce = fields.get("nonceStr") or fields["noncestr"]
    text = f"{WX_APP_ID}\n{TIMESTAMP}\n{nonce}\n{last_line}\n"
    assert is_signed("merchant", text.encode(), fields[signature])


def test_jsapi_names_the_payer(gateway, stand_in):
    prepared = gateway.prepare_payment(payment_request(Scene.JSAPI))
    assert prepared["body"]["payer"] == {"openid": "oUpF8uMuAJO"}


def test_h5_returns_the_payer(gateway, stand_in):
    stand_in.always(wechat_reply({"h5_url": "https://wx.tenpay.com/c?prepay_id=1"}))
    prepared = gateway.prepare_payment(payment_request(Scene.H5))
    assert prepared["body"]["scene_info"]["payer_client_ip"] == "203.0.113.7"
    assert gateway.create_payment(prepared).payment_url == (
        "https://wx.tenpay.com/c?prepay_id=1"
        "&redirect_url=https%3A%2F%2Fshop.example.com%2Fback%3Fa%3D1%26b%3D2"
    )


@pytest.mark.parametrize(
    "request_",
    [
        payment_request(Scene.JSAPI, openid=""),
        payment_request(Scene.MINI_PROGRAM, openid=""),
        payment_request(Scene.H5, client_ip="not an address"),
        payment_request(Scene.PAGE),
        payment_request(Scene.NATIVE, out_trade_no="A|B|C|D"),
        payment_request(Scene.NATIVE, out_trade_no="订单编号一二三"),
        payment_request(Scene.NATIVE, out_trade_no="short"),
        payment_request(Scene.NATIVE, out_trade_no="X" * 33),
        payment_request(Scene.NATIVE, out_trade_no="ORD1234567\n"),
    ],
    ids=str,
)
def test_it_refuses_what_wechat_would_refuse_before_sending(gateway, stand_in, request_):
    with pytest.raises(GatewayRejected) as caught:
        gateway.prepare_payment(request_)
    assert caught.value.reason == RejectReason.INVALID
    assert not stand_in.seen


@pytest.mark.parametrize(
    ("description", "sent"),
    [
        ("𠮷先生的🌿药", "□先生的□药"),
        ("a\x00b\u202ec\r\nd\ud800", "a b c d"),
        ("中" * 200, "中" * 127),
        ("\u200b\x07", NUMBER),
    ],
)
def test_text_is_limited_to_what_wechat_accepts(gateway, description, sent):
    prepared = gateway.prepare_payment(payment_request(Scene.NATIVE, description=description))
    assert prepared["body"]["description"] == sent


@pytest.mark.parametrize("fen", [1, 10, 99, 100, 101, 110, 3000, 123456789, 9_999_999_999])
def test_yuan_and_fen_are_exact_both_ways(gateway, stand_in, fen):
    yuan = Decimal(fen).scaleb(-2)
    body = gateway.prepare_payment(payment_request(Scene.NATIVE, amount=yuan))["body"]
    assert body["amount"]["total"] == fen
    stand_in.always(wechat_reply(wechat_trade(amount={"total": fen, "currency": "CNY"})))
    report = gateway.query_payment(NUMBER)
    assert report.amount == yuan
    assert f"{report.amount}" == f"{fen // 100}.{fen % 100:02d}"


def test_certificate_mode_needs_no_network_to_begin_and_names_no_key(stand_in):
    gateway = wechat_gateway(stand_in.url, public_key="", public_key_id="")
    assert not stand_in.seen
    stand_in.always(wechat_reply(wechat_trade(), key="platform", serial=HEX_PLATFORM_SERIAL))
    assert gateway.query_payment(NUMBER).state is TradeState.PAID
    assert "wechatpay-serial" not in stand_in.seen[0].headers


# -- querying and closing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state", "has_refunds"),
    [
        ("SUCCESS", TradeState.PAID, False),
        ("REFUND", TradeState.PAID, True),
        ("NOTPAY", TradeState.UNPAID, False),
        ("USERPAYING", TradeState.UNPAID, False),
        ("PAYERROR", TradeState.UNPAID, False),
        ("CLOSED", TradeState.CLOSED, False),
        ("REVOKED", TradeState.CLOSED, False),
    ],
)
def test_it_reads_the_state_of_a_trade(gateway, stand_in, name, state, has_refunds):
    stand_in.always(wechat_reply(wechat_trade(trade_state=name)))
    report = gateway.query_payment(NUMBER)
    assert (report.state, report.has_refunds) == (state, has_refunds)
    assert report.transaction_id == "4200001234"
    assert report.amount == Decimal("30.00")
    assert report.paid_at == NOW - timedelta(seconds=2)
    assert (report.app_id, report.merchant_id) == (WX_APP_ID, MCH_ID)
    require_authorization(stand_in.seen[0])
    assert stand_in.seen[0].target.endswith(f"/out-trade-no/{NUMBER}?mchid={MCH_ID}")


def test_an_unpaid_trade_has_no_transaction_yet(gateway, stand_in):
    trade = wechat_trade(trade_state="NOTPAY", transaction_id=None, success_time=None, amount=None)
    stand_in.always(wechat_reply(trade))
    report = gateway.query_payment(NUMBER)
    assert (report.state, report.amount, report.paid_at) == (TradeState.UNPAID, None, None)


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"])
def test_an_unknown_number_is_not_found(gateway, stand_in, code):
    stand_in.always(wechat_error(404, code))
    assert gateway.query_payment(NUMBER).state is TradeState.NOT_FOUND


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "ORD20261124100000ZZ"},
        {"mchid": "1900000999"},
        {"appid": "wxffffffffffffffff"},
        {"trade_state": "SOMETHING_NEW"},
        {"trade_state": None},
        {"transaction_id": None},
        {"amount": None},
        {"amount": {"total": "3000"}},
        {"amount": {"total": 30.0}},
        {"amount": {"total": True}},
        {"amount": {"total": -1}},
        {"amount": {"total": 10**4000}},
        {"amount": [3000]},
        {"success_time": "yesterday"},
    ],
    ids=str,
)
def test_an_answer_about_something_else_is_unknown(gateway, stand_in, changes):
    stand_in.always(wechat_reply(wechat_trade(**changes)))
    with pytest.raises(GatewayUnknown):
        gateway.query_payment(NUMBER)


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (wechat_reply(None, status=204), CloseState.CLOSED),
        (wechat_error(400, "ORDERPAID"), CloseState.ALREADY_PAID),
        (wechat_error(400, "ORDER_PAID"), CloseState.ALREADY_PAID),
        (wechat_error(400, "ORDER_CLOSED"), CloseState.CLOSED),
        (wechat_error(404, "ORDERNOTEXIST"), CloseState.NOT_FOUND),
    ],
    ids=["204", "ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "ORDERNOTEXIST"],
)
def test_closing(gateway, stand_in, reply, state):
    stand_in.always(reply)
    assert gateway.close_payment(NUMBER) is state
    assert stand_in.seen[0].json == {"mchid": MCH_ID}


# -- refunds ---------------------------------------------------------------------------------------


def test_it_asks_for_a_refund(gateway, stand_in):
    stand_in.always(wechat_reply(REFUND))
    report = gateway.refund(refund_request())
    assert report.state is RefundState.PROCESSING
    assert (report.refund_id, report.amount) == (REFUND["refund_id"], Decimal("10.01"))
    assert stand_in.seen[0].json == {
        "notify_url": "https://pay.example.com/payment/callback/wechat",
        "out_refund_no": "RFD20261124100500B2",
        "amount": {"refund": 1001, "total": 3000, "currency": "CNY"},
        "transaction_id": "4200001234",
        "reason": "患者取消",
    }


def test_a_long_reason_is_cut_at_80_bytes(gateway, stand_in):
    stand_in.always(wechat_reply(REFUND))
    gateway.refund(refund_request(reason="退" * 100))
    assert stand_in.seen[0].json["reason"] == "退" * 26


@pytest.mark.parametrize("state", list(RefundState)[1:])
def test_it_queries_a_refund(gateway, stand_in, state):
    stand_in.always(wechat_reply({**REFUND, "status": state.name}))
    assert gateway.query_refund(refund_request()).state is state
    assert stand_in.seen[0].target == "/v3/refund/domestic/refunds/RFD20261124100500B2"


def test_an_unknown_refund_is_not_found(gateway, stand_in):
    stand_in.always(wechat_error(404, "RESOURCE_NOT_EXISTS"))
    assert gateway.query_refund(refund_request()).state is RefundState.NOT_FOUND


def test_a_refund_of_a_fresh_order_that_is_not_found_is_only_too_soon(gateway, stand_in):
    stand_in.always(wechat_error(404, "RESOURCE_NOT_EXISTS", "订单不存在"))
    with pytest.raises(GatewayRejected) as caught:
        gateway.refund(refund_request())
    assert caught.value.reason == RejectReason.TOO_SOON


def test_an_answer_about_another_refund_is_unknown(gateway, stand_in):
    stand_in.always(wechat_reply({**REFUND, "out_refund_no": "RFD_OTHER"}))
    with pytest.raises(GatewayUnknown):
        gateway.refund(refund_request())


# -- errors ----------------------------------------------------------------------------------------

DETAIL_CHANGED, DETAIL_PAID = "08F7-268498688", "08F7-268449538"


@pytest.mark.parametrize(
    ("status", "code", "message", "request_id", "reason"),
    [
        (400, "PARAM_ERROR", "", "", RejectReason.INVALID),
        (400, "INVALID_REQUEST", "", "", RejectReason.INVALID),
        (400, "INVALID_REQUEST", "201 商户订单号重复", "", RejectReason.NUMBER_USED),
        (400, "INVALID_REQUEST", "", DETAIL_CHANGED, RejectReason.CHANGED_REQUEST),
        (400, "INVALID_REQUEST", "", DETAIL_PAID, RejectReason.ALREADY_PAID),
        (400, "APPID_MCHID_NOT_MATCH", "", "", RejectReason.CONFIGURATION),
        (400, "MCH_NOT_EXISTS", "", "", RejectReason.CONFIGURATION),
        (400, "ORDER_CLOSED", "", "", RejectReason.NUMBER_USED),
        (400, "ORDERPAID", "", "", RejectReason.ALREADY_PAID),
        (401, "SIGN_ERROR", "", "", RejectReason.CONFIGURATION),
        (403, "NO_AUTH", "", "", RejectReason.CONFIGURATION),
        (403, "RULE_LIMIT", "", "", RejectReason.OTHER),
        (403, "TRADE_ERROR", "", "", RejectReason.OTHER),
        (403, "ACCOUNT_ERROR", "", "", RejectReason.OTHER),
        (403, "NOT_ENOUGH", "", "", RejectReason.SHORT_OF_FUNDS),
        (403, "NOTENOUGH", "", "", RejectReason.SHORT_OF_FUNDS),
        (403, "OUT_TRADE_NO_USED", "", "", RejectReason.NUMBER_USED),
        (429, "FREQUENCY_LIMITED", "", "", RejectReason.TOO_SOON),
        (429, "RATELIMIT_EXCEEDED", "", "", RejectReason.TOO_SOON),
        (429, "SOMETHING_NEW", "", "", RejectReason.TOO_SOON),
        (500, "OPENID_MISMATCH", "", "", RejectReason.INVALID),
    ],
)
def test_a_definite_no(gateway, stand_in, status, code, message, request_id, reason):
    stand_in.always(wechat_error(status, code, message, request_id))
    with pytest.raises(GatewayRejected) as caught:
        gateway.create_payment(gateway.prepare_payment(payment_request(Scene.NATIVE)))
    assert (caught.value.code, caught.value.reason) == (code, reason)


REFUND_BODY = wechat_reply(REFUND).body
DOUBTS = {
    "system error": wechat_error(500, "SYSTEM_ERROR"),
    "system error, old spelling": wechat_error(500, "SYSTEMERROR"),
    "bank error": wechat_error(500, "BANK_ERROR"),
    "unavailable": Reply(503, b"<html>busy</html>"),
    "a proxy's page": Reply(404, b"<html>not found</html>"),
    "a proxy's login": Reply(302, b"", {"Location": "http://127.0.0.1:1/"}),
    "error without code": Reply(400, b'{"message": "x"}'),
    "accepted, not done": wechat_reply(REFUND, status=202),
    "unsigned": Reply(200, REFUND_BODY),
    "signed by another key": wechat_reply(REFUND, key="merchant"),
    "unknown serial": wechat_reply(REFUND, serial="PUB_KEY_ID_OTHER"),
    "stale": wechat_reply(REFUND, timestamp=str(int(TIMESTAMP) - 301)),
    "from the future": wechat_reply(REFUND, timestamp=str(int(TIMESTAMP) + 301)),
    "signature probe": wechat_reply(REFUND, Signature="WECHATPAY/SIGNTEST/abc"),
    "signature of another body": Reply(200, REFUND_BODY, wechat_headers(b"{}")),
    "garbage": Reply(200, b"\xff\xfe{", wechat_headers(b"\xff\xfe{")),
    "signed list": wechat_reply([1]),
    "cut": Reply(200, REFUND_BODY, wechat_headers(REFUND_BODY), is_cut=True),
    "hung": Reply(is_hung=True),
    "endless": Reply(200, b"x" * (1 << 20) + b"x"),
}


@pytest.mark.parametrize("doubt", DOUBTS, ids=str)
def test_everything_else_leaves_a_refund_unknown(gateway, stand_in, doubt):
    stand_in.always(DOUBTS[doubt])
    with pytest.raises(GatewayUnknown) as caught:
        gateway.refund(refund_request())
    assert not isinstance(caught.value, GatewayUnavailable)  # it was sent
    assert len(stand_in.seen) == 1  # no retry, no redirect, no call for certificates


def test_an_answer_299_seconds_old_is_fresh(gateway, stand_in):
    stand_in.always(wechat_reply(REFUND, timestamp=str(int(TIMESTAMP) - 299)))
    assert gateway.refund(refund_request()).state is RefundState.PROCESSING


def test_without_a_connection_nothing_was_sent():
    with pytest.raises(GatewayUnavailable):
        wechat_gateway("http://127.0.0.1:9").refund(refund_request())


def test_a_dead_gateway_opens_the_circuit_and_a_good_answer_closes_it(stand_in):
    clock = [0.0]
    limiter = CallLimiter(breaker=Breaker(failures_max=2, open_seconds=20, clock=lambda: clock[0]))
    config = WechatConfig.from_values(wechat_values(), base_url=stand_in.url)
    gateway = WechatGateway(config, limiter=limiter, transport=quick_transport(), clock=now_seconds)
    stand_in.always(Reply(503))
    for _ in range(2):
        with pytest.raises(GatewayUnknown):
            gateway.query_payment(NUMBER)
    with pytest.raises(GatewayUnavailable):
        gateway.query_payment(NUMBER)
    assert len(stand_in.seen) == 2
    clock[0] = 20.0
    stand_in.always(wechat_reply(wechat_trade()))
    assert gateway.query_payment(NUMBER).state is TradeState.PAID
    assert gateway.query_payment(NUMBER).state is TradeState.PAID


def test_proxies_of_the_environment_are_not_used(gateway, stand_in, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    stand_in.always(wechat_reply(wechat_trade()))
    assert gateway.query_payment(NUMBER).state is TradeState.PAID


def test_connections_are_kept(gateway, stand_in):
    stand_in.always(wechat_reply(wechat_trade()))
    for _ in range(3):
        gateway.query_payment(NUMBER)
    assert len({seen.port for seen in stand_in.seen}) == 1


def test_the_merchants_secrets_are_not_shown():
    text = repr(WechatConfig.from_values(wechat_values()))
    assert "k" * 32 not in text
    assert "RSAPrivateKey" not in text


def test_another_return_url_changes_the_address_and_nothing_of_the_request(stand_in, gateway):
    stand_in.always(wechat_reply({"h5_url": "https://wx.tenpay.com/c?prepay_id=1"}))
    prepared = gateway.prepare_payment(payment_request(Scene.H5))
    first = gateway.create_payment(prepared)
    other = gateway.create_payment(
        gateway.with_return_url(prepared, "https://shop.example.com/other")
    )
    assert stand_in.seen[0].body == stand_in.seen[1].body
    assert first.payment_url != other.payment_url
    assert other.payment_url.endswith("redirect_url=https%3A%2F%2Fshop.example.com%2Fother")
