"""What merchants are told: signed, repeated, twisted on demand, and never sent elsewhere."""

import json
import sqlite3
import threading
from types import SimpleNamespace

import pytest
from cryptography.exceptions import InvalidTag

from simulator.notify import WECHAT_WAITS, Notifier
from simulator.tests.clients import WechatClient, verifies_wechat, wait_for


def wechat_paid(stand_in, wechat, url):
    order = wechat.order(notify_url=url)
    assert wechat.prepay(order).status == 200
    stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
    return order


def alipay_paid(stand_in, alipay, url, **changes):
    order = alipay.order(**changes)
    address = alipay.address("alipay.trade.page.pay", order, notify_url=url)
    number = order["out_trade_no"]
    assert stand_in.control("pay", channel="alipay", out_trade_no=number, url=address)["paid"]
    return order


def test_a_wechat_payment_is_told_sealed_and_signed(stand_in, wechat, listener):
    url = listener.address((200, b""))
    order = wechat_paid(stand_in, wechat, url)
    notice = listener.next(url)
    assert verifies_wechat(wechat.keys, notice.headers, notice.body)
    assert json.loads(notice.body)["event_type"] == "TRANSACTION.SUCCESS"
    plain = wechat.opened(notice)
    assert plain == wechat.query(order["out_trade_no"]).json
    assert listener.is_silent(url, 0.2)


def test_a_wechat_refund_is_told_at_its_own_address(stand_in, wechat, paid, listener):
    url = listener.address((204, b""))
    body = wechat.refund_body(paid, 1000, notify_url=url)
    wechat.refund(body)
    plain = wechat.opened(listener.next(url))
    assert plain["refund_status"] == "SUCCESS"
    assert plain["out_refund_no"] == body["out_refund_no"]
    assert "status" not in plain
    assert "appid" not in plain


def test_wechat_repeats_until_200_under_the_same_id(stand_in, wechat, listener):
    url = listener.address((500, b"{}"), (302, b""), (201, b""), (200, b""))
    wechat_paid(stand_in, wechat, url)
    notices = [listener.next(url) for _ in range(4)]
    assert len({json.loads(notice.body)["id"] for notice in notices}) == 1
    assert len({notice.headers["Wechatpay-Nonce"] for notice in notices}) == 4
    assert listener.is_silent(url, 0.2)


def test_wechat_keeps_to_its_schedule_and_gives_up_after_fifteen_repetitions(
    stand_in, wechat, listener
):
    stand_in.control("settings", notify_factor=0.000002)
    url = listener.address((500, b""))
    wechat_paid(stand_in, wechat, url)
    for _ in range(1 + len(WECHAT_WAITS)):
        listener.next(url)
    assert len(WECHAT_WAITS) == 15
    assert listener.is_silent(url, 0.2)


def test_an_alipay_payment_is_told_and_signed_without_sign_type(stand_in, alipay, listener):
    url = listener.address()
    order = alipay_paid(stand_in, alipay, url, subject='复诊 "A/B" {1}')
    form = listener.next(url).form
    assert alipay.notice_verifies(form)
    assert form["trade_status"] == "TRADE_SUCCESS"
    assert form["total_amount"] == "30.00"
    assert form["out_trade_no"] == order["out_trade_no"]
    assert form["subject"] == order["subject"]
    assert form["seller_id"] == alipay.config.alipay["seller_id"]
    assert "refund_fee" not in form


@pytest.mark.parametrize("almost", [b"success\n", b"SUCCESS", b'"success"', b"", b"failure"])
def test_alipay_takes_nothing_but_the_seven_letters(stand_in, alipay, listener, almost):
    stand_in.control("settings", notify_factor=0.0001)
    url = listener.address((200, almost), (200, b"success"))
    alipay_paid(stand_in, alipay, url)
    first, second = listener.next(url).form, listener.next(url).form
    assert first["notify_id"] == second["notify_id"]
    assert listener.is_silent(url, 0.15)


def test_alipay_gives_up_after_eight_deliveries(stand_in, alipay, listener):
    stand_in.control("settings", notify_factor=0.000001)
    url = listener.address((500, b"success"))
    alipay_paid(stand_in, alipay, url)
    for _ in range(8):
        listener.next(url)
    assert listener.is_silent(url, 0.2)


def test_alipay_refunds_are_told_at_the_payments_address(stand_in, alipay, listener):
    url = listener.address()
    order = alipay_paid(stand_in, alipay, url)
    listener.next(url)
    number = order["out_trade_no"]
    for amount, request_no in (("10.00", "R1"), ("20.00", "R2")):
        content = {"out_trade_no": number, "refund_amount": amount, "out_request_no": request_no}
        alipay.node("alipay.trade.refund", content)
    told = sorted((listener.next(url).form for _ in range(2)), key=lambda form: form["out_biz_no"])
    assert [form["trade_status"] for form in told] == ["TRADE_SUCCESS", "TRADE_CLOSED"]
    assert [form["refund_fee"] for form in told] == ["10.00", "30.00"]
    assert [form["out_biz_no"] for form in told] == ["R1", "R2"]
    assert all("gmt_refund" in form and alipay.notice_verifies(form) for form in told)


@pytest.mark.parametrize(("scene", "is_told"), [("wap", True), ("page", False)])
def test_closing_unpaid_is_told_for_some_products_only(stand_in, alipay, listener, scene, is_told):
    url = listener.address()
    product = {"wap": "QUICK_WAP_WAY", "page": "FAST_INSTANT_TRADE_PAY"}[scene]
    order = alipay.order(product_code=product)
    stand_in.control("open", url=alipay.address(f"alipay.trade.{scene}.pay", order, notify_url=url))
    alipay.node("alipay.trade.close", {"out_trade_no": order["out_trade_no"]})
    if is_told:
        form = listener.next(url).form
        assert form["trade_status"] == "TRADE_CLOSED"
        assert not {"refund_fee", "gmt_refund"} & set(form)
    else:
        assert listener.is_silent(url)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/notify", "http://0.0.0.0/notify", "http://does-not-exist.invalid/n"]
)
def test_only_loopback_is_ever_called(stand_in, wechat, url):
    wechat_paid(stand_in, wechat, url)

    def newest():
        notice = stand_in.shown("state")["notices"][0]
        return notice["url"], notice["state"]

    assert wait_for(newest, (url, "refused")) == (url, "refused")


WECHAT_CONTENT = {
    "wrong_merchant": lambda plain: plain["mchid"],
    "wrong_app": lambda plain: plain["appid"],
    "wrong_amount": lambda plain: plain["amount"]["total"],
    "wrong_currency": lambda plain: plain["amount"]["currency"],
    "unknown_order": lambda plain: plain["out_trade_no"],
}


@pytest.fixture
def told(stand_in, wechat, listener):
    url = listener.address((200, b""))
    order = wechat_paid(stand_in, wechat, url)
    return order, url, listener.next(url)


def again(stand_in, channel, order, **body):
    number = order["out_trade_no"]
    return stand_in.control("notify", channel=channel, out_trade_no=number, **body)


@pytest.mark.parametrize("twist", WECHAT_CONTENT)
def test_a_wrong_in_the_content_is_signed_rightly(stand_in, wechat, told, listener, twist):
    order, url, right = told
    again(stand_in, "wechat", order, twists=[twist])
    wrong = listener.next(url)
    assert verifies_wechat(wechat.keys, wrong.headers, wrong.body)
    read = WECHAT_CONTENT[twist]
    assert read(wechat.opened(wrong)) != read(wechat.opened(right))


@pytest.mark.parametrize(
    "twist", ["stale", "future", "tampered", "old_key", "wrong_key", "by_certificate"]
)
def test_a_wrong_in_the_envelope_leaves_the_content_right(stand_in, wechat, told, listener, twist):
    order, url, _ = told
    answer = again(stand_in, "wechat", order, twists=[twist])
    assert answer["answers"][0]["status"] == 200
    notice = listener.next(url)
    keys = dict(wechat.keys)
    is_known_key = notice.headers["Wechatpay-Serial"] in keys
    assert is_known_key == (twist != "old_key")
    if twist == "by_certificate":
        assert notice.headers["Wechatpay-Serial"] == wechat.config.wechat["platform_serial_no"]
        assert verifies_wechat(keys, notice.headers, notice.body)
    else:
        assert not verifies_wechat(keys, notice.headers, notice.body)
    assert wechat.opened(notice)["amount"]["total"] == 3000


def test_a_probe_begins_with_signtest_and_does_not_verify(stand_in, wechat, told, listener):
    order, url, _ = told
    again(stand_in, "wechat", order, twists=["signtest"])
    notice = listener.next(url)
    assert notice.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    assert not verifies_wechat(wechat.keys, notice.headers, notice.body)


def test_a_tampered_ciphertext_is_signed_rightly_and_does_not_open(
    stand_in, wechat, told, listener
):
    order, url, _ = told
    again(stand_in, "wechat", order, twists=["tampered_ciphertext"])
    notice = listener.next(url)
    assert verifies_wechat(wechat.keys, notice.headers, notice.body)
    with pytest.raises(InvalidTag):
        wechat.opened(notice)


def test_fifty_at_once(stand_in, told, listener):
    order, url, _ = told
    answer = again(stand_in, "wechat", order, copies=50, concurrent=True)
    assert len(answer["answers"]) == 50
    assert len([listener.next(url) for _ in range(50)]) == 50


@pytest.mark.parametrize(
    ("twist", "name"),
    [
        ("wrong_merchant", "seller_id"),
        ("wrong_app", "app_id"),
        ("wrong_amount", "total_amount"),
        ("unknown_order", "out_trade_no"),
    ],
)
def test_alipay_wrongs_in_the_content_are_signed_rightly(stand_in, alipay, listener, twist, name):
    url = listener.address()
    order = alipay_paid(stand_in, alipay, url)
    right = listener.next(url).form
    again(stand_in, "alipay", order, twists=[twist])
    wrong = listener.next(url).form
    assert alipay.notice_verifies(wrong)
    assert wrong[name] != right[name]


@pytest.mark.parametrize("twist", ["tampered", "old_key", "with_sign_type"])
def test_alipay_wrongs_in_the_signature_do_not_verify(stand_in, alipay, listener, twist):
    url = listener.address()
    order = alipay_paid(stand_in, alipay, url)
    listener.next(url)
    again(stand_in, "alipay", order, twists=[twist])
    assert not alipay.notice_verifies(listener.next(url).form)


def test_an_unknown_twist_is_refused(stand_in, told):
    order, _, _ = told
    assert again(stand_in, "wechat", order, twists=["nonsense"])["status_code"] == 400


def test_held_notices_are_released_in_reverse(stand_in, wechat, listener):
    stand_in.control("settings", hold_notices=True)
    url = listener.address((200, b""))
    order = wechat_paid(stand_in, wechat, url)
    wechat.refund(wechat.refund_body(order, 1, notify_url=url))
    wait_for(lambda: wechat.query(order["out_trade_no"]).json["trade_state"], "REFUND")
    assert listener.is_silent(url, 0.3)
    stand_in.control("settings", hold_notices=False)
    assert stand_in.control("release", order="reverse")["released"] >= 2
    kinds = [json.loads(listener.next(url).body)["event_type"] for _ in range(2)]
    assert kinds == ["REFUND.SUCCESS", "TRANSACTION.SUCCESS"]


def test_during_a_migration_notifications_come_under_both_keys(mixed, listener):
    client = WechatClient(mixed.config)
    url = listener.address((200, b""))
    order = wechat_paid(mixed, client, url)
    notices = [listener.next(url)]
    again(mixed, "wechat", order, copies=30)
    notices += [listener.next(url) for _ in range(30)]
    serials = set()
    for notice in notices:
        assert verifies_wechat(client.keys, notice.headers, notice.body)
        serials.add(notice.headers["Wechatpay-Serial"])
    assert serials == set(client.keys)


def test_a_failed_look_at_what_is_due_does_not_end_the_notifier():
    class Busy(Notifier):
        looks = 0

        def _do_due(self):
            self.looks += 1
            self._machine.store.changed.set()
            if self.looks == 1:
                raise sqlite3.OperationalError("database is locked")
            self._machine.stopping.set()
            return 0.0

    store = SimpleNamespace(changed=threading.Event())
    notifier = Busy(SimpleNamespace(stopping=threading.Event(), store=store))
    notifier._run()
    assert notifier.looks == 2
