"""The official test vectors of WeChat Pay, through our own code."""

import io
import json
from unittest import mock

import pytest

from gateways import keys
from gateways.errors import GatewayUntrusted
from gateways.interface import BillRefused
from gateways.registry import open_bill
from gateways.tests.kit import is_signed, private_key, wechat_values
from gateways.tests.vectors import each, resource_of
from gateways.texts import Malformed
from gateways.wechat.configuration import WechatConfig
from gateways.wechat.wire import (
    WechatApi,
    client_signature,
    decrypt_resource,
    signed_text,
    verify_message,
)


@each("rsa-sha256-verify")
def test_signature(vector):
    if "certificate" in vector:
        public_key = keys.load_rsa_certificate(vector["certificate"])[1]
    else:
        public_key = keys.load_public_key(vector["public_key"])
    signed = keys.is_signed_by(public_key, vector["message"].encode(), vector["signature"])
    assert signed is vector["valid"]


@each("aes-gcm")
def test_ciphertext(vector):
    resource = resource_of(vector)
    assert decrypt_resource(resource, vector["key"]) == vector["plaintext"]
    with pytest.raises(Malformed):
        decrypt_resource({**resource, "associated_data": "other"}, vector["key"])


@each("aes-gcm-certificate")
def test_encrypted_certificate(vector):
    certificate = keys.load_certificate(decrypt_resource(resource_of(vector), vector["key"]))
    assert keys.certificate_serial(certificate) == vector["serial_no"]


@each("wx-request-message")
def test_request_text(vector):
    """The SDK does not show the text that it signs, but the signature proves which it was."""
    api = WechatApi(WechatConfig.from_values(wechat_values()), transport=None)
    with mock.patch("wechatpayv3.utils.time.time", return_value=float(vector["timestamp"])):
        header = api.authorization(vector["method"], vector["url"], vector["body"], vector["nonce"])
    fields = dict(part.split("=", 1) for part in header.partition(" ")[2].split(","))
    assert is_signed("merchant", vector["message"].encode(), fields["signature"].strip('"'))


@each("wx-response-message")
def test_answer_text(vector):
    text = signed_text(vector["timestamp"], vector["nonce"], vector["body"].encode())
    assert text == vector["message"].encode()


@each("wx-paysign-layout")
def test_client_signature_layout(vector):
    signature = client_signature(private_key("merchant"), *vector["lines"])
    assert is_signed("merchant", vector["message"].encode(), signature)
    assert signature != vector["published_signature"]  # made with a key that is not published


@each("wx-trade-bill")
def test_trade_bill(vector):
    """Only header, one row and the summary are published: totals of the one row instead."""
    totals = "`1.0,`0.00,`0.01,`0.0,`0.00,`0.00,`0.01"
    lines = (vector["header"], vector["first_row"], vector["summary_header"], totals)
    bill = open_bill("wechat", "trade", io.BytesIO("\ufeff".encode() + "\r\n".join(lines).encode()))
    (row,) = bill.rows()
    assert (row.out_refund_no, row.amount_fen) == ("REF4200000263201902167700963919", 1)
    assert (row.is_refund, row.fee_rate, row.moment) == (True, "39.00%", "2019-02-19 05:01:46")
    assert bill.totals["总交易单数"] == "1.0"
    whole = (*lines[:3], vector["summary_row"])
    with pytest.raises(BillRefused, match="总交易单数"):
        open_bill("wechat", "trade", io.BytesIO("\r\n".join(whole).encode()))


@each("wx-notification")
def test_notification(vector):
    body, headers = vector["body"].encode(), vector["headers"]
    certificate, public_key = keys.load_rsa_certificate(vector["certificate"])
    verifiers = {keys.certificate_serial(certificate): public_key}
    sent_at = int(headers["Wechatpay-Timestamp"])
    verify_message(verifiers, headers, body, now=sent_at)
    plaintext = decrypt_resource(json.loads(body)["resource"], vector["key"])
    assert plaintext == vector["plaintext"]
    with pytest.raises(GatewayUntrusted):
        verify_message(verifiers, headers, body, now=sent_at + 301)
    with pytest.raises(GatewayUntrusted):
        verify_message(verifiers, headers, body + b" ", now=sent_at)
