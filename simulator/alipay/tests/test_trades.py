"""Alipay's gateway.do: parameters, signatures, trades, refunds."""

import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.tests.clients import BEIJING, number, rsa_sign, send, wait_for

QUERY = "alipay.trade.query"


def gateway_error(answer):
    """The sub code of an answer that must not be signed."""
    assert answer.status == 200
    assert "sign" not in answer.json
    (node,) = answer.json.values()
    return node["code"], node["sub_code"]


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_it_takes_calls_by_get_and_by_post(alipay, verb):
    node = alipay.node(QUERY, {"out_trade_no": "UNKNOWN"}, verb=verb)
    assert (node["code"], node["sub_code"]) == ("40004", "ACQ.TRADE_NOT_EXIST")


def test_public_parameters_may_be_in_the_query_and_the_rest_in_the_body(alipay):
    from urllib.parse import urlencode

    parameters = alipay.parameters(QUERY, {"out_trade_no": "UNKNOWN"})
    body = urlencode({"biz_content": parameters.pop("biz_content")}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    base_url = alipay.config.wechat["base_url"]
    answer = send(base_url, "POST", f"/gateway.do?{urlencode(parameters)}", body, headers)
    assert alipay.verifies(answer)


def beijing(**shift):
    return (datetime.now(BEIJING) + timedelta(**shift)).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"app_id": "2021000000000000"}, ("40002", "isv.invalid-app-id")),
        ({"app_id": ...}, ("40001", "isv.missing-app-id")),
        ({"method": "alipay.trade.unknown"}, ("40002", "isv.invalid-method")),
        ({"method": ...}, ("40001", "isv.missing-method")),
        ({"version": "2.0"}, ("40002", "isv.invalid-version")),
        ({"charset": "latin-1"}, ("40002", "isv.invalid-charset")),
        ({"sign_type": "RSA"}, ("40002", "isv.invalid-signature-type")),
        ({"timestamp": partial(beijing, hours=-8)}, ("40002", "isv.invalid-timestamp")),
        ({"timestamp": partial(beijing, minutes=20)}, ("40002", "isv.invalid-timestamp")),
        ({"timestamp": "2026-11-24T00:00:00"}, ("40002", "isv.invalid-timestamp")),
        ({"biz_content": "{"}, ("40002", "isv.invalid-parameter")),
        ({"biz_content": "[]"}, ("40002", "isv.invalid-parameter")),
    ],
)
def test_errors_of_the_gateway_are_not_signed(alipay, changes, wanted):
    # A moment is made when it is sent: between collecting and running lie minutes.
    sent = {name: value() if callable(value) else value for name, value in changes.items()}
    assert gateway_error(alipay.call(QUERY, {"out_trade_no": "T"}, **sent)) == wanted


def test_it_refuses_another_key(alipay):
    answer = alipay.call(QUERY, {}, key=rsa.generate_private_key(65537, 2048))
    assert gateway_error(answer) == ("40002", "isv.invalid-signature")
    assert "alipay_trade_query_response" in answer.json


def test_it_refuses_parameters_changed_after_signing(alipay):
    answer = alipay.call(
        QUERY, {"out_trade_no": "A"}, spoil={"biz_content": '{"out_trade_no":"B"}'}
    )
    assert gateway_error(answer) == ("40002", "isv.invalid-signature")


def test_the_signature_of_a_request_covers_sign_type(alipay):
    parameters = alipay.parameters(QUERY, {"out_trade_no": "T"})
    names = sorted(set(parameters) - {"sign", "sign_type"})
    wrong = rsa_sign(alipay.key, "&".join(f"{name}={parameters[name]}" for name in names))
    answer = alipay.call(QUERY, {"out_trade_no": "T"}, spoil={"sign": wrong})
    assert gateway_error(answer) == ("40002", "isv.invalid-signature")


def test_answers_escape_slashes_and_keep_chinese_and_braces(stand_in, alipay):
    order = alipay.order(subject='复诊/开药 "甲" {1')
    stand_in.control("open", url=alipay.address("alipay.trade.page.pay", order))
    answer = alipay.call(QUERY, {"out_trade_no": order["out_trade_no"]})
    assert alipay.verifies(answer)
    assert '复诊\\/开药 \\"甲\\" {1' in answer.body.decode()


def test_a_page_payment_exists_once_the_buyer_has_opened_it(stand_in, alipay):
    order = alipay.order()
    query = {"out_trade_no": order["out_trade_no"]}
    address = alipay.address(
        "alipay.trade.page.pay", order, return_url="https://shop.example/back?a=1"
    )
    assert alipay.node(QUERY, query)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert alipay.node("alipay.trade.close", query)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    parts = urlsplit(address)
    opened = stand_in.get(f"{parts.path}?{parts.query}")
    assert opened.status == 303
    page = stand_in.get(opened.headers["Location"]).body.decode()
    assert "30.00" in page
    assert "付款" in page
    assert alipay.node(QUERY, query)["trade_status"] == "WAIT_BUYER_PAY"
    form = f"channel=alipay&out_trade_no={order['out_trade_no']}&action=pay".encode()
    back = send(stand_in.base_url, "POST", "/cashier", form)
    assert back.status == 303
    returned = dict(parse_qsl(urlsplit(back.headers["Location"]).query))
    assert returned.pop("a") == "1"
    assert alipay.notice_verifies(returned)
    assert returned["out_trade_no"] == order["out_trade_no"]
    node = alipay.node(QUERY, query)
    assert node["trade_status"] == "TRADE_SUCCESS"
    assert node["total_amount"] == "30.00"
    assert "send_pay_date" in node


@pytest.mark.parametrize(
    ("method", "product"),
    [
        ("alipay.trade.page.pay", "QUICK_WAP_WAY"),
        ("alipay.trade.wap.pay", "QUICK_WAP_PAY"),
        ("alipay.trade.app.pay", "FAST_INSTANT_TRADE_PAY"),
        ("alipay.trade.page.pay", ...),
    ],
)
def test_each_product_has_its_code(stand_in, alipay, method, product):
    order = alipay.order(product_code=product)
    answer = stand_in.control("open", url=alipay.address(method, order))
    assert answer["status_code"] == 400
    assert "product_code" in answer["error"]


@pytest.mark.parametrize(
    ("method", "product"),
    [("alipay.trade.wap.pay", "QUICK_WAP_WAY"), ("alipay.trade.app.pay", "QUICK_MSECURITY_PAY")],
)
def test_order_strings_and_wap_addresses_open_too(stand_in, alipay, method, product):
    order = alipay.order(product_code=product)
    order_string = urlsplit(alipay.address(method, order)).query
    number = order["out_trade_no"]
    answer = stand_in.control("pay", channel="alipay", out_trade_no=number, url=order_string)
    assert answer["paid"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"total_amount": "0.00"}, {"total_amount": "0.001"}, {"total_amount": 0.30000000000000004},
        {"total_amount": "-1"}, {"total_amount": "1e2"}, {"total_amount": "100000000.01"},
        {"total_amount": "１.００"}, {"out_trade_no": "A-1"}, {"out_trade_no": "A" * 65},
        {"out_trade_no": ...}, {"subject": ...}, {"subject": "s" * 257}, {"timeout_express": "16d"},
        {"timeout_express": "1.5h"}, {"time_expire": "2036/01/01"},
        {"seller_id": "2088000000000000"},
    ],
)  # fmt: skip
def test_it_refuses_a_wrong_order(alipay, changes):
    node = alipay.node("alipay.trade.precreate", alipay.order(product_code=..., **changes))
    assert (node["code"], node["sub_code"]) == ("40004", "ACQ.INVALID_PARAMETER")


def test_it_refuses_a_notify_url_with_a_query(alipay):
    node = alipay.node(
        "alipay.trade.precreate",
        alipay.order(product_code=...),
        notify_url="https://pay.example.com/cb?method=alipay",
    )
    assert node["sub_code"] == "ACQ.INVALID_PARAMETER"


def test_a_qr_payment_exists_once_it_was_scanned(stand_in, alipay):
    from urllib.parse import quote

    order = alipay.order(product_code=...)
    node = alipay.node("alipay.trade.precreate", order)
    assert node["qr_code"].startswith("https://qr.alipay.com/")
    query = {"out_trade_no": order["out_trade_no"]}
    assert alipay.node(QUERY, query)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert "付款" in stand_in.get(f"/pay?code={quote(node['qr_code'], safe='')}").body.decode()
    assert alipay.node(QUERY, query)["trade_status"] == "WAIT_BUYER_PAY"


def test_create_needs_a_buyer_and_exists_at_once(alipay):
    order = alipay.order(product_code="JSAPI_PAY")
    assert alipay.node("alipay.trade.create", order)["sub_code"] == "ACQ.INVALID_PARAMETER"
    node = alipay.node("alipay.trade.create", order | {"buyer_id": "2088123412341234"})
    assert node["trade_no"]
    answer = alipay.node(QUERY, {"trade_no": node["trade_no"], "out_trade_no": "ignored"})
    assert answer["out_trade_no"] == order["out_trade_no"]


def test_a_number_goes_on_with_the_same_data_only(stand_in, alipay, alipay_paid):
    order = alipay.order(product_code=...)
    assert alipay.node("alipay.trade.precreate", order)["code"] == "10000"
    assert alipay.node("alipay.trade.precreate", order)["code"] == "10000"
    changed = order | {"total_amount": "30.01"}
    node = alipay.node("alipay.trade.precreate", changed)
    assert node["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    paid = {name: alipay_paid[name] for name in ("out_trade_no", "total_amount", "subject")}
    node = alipay.node("alipay.trade.precreate", paid)
    assert node["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"
    alipay.node("alipay.trade.cancel", {"out_trade_no": order["out_trade_no"]})
    node = alipay.node("alipay.trade.precreate", order)
    assert node["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


def test_an_unpaid_trade_closes_at_its_time(stand_in, alipay):
    order = alipay.order(time_expire=beijing(seconds=2))
    stand_in.control("open", url=alipay.address("alipay.trade.page.pay", order))
    stand_in.change_trade(order, deadline=time.time() - 1)
    node = alipay.node(QUERY, {"out_trade_no": order["out_trade_no"]})
    assert node["trade_status"] == "TRADE_CLOSED"
    assert "send_pay_date" not in node
    refused = stand_in.control("pay", channel="alipay", out_trade_no=order["out_trade_no"])
    assert refused["status_code"] == 409


def test_an_address_is_worthless_after_its_time(stand_in, alipay):
    order = alipay.order(time_expire=beijing(seconds=-5))
    answer = stand_in.control("open", url=alipay.address("alipay.trade.page.pay", order))
    assert answer["status_code"] == 409


def test_an_address_may_be_opened_long_after_it_was_made(stand_in, alipay):
    order = alipay.order()
    address = alipay.address("alipay.trade.page.pay", order, timestamp=beijing(days=-1))
    assert stand_in.control("open", url=address)["status_code"] == 200


def test_close_ends_only_what_waits_for_its_buyer(stand_in, alipay, alipay_paid):
    order = alipay.order()
    stand_in.control("open", url=alipay.address("alipay.trade.page.pay", order))
    query = {"out_trade_no": order["out_trade_no"]}
    assert alipay.node("alipay.trade.close", query)["code"] == "10000"
    assert alipay.node("alipay.trade.close", query)["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    paid = {"out_trade_no": alipay_paid["out_trade_no"]}
    assert alipay.node("alipay.trade.close", paid)["sub_code"] == "ACQ.TRADE_STATUS_ERROR"


def test_cancel_closes_or_refunds_face_to_face_trades_and_no_others(stand_in, alipay, alipay_paid):
    order = alipay.order(product_code=...)
    alipay.node("alipay.trade.precreate", order)
    query = {"out_trade_no": order["out_trade_no"]}
    assert alipay.node("alipay.trade.cancel", query)["action"] == "close"
    paid = alipay.order(product_code=...)
    alipay.node("alipay.trade.precreate", paid)
    stand_in.control("pay", channel="alipay", out_trade_no=paid["out_trade_no"])
    query = {"out_trade_no": paid["out_trade_no"]}
    assert alipay.node("alipay.trade.cancel", query)["action"] == "refund"
    assert alipay.node(QUERY, query)["trade_status"] == "TRADE_CLOSED"
    assert alipay.node("alipay.trade.cancel", {"out_trade_no": number()})["code"] == "10000"
    web = {"out_trade_no": alipay_paid["out_trade_no"]}
    assert alipay.node("alipay.trade.cancel", web)["sub_code"] == "ACQ.INVALID_PARAMETER"


def refund(alipay, order, amount, request_no=..., **changes):
    content = {
        "out_trade_no": order["out_trade_no"],
        "refund_amount": amount,
        "out_request_no": request_no,
    }
    content = {name: value for name, value in content.items() if value is not ...}
    return alipay.node("alipay.trade.refund", content | changes)


def test_the_first_refund_changes_funds_and_the_repetition_does_not(alipay, alipay_paid):
    first = refund(alipay, alipay_paid, "10.00", "R1")
    again = refund(alipay, alipay_paid, "10.00", "R1")
    assert (first["fund_change"], first["refund_fee"]) == ("Y", "10.00")
    assert (again["fund_change"], again["refund_fee"]) == ("N", "10.00")


def test_refund_fee_is_cumulative_and_a_full_refund_closes_the_trade(alipay, alipay_paid):
    query = {"out_trade_no": alipay_paid["out_trade_no"]}
    refund(alipay, alipay_paid, "10.00", "R1")
    assert alipay.node(QUERY, query)["trade_status"] == "TRADE_SUCCESS"
    assert refund(alipay, alipay_paid, "20.00", "R2")["refund_fee"] == "30.00"
    node = alipay.node(QUERY, query)
    assert node["trade_status"] == "TRADE_CLOSED"
    assert "send_pay_date" in node
    assert refund(alipay, alipay_paid, "20.00", "R2")["fund_change"] == "N"


@pytest.mark.parametrize(
    ("amount", "request_no", "sub_code"),
    [
        ("30.01", "R9", "ACQ.REASON_TRADE_REFUND_FEE_ERR"),
        ("10.00", ..., "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
        ("0", "R9", "ACQ.INVALID_PARAMETER"),
        ("1.001", "R9", "ACQ.INVALID_PARAMETER"),
    ],
)
def test_it_refuses_a_wrong_refund(alipay, alipay_paid, amount, request_no, sub_code):
    assert refund(alipay, alipay_paid, amount, request_no)["sub_code"] == sub_code


def test_a_request_number_keeps_its_amount(alipay, alipay_paid):
    refund(alipay, alipay_paid, "10.00", "R1")
    node = refund(alipay, alipay_paid, "11.00", "R1")
    assert node["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"


def test_unpaid_unknown_and_finished_trades_are_not_refunded(stand_in, alipay, alipay_paid):
    assert refund(alipay, alipay.order(), "1.00", "R1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    order = alipay.order()
    stand_in.control("open", url=alipay.address("alipay.trade.page.pay", order))
    assert refund(alipay, order, "1.00", "R1")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    stand_in.control("finish", channel="alipay", out_trade_no=alipay_paid["out_trade_no"])
    assert refund(alipay, alipay_paid, "1.00", "R1")["sub_code"] == "ACQ.TRADE_HAS_FINISHED"


def test_a_seller_short_of_money_retries_with_the_same_number(stand_in, alipay, alipay_paid):
    stand_in.control("settings", merchant_short=True)
    node = refund(alipay, alipay_paid, "1.00", "R1")
    assert node["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    stand_in.control("settings", merchant_short=False)
    assert refund(alipay, alipay_paid, "1.00", "R1")["fund_change"] == "Y"


def test_refunds_of_one_trade_keep_their_distance(stand_in, alipay, alipay_paid):
    stand_in.control("settings", spacing_factor=1)
    refund(alipay, alipay_paid, "1.00", "R1")
    assert refund(alipay, alipay_paid, "1.00", "R2")["sub_code"] == "ACQ.SYSTEM_ERROR"
    stand_in.control("settings", spacing_factor=0)
    assert refund(alipay, alipay_paid, "1.00", "R2")["fund_change"] == "Y"


def refund_query(alipay, order, request_no, **changes):
    content = {"out_trade_no": order["out_trade_no"], "out_request_no": request_no}
    return alipay.node("alipay.trade.fastpay.refund.query", content | changes)


def test_an_unknown_refund_is_a_success_without_a_status(alipay, alipay_paid):
    assert refund_query(alipay, alipay_paid, "R0") == {"code": "10000", "msg": "Success"}


def test_a_done_refund_has_its_status_and_extras_on_request(alipay, alipay_paid):
    refund(alipay, alipay_paid, "10.00", "R1")
    plain = refund_query(alipay, alipay_paid, "R1")
    assert (plain["refund_status"], plain["refund_amount"]) == ("REFUND_SUCCESS", "10.00")
    assert "gmt_refund_pay" not in plain
    extra = refund_query(alipay, alipay_paid, "R1", query_options=["gmt_refund_pay"])
    assert "gmt_refund_pay" in extra


def test_a_slow_refund_answers_n_first_and_settles_later(stand_in, alipay, alipay_paid):
    stand_in.control("settings", alipay_refund_async=True)
    assert refund(alipay, alipay_paid, "10.00", "R1")["fund_change"] == "N"

    def status():
        return refund_query(alipay, alipay_paid, "R1").get("refund_status")

    assert wait_for(status, "REFUND_SUCCESS") == "REFUND_SUCCESS"


def test_a_failed_refund_may_use_its_number_again(stand_in, alipay, alipay_paid):
    stand_in.control("settings", alipay_refund_async=True, refund_delay_seconds=60)
    refund(alipay, alipay_paid, "10.00", "R1")
    key = {"channel": "alipay", "out_trade_no": alipay_paid["out_trade_no"]}
    stand_in.control("settle", **key, out_refund_no="R1", status="CLOSED")
    assert "refund_status" not in refund_query(alipay, alipay_paid, "R1")
    stand_in.control("settings", alipay_refund_async=False)
    assert refund(alipay, alipay_paid, "10.00", "R1")["fund_change"] == "Y"


def test_certificate_mode_names_the_certificates_of_both_sides(alipay):
    from cryptography import x509

    from simulator import keys

    def sn(name):
        return keys.alipay_sn(x509.load_pem_x509_certificate(alipay.config.pem(f"{name}_cert.pem")))

    serials = {"app_cert_sn": sn("alipay_app"), "alipay_root_cert_sn": sn("alipay_root")}
    answer = alipay.call(QUERY, {"out_trade_no": "T"}, **serials)
    assert alipay.verifies(answer)
    assert answer.json["alipay_cert_sn"] == sn("alipay")
    wrong = alipay.call(QUERY, {"out_trade_no": "T"}, **(serials | {"app_cert_sn": "0" * 32}))
    assert gateway_error(wrong) == ("40002", "isv.invalid-app-cert-sn")


def test_json_numbers_keep_their_text(alipay):
    order = alipay.order(product_code=..., total_amount=30.5)
    assert alipay.node("alipay.trade.precreate", order)["code"] == "10000"
    assert json.dumps(30.5) == "30.5"


def test_utc_is_not_beijing_time(alipay):
    utc = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    answer = alipay.call(QUERY, {"out_trade_no": "T"}, timestamp=utc)
    assert gateway_error(answer) == ("40002", "isv.invalid-timestamp")
