"""Prepay, query, close."""

import time
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest

from simulator.tests.clients import BEIJING, number

SCENES = {"native": "code_url", "jsapi": "prepay_id", "h5": "h5_url", "app": "prepay_id"}


@pytest.mark.parametrize(("scene", "name"), SCENES.items())
def test_each_scene_gives_its_credential(wechat, scene, name):
    answer = wechat.prepay(wechat.order(scene), scene)
    assert answer.status == 200, answer.body
    assert list(answer.json) == [name]


def test_it_takes_every_optional_field(wechat):
    expire = (datetime.now(BEIJING) + timedelta(hours=2)).isoformat(timespec="seconds")
    order = wechat.order(
        time_expire=expire, attach="订单 7", goods_tag="WXG", support_fapiao=False,
        limit_pay=["no_credit"], settle_info={"profit_sharing": False},
        scene_info={"payer_client_ip": "127.0.0.1", "device_id": "1"},
        detail={"goods_detail": [{"merchant_goods_id": "1", "quantity": 1, "unit_price": 3000}]},
    )  # fmt: skip
    assert wechat.prepay(order).status == 200


WRONG_FIELDS = {
    "unknown field": {"spbill_create_ip": "1.2.3.4"},
    "null": {"attach": None},
    "no description": {"description": ...},
    "empty description": {"description": ""},
    "long description": {"description": "挂" * 128},
    "beyond the BMP": {"description": "挂号😀"},
    "rare han": {"attach": "𠮷野"},
    "short number": {"out_trade_no": "T1234"},
    "long number": {"out_trade_no": "T" * 33},
    "slash in number": {"out_trade_no": "T123/456"},
    "float amount": {"amount": {"total": 30.5, "currency": "CNY"}},
    "whole float amount": {"amount": {"total": 30.0, "currency": "CNY"}},
    "text amount": {"amount": {"total": "3000", "currency": "CNY"}},
    "boolean amount": {"amount": {"total": True, "currency": "CNY"}},
    "nothing": {"amount": {"total": 0, "currency": "CNY"}},
    "negative": {"amount": {"total": -1, "currency": "CNY"}},
    "other currency": {"amount": {"total": 1, "currency": "USD"}},
    "unknown field inside": {"amount": {"total": 1, "currency": "CNY", "fee": 1}},
    "no amount": {"amount": ...},
    "address with a query": {"notify_url": "https://pay.example.com/cb?method=wechat"},
    "relative address": {"notify_url": "/cb"},
    "other scheme": {"notify_url": "ftp://pay.example.com/cb"},
    "no address": {"notify_url": ...},
    "naive time": {"time_expire": "2036-11-24T10:34:56"},
    "fractional time": {"time_expire": "2036-11-24T10:34:56.000+08:00"},
    "impossible time": {"time_expire": "2036-02-31T10:34:56+08:00"},
    "other merchant": {"mchid": "1900000000"},
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_it_refuses_a_wrong_order(wechat, name):
    answer = wechat.prepay(wechat.order(**WRONG_FIELDS[name]))
    assert (answer.status, answer.code) == (400, "PARAM_ERROR"), answer.body


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a":NaN}', b'{"a":1,"a":2}', "{}".encode("utf-16-le")]
)
def test_it_refuses_what_is_not_strict_json(wechat, body):
    answer = wechat.call("POST", "/v3/pay/transactions/native", raw=body)
    assert (answer.status, answer.code) == (400, "PARAM_ERROR")


def test_it_refuses_an_app_of_another_merchant(wechat):
    answer = wechat.prepay(wechat.order(appid="wx0000000000000000"))
    assert (answer.status, answer.code) == (400, "APPID_MCHID_NOT_MATCH")


@pytest.mark.parametrize(
    ("scene", "changes"),
    [
        ("jsapi", {"payer": ...}),
        ("jsapi", {"payer": {}}),
        ("native", {"payer": {"openid": "o123"}}),
        ("h5", {"scene_info": ...}),
        ("h5", {"scene_info": {"payer_client_ip": "14.23.150.211"}}),
        ("h5", {"scene_info": {"payer_client_ip": "14.2.1.1", "h5_info": {"type": "Web"}}}),
    ],
)
def test_each_scene_needs_its_own_fields(wechat, scene, changes):
    answer = wechat.prepay(wechat.order(scene, **changes), scene)
    assert (answer.status, answer.code) == (400, "PARAM_ERROR")


def test_the_identical_request_gives_a_fresh_code_and_kills_the_old_one(stand_in, wechat):
    order = wechat.order()
    first = wechat.prepay(order).json["code_url"]
    second = wechat.prepay(dict(reversed(order.items()))).json["code_url"]
    assert first != second
    assert "失效" in stand_in.get(f"/pay?code={quote(first, safe='')}").body.decode()
    assert "付款" in stand_in.get(f"/pay?code={quote(second, safe='')}").body.decode()


def test_any_difference_is_refused(wechat):
    order = wechat.order()
    wechat.prepay(order)
    answer = wechat.prepay(order | {"description": "别的"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.headers["Request-ID"].endswith("-268498688")


def test_another_scene_is_a_difference(wechat):
    order = wechat.order()
    wechat.prepay(order, "native")
    assert wechat.prepay(order, "app").code == "INVALID_REQUEST"


def test_a_paid_number_answers_orderpaid(wechat, paid):
    answer = wechat.prepay(paid)
    assert (answer.status, answer.code) == (400, "ORDERPAID")


def test_a_closed_number_is_used_up(wechat):
    order = wechat.order()
    wechat.prepay(order)
    assert wechat.close(order["out_trade_no"]).status == 204
    assert wechat.prepay(order).code == "ORDER_CLOSED"


def test_an_order_goes_from_notpay_to_success(stand_in, wechat):
    order = wechat.order(attach="7")
    wechat.prepay(order)
    before = wechat.query(order["out_trade_no"]).json
    assert before["trade_state"] == "NOTPAY"
    assert not {"transaction_id", "success_time", "payer"} & set(before)
    stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
    after = wechat.query(order["out_trade_no"]).json
    assert after["trade_state"] == "SUCCESS"
    assert after["amount"]["total"] == 3000
    assert after["attach"] == "7"
    mchid = wechat.config.wechat["mchid"]
    by_id = wechat.call("GET", f"/v3/pay/transactions/id/{after['transaction_id']}?mchid={mchid}")
    assert by_id.json == after


@pytest.mark.parametrize("query", ["", "?mchid=1900000000"])
def test_a_query_needs_the_merchant(wechat, paid, query):
    target = f"/v3/pay/transactions/out-trade-no/{paid['out_trade_no']}{query}"
    assert wechat.call("GET", target).code == "PARAM_ERROR"


def test_closing_answers_a_signed_204_again_and_again(wechat):
    order = wechat.order()
    wechat.prepay(order)
    for _ in range(2):
        answer = wechat.close(order["out_trade_no"])
        assert (answer.status, answer.body) == (204, b"")
        assert wechat.verifies(answer)
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "CLOSED"


def test_closing_an_unknown_number_answers_204_too(wechat):
    unknown = number()
    assert wechat.close(unknown).status == 204
    assert wechat.query(unknown).status == 404


def test_a_paid_order_is_not_closed(wechat, paid):
    answer = wechat.close(paid["out_trade_no"])
    assert (answer.status, answer.code) == (400, "ORDERPAID")


def test_time_expire_is_raised_to_a_minute_and_closes_nothing(stand_in, wechat):
    past = (datetime.now(BEIJING) - timedelta(hours=1)).isoformat(timespec="seconds")
    order = wechat.order(time_expire=past)
    before = time.time()
    wechat.prepay(order)
    payment = next(
        payment
        for payment in stand_in.shown("state")["payments"]
        if payment["out_trade_no"] == order["out_trade_no"]
    )
    assert before + 59 < payment["deadline"] <= time.time() + 60
    expire_now(stand_in, order)
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "NOTPAY"
    refused = stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
    assert refused["status_code"] == 409
    late = stand_in.control("pay_late", channel="wechat", out_trade_no=order["out_trade_no"])
    assert late["paid"] is True


def test_an_expired_number_takes_no_new_prepay(stand_in, wechat):
    order = wechat.order()
    wechat.prepay(order)
    expire_now(stand_in, order)
    assert wechat.prepay(order).code == "INVALID_REQUEST"


def expire_now(stand_in, order):
    stand_in.change_trade(order, deadline=time.time() - 1)


def test_a_code_dies_after_two_hours(stand_in, wechat):
    order = wechat.order()
    code = wechat.prepay(order).json["code_url"]
    stand_in.change_trade(order, credential_at=time.time() - 7_201)
    assert "过期" in stand_in.get(f"/pay?code={quote(code, safe='')}").body.decode()
