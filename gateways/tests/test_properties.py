"""What must hold for any input whatever."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateways.alipay.wire import top_level_texts
from gateways.errors import GatewayUntrusted
from gateways.interface import GATEWAY_METHODS, CallbackRequest, Scene
from gateways.mock import MockGateway
from gateways.tests.kit import (
    FORM,
    NOW,
    PUBLIC_KEY_ID,
    TIMESTAMP,
    alipay_body,
    alipay_fields,
    alipay_gateway,
    payment_request,
    wechat_gateway,
    wechat_headers,
    wechat_notification,
    wechat_trade,
)
from gateways.texts import Malformed, canonical_json, plain_text, read_yuan, yuan_text
from gateways.wechat.wire import decrypt_resource

quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def gateways_under_test():
    return {
        "wechat": wechat_gateway(),
        "alipay": alipay_gateway(),
        "mock wechat": MockGateway(GATEWAY_METHODS[0]),
    }


@pytest.fixture(scope="module")
def gateways():
    return gateways_under_test()


def judge(gateway, request) -> None:
    try:
        gateway.parse_callback(request)
    except GatewayUntrusted:
        return


header_names = st.sampled_from(
    [f"Wechatpay-{name}" for name in ("Timestamp", "Nonce", "Serial", "Signature")]
    + ["Wechatpay-Signature-Type", "Other"]
)
header_values = st.text(max_size=40) | st.sampled_from(
    [TIMESTAMP, PUBLIC_KEY_ID, "WECHATPAY2-SHA256-RSA2048", "AAAA"]
)


@quickly
@given(
    headers=st.dictionaries(header_names, header_values),
    body=st.binary(max_size=300),
    content_type=st.text(max_size=40) | st.just(FORM),
    seconds=st.integers(-(10**8), 10**8),
)
def test_any_callback_is_refused_and_never_an_error(gateways, headers, body, content_type, seconds):
    request = CallbackRequest(headers, body, content_type, NOW + timedelta(seconds=seconds))
    for gateway in gateways.values():
        judge(gateway, request)


@quickly
@given(
    resource=st.dictionaries(st.sampled_from(list(wechat_trade())), json_values), extra=json_values
)
def test_any_signed_content_of_wechat_is_understood_or_refused(gateways, resource, extra):
    """As if WeChat's key had signed nonsense: still no exception but the one."""
    for event in ("TRANSACTION.SUCCESS", "REFUND.SUCCESS"):
        content = {**wechat_trade(), **resource}
        for body in (
            wechat_notification(content, event=event),
            wechat_notification(content, event=event, resource=extra),
        ):
            request = CallbackRequest(wechat_headers(body), body, "application/json", NOW)
            judge(gateways["wechat"], request)


encodable = st.text(st.characters(codec="utf-8"), max_size=30)


@quickly
@given(
    changes=st.dictionaries(
        st.sampled_from([*alipay_fields(), "refund_fee", "gmt_refund", "out_biz_no"]),
        encodable,
        max_size=4,
    )
)
def test_any_signed_content_of_alipay_is_understood_or_refused(gateways, changes):
    body = alipay_body(alipay_fields(**changes))
    judge(gateways["alipay"], CallbackRequest({}, body, FORM, NOW))


@quickly
@given(st.integers(1, 9_999_999_999))
def test_fen_survive_the_way_to_wechat(gateways, fen):
    yuan = Decimal(fen) / 100
    request = payment_request(Scene.NATIVE, amount=yuan)
    body = gateways["wechat"].prepare_payment(request)["body"]
    assert body["amount"]["total"] == fen
    assert type(body["amount"]["total"]) is int


@quickly
@given(st.integers(0, 9_999_999_999))
def test_yuan_survive_as_text(fen):
    yuan = (Decimal(fen) / 100).quantize(Decimal("0.01"))
    assert read_yuan(yuan_text(yuan)) == yuan


@quickly
@given(st.text())
def test_only_plain_digits_are_yuan(text):
    try:
        amount = read_yuan(text)
    except Malformed:
        return
    assert text.isascii()
    assert amount == Decimal(text) >= 0


@quickly
@given(st.text(max_size=300), st.integers(1, 90))
def test_text_can_always_be_sent(text, bytes_max):
    plain = plain_text(text, characters_max=127, bytes_max=bytes_max)
    assert len(plain) <= 127
    assert len(plain.encode()) <= bytes_max
    assert all(
        (ord(character) <= 0xFFFF and character.isprintable()) or ord(character) > 0x7F
        for character in plain
    )


@quickly
@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_the_signed_part_of_any_answer_is_cut_out_exactly(members):
    try:
        texts = top_level_texts(canonical_json(members))
    except Malformed:
        assert not members
        return
    assert texts == {name: canonical_json(value) for name, value in members.items()}


@quickly
@given(st.text(max_size=200))
def test_the_scanner_only_ever_says_malformed(text):
    with suppress(Malformed):
        top_level_texts(text)


@quickly
@given(st.dictionaries(st.sampled_from(["nonce", "ciphertext", "associated_data"]), json_values))
def test_decryption_only_ever_says_malformed(resource):
    with pytest.raises(Malformed):
        decrypt_resource(resource, "k" * 32)
