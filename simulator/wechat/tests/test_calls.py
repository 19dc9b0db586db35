"""Who may call, and what a signed answer looks like."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.tests.clients import WechatClient, number


def test_it_signs_its_answers_and_names_the_request(wechat):
    answer = wechat.prepay(wechat.order())
    assert answer.status == 200
    assert wechat.verifies(answer)
    assert answer.headers["Wechatpay-Serial"] == wechat.config.wechat["public_key_id"]
    assert answer.headers["Request-ID"].endswith("-0")


def test_it_signs_errors_of_known_callers_and_ends_their_request_id_in_the_detail(wechat):
    answer = wechat.query("NO_SUCH_ORDER")
    assert (answer.status, answer.code) == (404, "ORDER_NOT_EXIST")
    assert wechat.verifies(answer)
    assert answer.headers["Request-ID"].endswith("-268512771")


def unknown_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: {"authorization": ""},
        lambda: {"headers": {"Authorization": None}},
        lambda: {"authorization": 'WECHATPAY2-SHA256-RSA2048 mchid="1"'},
        lambda: {"serial": "0" * 40},
        lambda: {"mchid": "1900000000"},
        lambda: {"key": unknown_key()},
        lambda: {"timestamp": time.time() - 310},
        lambda: {"timestamp": time.time() + 310},
        lambda: {"nonce": "n" * 33},
        lambda: {"sent_target": "/v3/pay/transactions/out-trade-no/OTHER01?mchid=1"},
    ],
)
def test_it_refuses_callers_whose_signature_proves_nothing(wechat, wrong):
    target = f"/v3/pay/transactions/out-trade-no/NONE01?mchid={wechat.config.wechat['mchid']}"
    answer = wechat.call("GET", target, **wrong())
    assert (answer.status, answer.code) == (401, "SIGN_ERROR")


def test_it_takes_a_clock_that_is_four_minutes_off(wechat):
    target = f"/v3/pay/transactions/out-trade-no/NONE01?mchid={wechat.config.wechat['mchid']}"
    assert wechat.call("GET", target, timestamp=time.time() - 240).status == 404


def test_it_refuses_a_nonce_that_was_used(wechat):
    target = f"/v3/pay/transactions/out-trade-no/NONE01?mchid={wechat.config.wechat['mchid']}"
    nonce = number("N")
    assert wechat.call("GET", target, nonce=nonce).status == 404
    assert wechat.call("GET", target, nonce=nonce).status == 401


def test_it_refuses_a_body_that_changed_after_signing(wechat):
    import json

    order = wechat.order()
    changed = json.dumps(order | {"amount": {"total": 1, "currency": "CNY"}}).encode()
    answer = wechat.call("POST", "/v3/pay/transactions/native", order, sent_raw=changed)
    assert (answer.status, answer.code) == (401, "SIGN_ERROR")
    assert wechat.query(order["out_trade_no"]).status == 404


@pytest.mark.parametrize("name", ["Accept", "User-Agent", "Content-Type"])
def test_it_needs_the_headers_that_the_rules_ask_for(wechat, name):
    answer = wechat.call(
        "POST", "/v3/pay/transactions/native", wechat.order(), headers={name: None}
    )
    assert (answer.status, answer.code) == (400, "PARAM_ERROR")


def test_it_refuses_a_key_that_is_not_in_use_to_sign_with(wechat):
    serial = wechat.config.wechat["platform_serial_no"]
    answer = wechat.call(
        "POST", "/v3/pay/transactions/native", wechat.order(), headers={"Wechatpay-Serial": serial}
    )
    assert (answer.status, answer.code) == (400, "PARAM_ERROR")


def test_it_has_no_certificates_in_public_key_mode(wechat):
    assert wechat.call("GET", "/v3/certificates").status == 404


def test_during_a_migration_answers_follow_the_serial_of_the_request(mixed):
    client = WechatClient(mixed.config)
    for serial in (
        client.config.wechat["platform_serial_no"],
        client.config.wechat["public_key_id"],
    ):
        answer = client.call(
            "POST",
            "/v3/pay/transactions/native",
            client.order(),
            headers={"Wechatpay-Serial": serial},
        )
        assert answer.headers["Wechatpay-Serial"] == serial
        assert client.verifies(answer)


def test_a_platform_certificate_can_be_fetched_and_opened(mixed):
    client = WechatClient(mixed.config)
    answer = client.call("GET", "/v3/certificates")
    assert client.verifies(answer)
    (item,) = answer.json["data"]
    assert item["serial_no"] == client.config.wechat["platform_serial_no"]
    assert item["encrypt_certificate"]["associated_data"] == "certificate"
