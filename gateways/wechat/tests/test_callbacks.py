"""WeChat Pay's notifications: what is believed, and what is refused without asking anybody."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gateways.errors import GatewayUntrusted
from gateways.interface import RefundState, TradeState
from gateways.tests.kit import (
    HEX_PLATFORM_SERIAL,
    MCH_ID,
    NOW,
    TIMESTAMP,
    WX_APP_ID,
    wechat_callback,
    wechat_gateway,
    wechat_headers,
    wechat_notification,
    wechat_trade,
)

REFUND = {
    "mchid": MCH_ID,
    "out_trade_no": "ORD20261124100000A1",
    "transaction_id": "4200001234",
    "out_refund_no": "RFD20261124100500B2",
    "refund_id": "5000001",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-24T09:59:58+08:00",
    "amount": {"total": 3000, "refund": 1001, "payer_total": 3000, "payer_refund": 1001},
}
BODY = wechat_notification(wechat_trade())


@pytest.fixture
def gateway(stand_in):
    """Its gateway must never be asked while a callback is judged."""
    yield wechat_gateway(stand_in.url)
    assert not stand_in.seen


def test_a_payment(gateway):
    notice = gateway.parse_callback(wechat_callback(BODY))
    assert (notice.notice_id, notice.event) == ("EV-1", "TRANSACTION.SUCCESS")
    assert notice.refund is None
    trade = notice.trade
    assert (trade.out_trade_no, trade.state) == ("ORD20261124100000A1", TradeState.PAID)
    assert (trade.amount, trade.currency) == (Decimal("30.00"), "CNY")
    assert (trade.app_id, trade.merchant_id) == (WX_APP_ID, MCH_ID)


@pytest.mark.parametrize("state", ["SUCCESS", "CLOSED", "ABNORMAL"])
def test_a_refund(gateway, state):
    body = wechat_notification({**REFUND, "refund_status": state}, event=f"REFUND.{state}")
    notice = gateway.parse_callback(wechat_callback(body))
    assert notice.trade is None
    assert notice.refund.state is RefundState[state]
    assert notice.refund.amount == Decimal("10.01")
    assert notice.refund.merchant_id == MCH_ID


def test_the_notice_of_an_echo_names_no_merchant(gateway):
    body = wechat_notification({"echo_message": "x"}, event="SECURITY_ECHO.SUCCESS")
    notice = gateway.parse_callback(wechat_callback(body))
    assert (notice.event, notice.echo_message) == ("SECURITY_ECHO.SUCCESS", "x")
    assert (notice.trade, notice.refund) == (None, None)


def test_an_event_that_we_do_not_know_is_neither(gateway):
    body = wechat_notification({"mchid": MCH_ID}, event="PAYSCORE.USER_OPEN_SERVICE")
    notice = gateway.parse_callback(wechat_callback(body))
    assert (notice.trade, notice.refund) == (None, None)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_it_is_fresh_for_five_minutes(gateway, seconds):
    received_at = NOW + timedelta(seconds=seconds)
    assert gateway.parse_callback(wechat_callback(BODY, received_at=received_at)).trade


def test_both_kinds_of_keys_verify_during_a_migration(gateway):
    headers = wechat_headers(BODY, key="platform", serial=HEX_PLATFORM_SERIAL)
    assert gateway.parse_callback(wechat_callback(BODY, headers)).trade
    assert gateway.parse_callback(wechat_callback(BODY)).trade


def test_header_names_come_in_any_case(gateway):
    for spell in (str.lower, str.upper):
        headers = {spell(name): value for name, value in wechat_headers(BODY).items()}
        assert gateway.parse_callback(wechat_callback(BODY, headers)).trade


def test_a_missing_signature_type_is_the_usual_one(gateway):
    headers = wechat_headers(BODY, Signature_Type=None)
    assert gateway.parse_callback(wechat_callback(BODY, headers)).trade


def signed(body: bytes):
    return wechat_callback(body)


def with_headers(**changes):
    return wechat_callback(BODY, wechat_headers(BODY, **changes))


GOOD_SIGNATURE = wechat_headers(BODY)["Wechatpay-Signature"]
WRONGS = {
    "no signature": (with_headers(Signature=None), "BAD_SIGNATURE"),
    "no timestamp": (with_headers(Timestamp=None), "STALE"),
    "no nonce": (with_headers(Nonce=None), "BAD_SIGNATURE"),
    "no serial": (with_headers(Serial=None), "UNKNOWN_SERIAL"),
    "no headers": (wechat_callback(BODY, {}), "UNKNOWN_SERIAL"),
    "unknown serial": (with_headers(Serial="1DDE55AD98ED71D6"), "UNKNOWN_SERIAL"),
    "serial that is no number": (with_headers(Serial="ß\x00../etc"), "UNKNOWN_SERIAL"),
    "the other key's serial": (with_headers(Serial=HEX_PLATFORM_SERIAL), "BAD_SIGNATURE"),
    "another key": (with_headers(key="merchant"), "BAD_SIGNATURE"),
    "another nonce": (with_headers(Nonce="other"), "BAD_SIGNATURE"),
    "another timestamp": (with_headers(Timestamp=str(int(TIMESTAMP) + 1)), "BAD_SIGNATURE"),
    "stale": (with_headers(timestamp=str(int(TIMESTAMP) - 301)), "STALE"),
    "future": (with_headers(timestamp=str(int(TIMESTAMP) + 301)), "STALE"),
    "timestamp in words": (with_headers(timestamp="now"), "STALE"),
    "full-width timestamp": (with_headers(Timestamp="１７９５４８５６００"), "STALE"),
    "endless timestamp": (with_headers(Timestamp="9" * 5000), "STALE"),
    "signature probe": (with_headers(Signature="WECHATPAY/SIGNTEST/" + GOOD_SIGNATURE), "SIGNTEST"),
    "downgraded type": (with_headers(Signature_Type="WECHATPAY2-HMAC"), "SIGNATURE_TYPE"),
    "malformed base64": (with_headers(Signature="***"), "BAD_SIGNATURE"),
    "junk in base64": (with_headers(Signature="!" + GOOD_SIGNATURE), "BAD_SIGNATURE"),
    "signature not ASCII": (with_headers(Signature="签名"), "BAD_SIGNATURE"),
    "tampered body": (wechat_callback(BODY + b" ", wechat_headers(BODY)), "BAD_SIGNATURE"),
    "empty body": (wechat_callback(b"", wechat_headers(BODY)), "BAD_SIGNATURE"),
    "not JSON": (signed(b"{"), "MALFORMED"),
    "not an object": (signed(b"[]"), "MALFORMED"),
    "gbk": (signed('{"summary": "支付"}'.encode("gbk")), "MALFORMED"),
    "duplicate names": (signed(b'{"id": "1", "id": "2"}'), "MALFORMED"),
    "depth bomb": (signed(b"[" * 200_000), "MALFORMED"),
    "no resource": (signed(wechat_notification({}, resource=None)), "MALFORMED"),
    "resource as text": (signed(wechat_notification({}, resource="x")), "MALFORMED"),
    "wrong resource_type": (
        signed(wechat_notification(wechat_trade(), resource_type="plain")),
        "MALFORMED",
    ),
    "wrong algorithm": (
        signed(wechat_notification(wechat_trade(), algorithm="AEAD_SM4_GCM")),
        "MALFORMED",
    ),
    "wrong AAD": (signed(wechat_notification(wechat_trade(), aad="refund")), "MALFORMED"),
    "wrong APIv3 key": (
        signed(wechat_notification(wechat_trade(), api_v3_key="x" * 32)),
        "MALFORMED",
    ),
    "tampered ciphertext": (
        signed(wechat_notification(wechat_trade(), ciphertext="AAAA")),
        "MALFORMED",
    ),
    "ciphertext not base64": (
        signed(wechat_notification(wechat_trade(), ciphertext="中文")),
        "MALFORMED",
    ),
    "short nonce": (signed(wechat_notification(wechat_trade(), nonce="a")), "MALFORMED"),
    "nonce as number": (signed(wechat_notification(wechat_trade(), nonce=1)), "MALFORMED"),
    "resource not JSON": (signed(wechat_notification(b"\xff")), "MALFORMED"),
    "foreign merchant": (signed(wechat_notification(wechat_trade(mchid="1900000999"))), "FOREIGN"),
    "foreign application": (signed(wechat_notification(wechat_trade(appid="wx9"))), "FOREIGN"),
    "no merchant": (signed(wechat_notification(wechat_trade(mchid=None))), "FOREIGN"),
    "no application": (signed(wechat_notification(wechat_trade(appid=None))), "MALFORMED"),
    "refund of a foreign merchant": (
        signed(wechat_notification({**REFUND, "mchid": "1"}, event="REFUND.SUCCESS")),
        "FOREIGN",
    ),
    "no amount": (signed(wechat_notification(wechat_trade(amount=None))), "MALFORMED"),
    "amount as text": (
        signed(wechat_notification(wechat_trade(amount={"total": "3000"}))),
        "MALFORMED",
    ),
    "unknown state": (signed(wechat_notification(wechat_trade(trade_state="X"))), "MALFORMED"),
    "no number": (signed(wechat_notification(wechat_trade(out_trade_no=None))), "MALFORMED"),
}


@pytest.mark.parametrize("wrong", WRONGS, ids=str)
def test_it_refuses(gateway, wrong):
    request, code = WRONGS[wrong]
    with pytest.raises(GatewayUntrusted) as caught:
        gateway.parse_callback(request)
    assert caught.value.code == code


def test_answers(gateway):
    handled = gateway.answer_callback(is_handled=True)
    assert (handled.status, handled.body) == (200, '{"code": "SUCCESS", "message": "成功"}')
    refused = gateway.answer_callback(is_handled=False, message="签名错误", status=401)
    assert (refused.status, refused.body) == (401, '{"code": "FAIL", "message": "签名错误"}')
    assert gateway.answer_callback(is_handled=False).status == 500
