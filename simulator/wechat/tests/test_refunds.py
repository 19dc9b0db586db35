"""Refunds: accepted, settled later, limited, repaired."""

import base64
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from simulator.tests.clients import wait_for


def status_of(wechat, out_refund_no):
    return wechat.query_refund(out_refund_no).json["status"]


def test_a_refund_is_processing_first_and_settles_later(wechat, paid):
    body = wechat.refund_body(paid, 1000)
    first = wechat.refund(body)
    assert first.status == 200
    assert wechat.verifies(first)
    assert first.json["status"] == "PROCESSING"
    assert "success_time" not in first.json
    number = body["out_refund_no"]
    assert wait_for(lambda: status_of(wechat, number), "SUCCESS") == "SUCCESS"
    assert "success_time" in wechat.query_refund(number).json


def test_even_a_partial_refund_makes_the_order_refund(wechat, paid):
    wechat.refund(wechat.refund_body(paid, 1))
    assert wechat.query(paid["out_trade_no"]).json["trade_state"] == "REFUND"


def test_the_same_number_refunds_once(stand_in, wechat, paid):
    body = wechat.refund_body(paid, 1000)
    first, second = wechat.refund(body), wechat.refund(body)
    assert first.json["refund_id"] == second.json["refund_id"]
    mine = [
        r for r in stand_in.shown("books")["refunds"] if r["out_trade_no"] == paid["out_trade_no"]
    ]
    assert len(mine) == 1


def test_the_same_number_with_another_amount_is_refused(wechat, paid):
    body = wechat.refund_body(paid, 1000)
    wechat.refund(body)
    changed = body | {"amount": body["amount"] | {"refund": 999}}
    assert wechat.refund(changed).code == "INVALID_REQUEST"


def test_the_trade_may_be_named_by_its_transaction(wechat, paid):
    transaction_id = wechat.query(paid["out_trade_no"]).json["transaction_id"]
    body = wechat.refund_body(paid, 1000, out_trade_no=..., transaction_id=transaction_id)
    assert wechat.refund(body).json["out_trade_no"] == paid["out_trade_no"]


WRONG = {
    "no trade": {"out_trade_no": ...},
    "no currency": {"amount": {"refund": 1, "total": 3000}},
    "nothing": {"amount": {"refund": 0, "total": 3000, "currency": "CNY"}},
    "a float": {"amount": {"refund": 1.5, "total": 3000, "currency": "CNY"}},
    "unknown field": {"mchid": "1900000000"},
    "long reason": {"reason": "退" * 81},
    "notify_url with a query": {"notify_url": "https://a.example/cb?x=1"},
    "bad number": {"out_refund_no": "R 1"},
}


@pytest.mark.parametrize("name", WRONG)
def test_it_refuses_a_wrong_refund(wechat, paid, name):
    answer = wechat.refund(wechat.refund_body(paid, 1, **WRONG[name]))
    assert (answer.status, answer.code) == (400, "PARAM_ERROR")


def test_it_refuses_another_total_than_the_order_had(wechat, paid):
    amount = {"refund": 1, "total": 2999, "currency": "CNY"}
    assert wechat.refund(wechat.refund_body(paid, 1, amount=amount)).code == "INVALID_REQUEST"


def test_it_never_gives_back_more_than_was_paid(wechat, paid):
    assert wechat.refund(wechat.refund_body(paid, 2000)).status == 200
    assert wechat.refund(wechat.refund_body(paid, 1001)).code == "INVALID_REQUEST"
    assert wechat.refund(wechat.refund_body(paid, 1000)).status == 200


def test_unknown_and_unpaid_orders_have_nothing_to_refund(wechat):
    order = wechat.order()
    assert wechat.refund(wechat.refund_body(order, 1)).code == "RESOURCE_NOT_EXISTS"
    wechat.prepay(order)
    assert wechat.refund(wechat.refund_body(order, 1)).code == "INVALID_REQUEST"


def test_an_unknown_refund_is_404(wechat):
    answer = wechat.query_refund("R_UNKNOWN")
    assert (answer.status, answer.code) == (404, "RESOURCE_NOT_EXISTS")


def test_there_are_fifty_refunds_to_an_order(wechat, paid):
    for _ in range(50):
        assert wechat.refund(wechat.refund_body(paid, 1)).status == 200
    answer = wechat.refund(wechat.refund_body(paid, 1))
    assert (answer.status, answer.code) == (403, "RULE_LIMIT")


def test_refunds_of_one_order_keep_their_distance(stand_in, wechat, paid):
    stand_in.control("settings", spacing_factor=1)
    assert wechat.refund(wechat.refund_body(paid, 1)).status == 200
    body = wechat.refund_body(paid, 1)
    answer = wechat.refund(body)
    assert (answer.status, answer.code) == (429, "FREQUENCY_LIMITED")
    stand_in.control("settings", spacing_factor=0)
    assert wechat.refund(body).status == 200


def test_a_year_later_nothing_can_be_refunded(stand_in, wechat, paid):
    stand_in.change_trade(paid, paid_at=time.time() - 366 * 86_400)
    assert wechat.refund(wechat.refund_body(paid, 1)).code == "INVALID_REQUEST"


def test_a_merchant_short_of_money_retries_with_the_same_number(stand_in, wechat, paid):
    stand_in.control("settings", merchant_short=True)
    body = wechat.refund_body(paid, 1)
    answer = wechat.refund(body)
    assert (answer.status, answer.code) == (403, "NOT_ENOUGH")
    stand_in.control("settings", merchant_short=False)
    assert wechat.refund(body).status == 200


def test_a_closed_refund_frees_its_amount_for_a_new_number(stand_in, wechat, paid):
    stand_in.control("settings", refund_outcome="CLOSED")
    body = wechat.refund_body(paid, 3000)
    wechat.refund(body)
    number = body["out_refund_no"]
    assert wait_for(lambda: status_of(wechat, number), "CLOSED") == "CLOSED"
    assert wechat.refund(body).json["status"] == "CLOSED"
    assert wechat.refund(wechat.refund_body(paid, 3000)).status == 200


def settled_abnormal(stand_in, wechat, paid):
    stand_in.control("settings", refund_delay_seconds=60)
    body = wechat.refund_body(paid, 3000)
    refund = wechat.refund(body).json
    key = {"channel": "wechat", "out_trade_no": paid["out_trade_no"]}
    stand_in.control("settle", **key, out_refund_no=body["out_refund_no"], status="ABNORMAL")
    stand_in.control("settings", refund_delay_seconds=0.05)
    return refund


def sealed(wechat, text):
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    key = wechat.keys[wechat.config.wechat["public_key_id"]]
    return base64.b64encode(key.encrypt(text.encode(), oaep)).decode()


def apply_abnormal(wechat, refund, serial=True, **body):
    target = f"/v3/refund/domestic/refunds/{refund['refund_id']}/apply-abnormal-refund"
    headers = {"Wechatpay-Serial": wechat.config.wechat["public_key_id"]} if serial else {}
    return wechat.call(
        "POST", target, {"out_refund_no": refund["out_refund_no"]} | body, headers=headers
    )


def test_an_abnormal_refund_is_sent_to_a_bank_card(stand_in, wechat, paid):
    refund = settled_abnormal(stand_in, wechat, paid)
    assert status_of(wechat, refund["out_refund_no"]) == "ABNORMAL"
    card = {
        "bank_type": "ICBC_DEBIT",
        "bank_account": sealed(wechat, "6222020200001234"),
        "real_name": sealed(wechat, "张三"),
    }
    answer = apply_abnormal(wechat, refund, type="USER_BANK_CARD", **card)
    assert answer.status == 200, answer.body
    assert answer.json["user_received_account"] == "用户银行卡1234"
    number = refund["out_refund_no"]
    assert wait_for(lambda: status_of(wechat, number), "SUCCESS") == "SUCCESS"


def test_card_data_in_the_clear_is_refused(stand_in, wechat, paid):
    refund = settled_abnormal(stand_in, wechat, paid)
    card = {"bank_type": "ICBC_DEBIT", "bank_account": "6222020200001234", "real_name": "张三"}
    assert apply_abnormal(wechat, refund, type="USER_BANK_CARD", **card).code == "PARAM_ERROR"
    assert status_of(wechat, refund["out_refund_no"]) == "ABNORMAL"


def test_only_abnormal_refunds_are_repaired(wechat, paid):
    refund = wechat.refund(wechat.refund_body(paid, 1)).json
    answer = apply_abnormal(wechat, refund, type="MERCHANT_BANK_CARD")
    assert answer.code == "INVALID_REQUEST"
