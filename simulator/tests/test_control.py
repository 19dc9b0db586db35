"""Steering by POST /_control/…, and the pages that people press."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from simulator.tests.clients import number, send


def post(stand_in, path, body, headers=None):
    return send(stand_in.base_url, "POST", path, body, headers or {})


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"]
)
def test_pay_takes_any_content_type(stand_in, wechat, kind):
    order = wechat.order()
    wechat.prepay(order)
    body = json.dumps({"channel": "wechat", "out_trade_no": order["out_trade_no"]}).encode()
    answer = post(stand_in, "/_control/pay", body, {"Content-Type": kind})
    assert (answer.status, answer.json["paid"]) == (200, True)
    again = post(stand_in, "/_control/pay", body)
    assert again.json["already_paid"] is True


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_pay_says_when_it_has_never_seen_a_number(stand_in, channel):
    answer = stand_in.control("pay", channel=channel, out_trade_no=number())
    assert answer["status_code"] == 404
    assert "没有见过" in answer["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"channel":"bank","out_trade_no":"T"}', b'{"channel":1}']
)
def test_pay_refuses_what_names_no_payment(stand_in, body):
    assert post(stand_in, "/_control/pay", body).status == 400


def test_closed_payments_are_paid_by_nothing_but_a_late_payment(stand_in, wechat):
    """The buyer's payment was under way when the close was answered."""
    order = wechat.order()
    wechat.prepay(order)
    wechat.close(order["out_trade_no"])
    key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
    assert stand_in.control("pay", **key)["status_code"] == 409
    assert stand_in.control("pay_late", **key)["payment"]["state"] == "PAID"
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "SUCCESS"


def test_paying_twice_pays_another_attempt_at_the_same_order(stand_in, wechat):
    first = wechat.order(out_trade_no=number()[:20])
    second = wechat.order(out_trade_no=first["out_trade_no"] + "A01")
    stranger = wechat.order()
    for order in (first, second, stranger):
        wechat.prepay(order)
    key = {"channel": "wechat", "out_trade_no": first["out_trade_no"]}
    stand_in.control("pay", **key)
    answer = stand_in.control("pay_twice", **key)
    assert answer["payment"]["out_trade_no"] == second["out_trade_no"]
    assert stand_in.control("pay_twice", **key)["status_code"] == 404
    named = stand_in.control("pay_twice", **key, other=stranger["out_trade_no"])
    assert named["payment"]["out_trade_no"] == stranger["out_trade_no"]


def test_an_attempt_that_was_closed_is_paid_as_well(stand_in, wechat):
    """A merchant closes the attempt before when the patient changes the way of paying."""
    first = wechat.order(out_trade_no=number()[:20])
    second = wechat.order(out_trade_no=first["out_trade_no"] + "A01")
    wechat.prepay(first)
    wechat.close(first["out_trade_no"])
    wechat.prepay(second)
    stand_in.control("pay_twice", channel="wechat", out_trade_no=second["out_trade_no"])
    states = [wechat.query(order["out_trade_no"]).json["trade_state"] for order in (first, second)]
    assert states == ["SUCCESS", "SUCCESS"]


def test_paying_twice_pays_nothing_when_there_is_nothing_else_to_pay(stand_in, wechat):
    order = wechat.order()
    wechat.prepay(order)
    key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
    assert stand_in.control("pay_twice", **key)["status_code"] == 404
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "NOTPAY"


def test_a_wrong_amount_is_wrong_in_notice_and_query(stand_in, wechat, listener):
    url = listener.address((204, b""))
    order = wechat.order(notify_url=url)
    wechat.prepay(order)
    stand_in.control("pay_wrong", channel="wechat", out_trade_no=order["out_trade_no"])
    assert wechat.opened(listener.next(url))["amount"]["total"] == 3001
    assert wechat.query(order["out_trade_no"]).json["amount"]["total"] == 3001


def test_a_silent_payment_is_found_by_asking_only(stand_in, wechat, listener):
    url = listener.address()
    order = wechat.order(notify_url=url)
    wechat.prepay(order)
    stand_in.control("pay_silently", channel="wechat", out_trade_no=order["out_trade_no"])
    assert listener.is_silent(url)
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "SUCCESS"


def test_the_switch_of_h5_payments_from_this_machine_turns(stand_in, wechat):
    own = {"payer_client_ip": "127.0.0.1", "h5_info": {"type": "Wap"}}
    seen = []
    for _ in range(2):
        seen.append(wechat.prepay(wechat.order("h5", scene_info=own), "h5").status)
        stand_in.control("turn_h5_check")
    assert seen == [200, 400]


def test_the_switch_of_a_short_account_turns(stand_in):
    seen = [stand_in.control("turn_merchant_short")["merchant_short"] for _ in range(2)]
    assert seen == [True, False]


def test_a_failed_try_leaves_the_order_payable(stand_in, wechat):
    order = wechat.order()
    wechat.prepay(order)
    key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
    stand_in.control("fail", **key)
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "NOTPAY"
    stand_in.control("fail", **key, payerror=True)
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "PAYERROR"
    assert stand_in.control("pay", **key)["paid"] is True
    assert stand_in.control("fail", **key)["status_code"] == 409


def test_closing_from_outside(stand_in, wechat):
    order = wechat.order()
    wechat.prepay(order)
    stand_in.control("close", channel="wechat", out_trade_no=order["out_trade_no"])
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "CLOSED"


def test_a_console_refund_is_in_the_books_and_marked(stand_in, wechat, paid, listener):
    url = listener.address((200, b""))
    stand_in.control("settings", console_refund_notify_url=url)
    key = {"channel": "wechat", "out_trade_no": paid["out_trade_no"]}
    refund = stand_in.control("refund", **key, amount_fen=1000)["refund"]
    assert refund["outside"] is True
    assert wechat.query(paid["out_trade_no"]).json["trade_state"] == "REFUND"
    assert wechat.opened(listener.next(url))["out_refund_no"] == refund["out_refund_no"]
    assert stand_in.control("refund", **key, amount_fen=2001)["status_code"] == 400 + 9
    assert stand_in.control("refund", **key)["refund"]["amount_fen"] == 2000


def test_the_books_add_up(start):
    with start(spacing_factor=0) as stand_in:
        from simulator.tests.clients import WechatClient

        wechat = WechatClient(stand_in.config)
        order = wechat.order()
        wechat.prepay(order)
        wechat.prepay(wechat.order())
        key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
        stand_in.control("pay", **key)
        refund = stand_in.control("refund", **key, amount_fen=1)["refund"]
        stand_in.control("settle", **key, out_refund_no=refund["out_refund_no"], status="SUCCESS")
        books = stand_in.shown("books")
    assert books["totals"]["wechat"] == {
        "paid_count": 1, "paid_fen": 3000, "refunded_count": 1, "refunded_fen": 1,
    }  # fmt: skip
    assert [payment["state"] for payment in books["payments"]] == ["PAID", "OPEN"]
    assert books["payments"][0]["refunded_fen"] == 1


def test_a_settled_refund_stays_settled(stand_in, wechat, paid):
    key = {"channel": "wechat", "out_trade_no": paid["out_trade_no"]}
    refund = stand_in.control("refund", **key)["refund"]
    name = {"out_refund_no": refund["out_refund_no"]}
    assert stand_in.control("settle", **key, **name, status="SUCCESS")["status_code"] == 200
    assert stand_in.control("settle", **key, **name, status="CLOSED")["status_code"] == 409
    assert stand_in.control("settle", **key, **name, status="DONE")["status_code"] == 400


@pytest.mark.parametrize(
    "body",
    [
        {"other": 1},
        {"notify_factor": "1"},
        {"merchant_short": 1},
        {"notify_factor": -1},
        {"refund_outcome": "X"},
    ],
)
def test_it_refuses_settings_that_do_not_exist(stand_in, body):
    before = stand_in.shown("settings")
    assert stand_in.control("settings", **body)["status_code"] == 400
    assert stand_in.shown("settings") == before


@pytest.mark.parametrize(
    "headers",
    [{"Host": "pay.example.com"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
def test_pages_from_elsewhere_cannot_steer(stand_in, headers):
    assert post(stand_in, "/_control/pay", b"{}", headers).status == 403


def test_the_page_shows_escaped_text_and_its_buttons_work(stand_in, wechat):
    order = wechat.order(description="<script>alert(1)</script>")
    code = wechat.prepay(order).json["code_url"]
    page = stand_in.get("/").body.decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert code in page
    assert 'name="viewport"' in page
    form = f"action=pay&channel=wechat&out_trade_no={order['out_trade_no']}".encode()
    answer = post(stand_in, "/do", form)
    assert answer.status == 303
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "SUCCESS"
    said = stand_in.get("/?said=%3Cb%3E").body.decode()
    assert "&lt;b&gt;" in said


def test_the_pages_buttons_settle_and_refund(stand_in, wechat, paid):
    key = f"channel=wechat&out_trade_no={paid['out_trade_no']}"
    stand_in.control("settings", refund_delay_seconds=60)
    post(stand_in, "/do", f"action=refund&{key}".encode())
    refund = next(
        r for r in stand_in.shown("books")["refunds"] if r["out_trade_no"] == paid["out_trade_no"]
    )
    form = f"action=settle_ABNORMAL&{key}&out_refund_no={refund['out_refund_no']}".encode()
    post(stand_in, "/do", form)
    assert wechat.query_refund(refund["out_refund_no"]).json["status"] == "ABNORMAL"


def test_the_pages_switches_set_faults(stand_in):
    post(stand_in, "/faults", b"slow=5&slow_seconds=1.5")
    shown = stand_in.shown("faults")
    assert (shown["percent"]["slow"], shown["slow_seconds"]) == (5, 1.5)


def test_an_h5_address_is_a_page_that_returns_to_the_merchant(stand_in, wechat):
    order = wechat.order("h5")
    parts = urlsplit(wechat.prepay(order, "h5").json["h5_url"])
    target = f"{parts.path}?{parts.query}&redirect_url=https%3A%2F%2Fshop.example%2Fdone"
    page = stand_in.get(target).body.decode()
    assert "https://shop.example/done" in page
    form = (
        f"action=pay&channel=wechat&out_trade_no={order['out_trade_no']}"
        "&redirect_url=https%3A%2F%2Fshop.example%2Fdone"
    )
    answer = post(stand_in, "/cashier", form.encode())
    assert answer.headers["Location"] == "https://shop.example/done"


def test_unknown_places_are_404_and_big_bodies_413(stand_in):
    assert stand_in.get("/nowhere").status == 404
    assert stand_in.get("/_control/nowhere").status == 404
    parts = urlsplit(stand_in.base_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    connection.putrequest("POST", "/_control/pay")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_connections_are_kept_alive(stand_in):
    parts = urlsplit(stand_in.base_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/_control/faults")
        assert connection.getresponse().read()
        socket = connection.sock
    assert socket is connection.sock
    assert socket is not None
    connection.close()
