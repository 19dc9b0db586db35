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


@pytest.mark.parametrize(
    ("code", "status", "is_signed"),
    [
        ("SIGN_ERROR", 401, False),
        ("NO_AUTH", 403, True),
        ("PARAM_ERROR", 400, True),
        ("APPID_MCHID_NOT_MATCH", 400, True),
        ("ORDER_NOT_EXIST", 404, True),
    ],
)
def test_wechat_refuses_with_the_code_that_was_ordered(
    stand_in, wechat, paid, code, status, is_signed
):
    once(stand_in, "wechat.query", "refused", code=code)
    answer = wechat.query(paid["out_trade_no"])
    assert (answer.status, answer.code) == (status, code)
    assert ("Wechatpay-Signature" in answer.headers) is is_signed
    assert wechat.query(paid["out_trade_no"]).status == 200


@pytest.mark.parametrize(
    ("code", "is_signed"), [("40002", False), ("40006", True), ("20000", False), ("40004", True)]
)
def test_alipay_refuses_with_the_code_that_was_ordered(
    stand_in, alipay, alipay_paid, code, is_signed
):
    once(stand_in, "alipay.query_refund", "refused", code=code, sub_code="ACQ.TEST")
    content = {"out_trade_no": alipay_paid["out_trade_no"], "out_request_no": "R1"}
    answer = alipay.call("alipay.trade.fastpay.refund.query", content)
    node = answer.json["alipay_trade_fastpay_refund_query_response"]
    assert (node["code"], node["sub_code"]) == (code, "ACQ.TEST")
    assert ("sign" in answer.json) is is_signed


def test_a_refusal_does_nothing(stand_in, wechat, paid):
    body = wechat.refund_body(paid, 1)
    once(stand_in, "wechat.refund", "refused", code="NOT_ENOUGH", status=403, message="余额不足")
    assert wechat.refund(body).json["message"] == "余额不足"
    assert wechat.query_refund(body["out_refund_no"]).status == 404


def test_a_lasting_fault_hits_every_call_until_it_is_ended(stand_in, wechat, paid):
    once(stand_in, "wechat.query", "refused", code="NO_AUTH", lasting=True)
    once(stand_in, "wechat.refund", "refused", code="NO_AUTH", lasting=True)
    number = paid["out_trade_no"]
    assert [wechat.query(number).status for _ in range(3)] == [403, 403, 403]
    stand_in.control("faults", end="wechat.query")
    assert wechat.query(number).status == 200
    assert wechat.refund(wechat.refund_body(paid, 1)).status == 403


def test_a_fault_of_one_number_leaves_others_alone(stand_in, wechat, alipay, paid, alipay_paid):
    other = wechat.order()
    wechat.prepay(other)
    once(stand_in, "wechat", "refused", code="NO_AUTH", number=paid["out_trade_no"], lasting=True)
    assert wechat.query(other["out_trade_no"]).status == 200
    assert wechat.query(paid["out_trade_no"]).status == 403
    assert wechat.refund(wechat.refund_body(paid, 1)).status == 403
    number = alipay_paid["out_trade_no"]
    once(stand_in, "alipay.query", "refused", code="40006", number=number)
    assert alipay.node("alipay.trade.query", {"out_trade_no": number})["code"] == "40006"


def test_a_fault_of_answers_waits_while_notices_pass(stand_in, wechat, listener):
    url = listener.address()
    order = wechat.order(notify_url=url)
    wechat.prepay(order)
    once(stand_in, "wechat", "error_before")
    stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
    listener.next(url)
    assert wechat.query(order["out_trade_no"]).status == 500


def test_one_payment_loses_its_notice_and_another_does_not(stand_in, wechat, listener):
    url, other_url = listener.address(), listener.address()
    order, other = wechat.order(notify_url=url), wechat.order(notify_url=other_url)
    once(stand_in, "wechat.notice", "notice_lost", number=order["out_trade_no"])
    for one in (other, order):
        wechat.prepay(one)
        stand_in.control("pay", channel="wechat", out_trade_no=one["out_trade_no"])
    listener.next(other_url)
    assert listener.is_silent(url)


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
        {"once": {"operation": "wechat.query", "kind": "refused"}},
        {"once": {"operation": "wechat.query", "kind": "refused", "code": "A", "status": 200}},
        {"once": {"operation": "wechat.query", "kind": "slow", "nonsense": 1}},
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
