"""Faults: by name once, by seeded chance, and never without the deed they promise."""

import http.client
import json
import time

import pytest


def once(stand_in, operation, kind, **more):
    answer = stand_in.control("faults", once=[{"operation": operation, "kind": kind} | more])
    assert answer["status_code"] == 200


def test_a_lost_answer_leaves_the_deed_done(stand_in, wechat):
    order = wechat.order()
    once(stand_in, "wechat.prepay", "lost_after")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        wechat.prepay(order)
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "NOTPAY"
    assert wechat.prepay(order).status == 200


def test_a_500_after_the_deed_leaves_it_done(stand_in, wechat, paid):
    once(stand_in, "wechat.refund", "error_after")
    body = wechat.refund_body(paid, 1)
    answer = wechat.refund(body)
    assert (answer.status, answer.code) == (500, "SYSTEM_ERROR")
    assert wechat.query_refund(body["out_refund_no"]).status == 200


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("error_before", 500, "SYSTEM_ERROR"),
        ("rate_limited", 429, "FREQUENCY_LIMITED"),
        ("not_found", 404, "RESOURCE_NOT_EXISTS"),
    ],
)
def test_an_error_before_the_deed_leaves_it_undone(stand_in, wechat, paid, kind, status, code):
    once(stand_in, "wechat.refund", kind)
    body = wechat.refund_body(paid, 1)
    answer = wechat.refund(body)
    assert (answer.status, answer.code) == (status, code)
    assert wechat.query_refund(body["out_refund_no"]).status == 404
    assert wechat.refund(body).status == 200


def test_a_proxy_answers_with_html(stand_in, wechat, paid):
    once(stand_in, "wechat.query", "garbage")
    answer = wechat.query(paid["out_trade_no"])
    assert answer.body.startswith(b"<html>")


def test_a_bad_signature_spoils_nothing_but_the_signature(stand_in, wechat, alipay, paid):
    once(stand_in, "wechat.query", "bad_signature")
    answer = wechat.query(paid["out_trade_no"])
    assert answer.json["trade_state"] == "SUCCESS"
    assert not wechat.verifies(answer)
    once(stand_in, "alipay.query", "bad_signature")
    assert not alipay.verifies(alipay.call("alipay.trade.query", {"out_trade_no": "T"}))


def test_a_slow_answer_is_slow(stand_in, wechat, paid):
    once(stand_in, "wechat.query", "slow", seconds=0.3)
    begin = time.time()
    assert wechat.query(paid["out_trade_no"]).status == 200
    assert time.time() - begin >= 0.3


def test_alipay_is_unavailable_or_limits(stand_in, alipay, alipay_paid):
    content = {
        "out_trade_no": alipay_paid["out_trade_no"],
        "refund_amount": "1.00",
        "out_request_no": "R1",
    }
    seen = []
    for kind in ("error_before", "rate_limited", "error_after"):
        once(stand_in, "alipay.refund", kind)
        answer = alipay.call("alipay.trade.refund", content)
        assert "sign" not in answer.json
        seen.append(answer.json["alipay_trade_refund_response"]["code"])
    assert seen == ["20000", "40005", "20000"]
    assert alipay.node("alipay.trade.refund", content)["fund_change"] == "N"


def test_a_one_shot_hits_its_own_operation_only_and_as_often_as_it_says(stand_in, wechat, paid):
    once(stand_in, "wechat.refund", "error_before", times=2)
    assert wechat.query(paid["out_trade_no"]).status == 200
    body = wechat.refund_body(paid, 1)
    assert [wechat.refund(body).status for _ in range(3)] == [500, 500, 200]


def test_the_same_seed_gives_the_same_faults(stand_in, wechat, paid):
    def run():
        stand_in.control("faults", clear=True, seed=7, percent={"error_before": 40})
        return [wechat.query(paid["out_trade_no"]).status for _ in range(12)]

    first = run()
    assert set(first) == {200, 500}
    assert run() == first


def test_a_lost_notice_never_comes_and_a_doubled_one_comes_twice(stand_in, wechat, listener):
    for kind, count in (("notice_lost", 0), ("notice_twice", 2)):
        url = listener.address((500, b""))
        stand_in.control("settings", notify_factor=1000)
        order = wechat.order(notify_url=url)
        wechat.prepay(order)
        once(stand_in, "wechat.notice", kind)
        stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
        for _ in range(count):
            listener.next(url)
        assert listener.is_silent(url, 0.25)


@pytest.mark.parametrize(
    "body",
    [
        {"percent": {"nonsense": 1}},
        {"percent": 101},
        {"percent": 20},  # seven kinds of twenty percent are more than all
        {"once": {"operation": "wechat.query", "kind": "nonsense"}},
        {"once": {"kind": "slow"}},
        {"slow_seconds": -1},
        {"other": 1},
    ],
)
def test_it_refuses_faults_that_do_not_exist(stand_in, body):
    assert stand_in.control("faults", **body)["status_code"] == 400
    assert sum(stand_in.shown("faults")["percent"].values()) == 0


def test_browsers_of_buyers_meet_no_faults(stand_in, alipay):
    stand_in.control("faults", percent={"error_before": 100})
    address = alipay.address("alipay.trade.page.pay", alipay.order())
    assert stand_in.get(address.removeprefix(stand_in.base_url)).status == 303
    assert json.dumps(stand_in.shown("faults")["percent"]["error_before"]) == "100.0"
