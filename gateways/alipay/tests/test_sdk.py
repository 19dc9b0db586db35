"""What the product leans on in python-alipay-sdk: an update that changes it fails here, not in a
payment."""

import inspect
from urllib.parse import parse_qs, parse_qsl

import pytest

from gateways import keys
from gateways.alipay.configuration import AlipayConfig
from gateways.alipay.sdk import AliPay, request_signer
from gateways.tests.kit import ALI_APP_ID, alipay_values, is_signed, private_pem
from gateways.tests.vectors import VECTORS

PARAMETERS = {
    AliPay: "(appid, app_notify_url=None, app_private_key_string=None,"
    " alipay_public_key_string=None, sign_type='RSA2', debug=False, verbose=False, config=None)",
    AliPay.client_api: "(self, api_name, biz_content=None, **kwargs)",
}
BIZ_CONTENT = '{"out_trade_no":"ORD1","subject":"挂号费 {a=b&c}","total_amount":"0.01"}'
# Alipay signs trade notifications over the same text that a request is signed over: the fields
# by name, joined with "=" and "&", without sign and, here, sign_type.
OFFICIAL = [
    one
    for one in VECTORS
    if one["kind"] == "alipay-notify" and one["signed_string"] == "without sign_type"
]


@pytest.fixture(scope="module")
def signer():
    return request_signer(AlipayConfig.from_values(alipay_values()))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_arguments, **_named):
        raise AssertionError("the SDK sent something by itself")

    monkeypatch.setattr("alipay.urlopen", refuse)


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda function: function.__name__)
def test_parameters(function):
    assert str(inspect.signature(function)) == PARAMETERS[function]


@pytest.mark.parametrize("vector", OFFICIAL, ids=lambda vector: vector["id"])
def test_it_puts_the_signed_text_together_as_alipay_does(vector):
    official = AliPay(
        appid="1",
        app_private_key_string=private_pem("app"),
        alipay_public_key_string=keys.public_key_pem(keys.load_public_key(vector["public_key"])),
    )
    fields = {name: value for name, value in vector["params"].items() if name != "sign"}
    assert official.verify(fields, vector["params"]["sign"]) is vector["valid"]


def test_it_signs_every_parameter_as_it_is_sent(signer):
    public = {
        "timestamp": "2026-11-24 10:00:00",
        "notify_url": "https://pay.example.com/payment/callback/alipay",
        "app_cert_sn": "a" * 32,
        "alipay_root_cert_sn": "b" * 32 + "_" + "c" * 32,
    }
    query = signer.client_api("alipay.trade.query", BIZ_CONTENT, **public)
    fields = dict(parse_qsl(query, strict_parsing=True))
    signature = fields.pop("sign")
    assert fields == {
        "app_id": ALI_APP_ID,
        "method": "alipay.trade.query",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "version": "1.0",
        "biz_content": BIZ_CONTENT,
        **public,
    }
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    assert is_signed("app", text.encode(), signature)


def test_its_timestamp_and_nothing_else_comes_from_the_clock(signer):
    """It would be the process's zone: the product gives one of its own."""
    query = signer.client_api("alipay.trade.query", BIZ_CONTENT, timestamp="2026-11-24 10:00:00")
    again = signer.client_api("alipay.trade.query", BIZ_CONTENT, timestamp="2026-11-24 10:00:00")
    assert query == again
    assert parse_qs(query)["timestamp"] == ["2026-11-24 10:00:00"]


def test_addresses_that_are_not_given_are_not_sent(signer):
    fields = parse_qs(signer.client_api("alipay.trade.precreate", BIZ_CONTENT))
    assert not {"notify_url", "return_url"} & set(fields)
