"""Paying an order: from the balance at once, or starting a payment at a gateway."""

import json
import re
from decimal import Decimal

import pytest

from gateways.errors import not_sent
from gateways.mock import MockGateway
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.endings import orders_expire
from tests.api.kit import nothing_moves
from tests.api.test_orders import order_in

ANSWER_FIELDS = {
    "order_id", "order_no", "payment_method", "payment_url", "qr_code", "prepay_data",
}  # fmt: skip


def pay_body(order, method="balance", **fields) -> dict:
    return {"order_id": order["id"], "payment_method": method} | fields


def attempts_of(order) -> list[PaymentTransaction]:
    return list(
        PaymentTransaction.objects.filter(order_id=order["id"]).order_by("initiated_at", "id")
    )


# --- from the balance -------------------------------------------------------------------------


def test_it_takes_exactly_the_amount_and_writes_who_and_why(api, story, clock, rich_patient):
    order = story.order(rich_patient, "30.00", description="图文咨询服务")
    clock.advance(minutes=5)
    answer = api.post("pay", pay_body(order), by=rich_patient)
    assert answer.accepted() == {
        "order_id": order["id"],
        "order_no": order["order_no"],
        "payment_method": "balance",
        "payment_url": None,
        "qr_code": None,
        "prepay_data": None,
    }
    assert answer.message == "支付发起成功"
    account = story.balance(rich_patient)
    figures = ("balance", "frozen_balance", "total_income", "total_expense")
    assert [account[name] for name in figures] == ["70.00", "0.00", "100.00", "30.00"]
    newest = story.entries(rich_patient)[0]
    expected = {
        "user_id": rich_patient.name,
        "transaction_type": "expense",
        "amount": "30.00",
        "balance_before": "100.00",
        "balance_after": "70.00",
        "related_type": "order",
        "related_id": order["id"],
        "description": "图文咨询服务",
    }
    assert {name: newest[name] for name in expected} == expected


def test_the_order_says_how_and_when_it_was_paid(story, clock, rich_patient):
    order = story.order(rich_patient)
    clock.advance(minutes=5)
    story.pay(order, rich_patient)
    paid = story.reread(order, rich_patient)
    assert paid["status"] == "paid"
    assert paid["payment_method"] == "balance"
    assert paid["payment_time"] == "2026-11-24T02:05:00.000000Z"
    assert paid["updated_at"] == paid["payment_time"]
    [payment] = attempts_of(order)
    assert (payment.status, payment.disposition) == ("success", "applied")
    assert (payment.transaction_type, payment.amount) == ("payment", Decimal("30.00"))
    assert re.fullmatch(r"TXN20261124100500[0-9A-Z]{1,11}", payment.transaction_no)


def test_the_last_fen_can_be_spent(story, patient):
    story.fund(patient, "30.00")
    story.paid_from_balance(patient, "30.00")
    assert story.balance(patient)["balance"] == "0.00"


@pytest.mark.parametrize("held", ["29.99", "0.01"])
def test_one_fen_too_little_is_too_little(api, story, patient, held):
    story.fund(patient, held)
    order = story.order(patient, "30.00")
    with nothing_moves():
        answer = api.post("pay", pay_body(order), by=patient)
    assert answer.refused(400, "INSUFFICIENT_BALANCE").message == "余额不足"


def test_a_patient_without_an_account_has_nothing(api, story, patient):
    order = story.order(patient)
    api.post("pay", pay_body(order), by=patient).refused(400, "INSUFFICIENT_BALANCE")
    assert story.status(order, patient) == "pending"
    story.fund(patient, "30.00")
    story.pay(order, patient)


def test_frozen_money_does_not_count(api, story, rich_patient):
    from balances.services import balance_freeze
    from tcmpay.common.actor import SYSTEM

    balance_freeze(user_id=rich_patient.id, amount=Decimal("70.01"), reason="x", actor=SYSTEM)
    order = story.order(rich_patient)
    with nothing_moves():
        answer = api.post("pay", pay_body(order), by=rich_patient)
    answer.refused(400, "INSUFFICIENT_BALANCE")


@pytest.mark.parametrize("method", ["balance", "wechat", "alipay"])
@pytest.mark.parametrize("state", ["paid", "partial_refunded", "refunded", "cancelled"])
def test_only_a_pending_order_can_be_paid(api, story, clock, rich_patient, admin, state, method):
    order = order_in(state, story, clock, rich_patient, admin)
    with nothing_moves():
        answer = api.post("pay", pay_body(order, method), by=rich_patient)
    assert answer.refused(400, "ORDER_NOT_PAYABLE").message == "订单状态不正确"


@pytest.mark.parametrize("method", ["balance", "wechat", "alipay"])
@pytest.mark.parametrize("is_swept", [False, True])
def test_an_order_past_its_time_is_expired_swept_or_not(
    api, story, clock, rich_patient, method, is_swept
):
    order = story.order(rich_patient)
    clock.advance(hours=2)
    if is_swept:
        orders_expire()
    with nothing_moves():
        answer = api.post("pay", pay_body(order, method), by=rich_patient)
    assert answer.refused(400, "ORDER_EXPIRED").message == "订单已过期"


@pytest.mark.parametrize("method", ["balance", "wechat", "alipay"])
def test_one_second_before_its_time_it_can_be_paid(api, story, clock, rich_patient, method):
    order = story.order(rich_patient)
    clock.advance(hours=2, seconds=-1)
    api.post("pay", pay_body(order, method), by=rich_patient).accepted()


@pytest.mark.parametrize(
    "method", ["cash", "BALANCE", "unionpay", "wechat ;", "余额", "alipay\u200b"]
)
def test_another_method_is_not_supported(api, story, rich_patient, method):
    order = story.order(rich_patient)
    with nothing_moves():
        answer = api.post("pay", pay_body(order, method), by=rich_patient)
    assert answer.refused(400, "UNSUPPORTED_METHOD").message == "不支持的支付方式"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", "1"),
        ("order_id", None),
        ("payment_method", None),
        ("payment_method", ""),
        ("payment_method", 1),
        ("payment_method", ["balance"]),
        ("payment_method", "x" * 33),
        ("amount", "0.01"),
        ("user_id", "0192f0c1-2345-7abc-8def-0123456789ab"),
        ("scene", "x" * 17),
        ("openid", "x" * 129),
    ],
)
def test_a_wrong_field_is_refused(api, story, rich_patient, field, value):
    order = story.order(rich_patient)
    with nothing_moves():
        api.post("pay", pay_body(order) | {field: value}, by=rich_patient).invalid(field)


# --- at a gateway -----------------------------------------------------------------------------

# (method, scene asked for, scene taken, the field of the answer that is filled)
SCENES = [
    ("wechat", None, "native", "qr_code"),
    ("wechat", "native", "native", "qr_code"),
    ("wechat", "h5", "h5", "payment_url"),
    ("wechat", "app", "app", "prepay_data"),
    ("alipay", None, "page", "payment_url"),
    ("alipay", "wap", "wap", "payment_url"),
    ("alipay", "qr", "qr", "qr_code"),
    ("alipay", "app", "app", "prepay_data"),
]


@pytest.mark.parametrize(("method", "asked", "taken", "filled"), SCENES)
def test_a_start_gives_what_its_scene_needs(story, patient, method, asked, taken, filled):
    order = story.order(patient)
    started = story.pay(order, patient, method, **({"scene": asked} if asked else {}))
    assert set(started) == ANSWER_FIELDS
    assert (started["order_no"], started["payment_method"]) == (order["order_no"], method)
    assert [name for name in ("payment_url", "qr_code", "prepay_data") if started[name]] == [filled]
    [attempt] = attempts_of(order)
    assert (attempt.status, attempt.scene, attempt.is_mock) == ("pending", taken, True)
    assert attempt.out_trade_no == order["order_no"]
    assert story.status(order, patient) == "pending"


@pytest.mark.parametrize("scene", ["jsapi", "mini_program"])
def test_wechats_own_pages_need_an_openid(api, story, patient, scene):
    order = story.order(patient)
    answer = api.post("pay", pay_body(order, "wechat", scene=scene), by=patient)
    answer.invalid("openid")
    started = story.pay(
        order, patient, "wechat", scene=scene, openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    )
    assert started["prepay_data"]


@pytest.mark.parametrize(
    ("method", "scene"),
    [("wechat", "page"), ("alipay", "native"), ("alipay", "x"), ("wechat", "H5")],
)
def test_a_scene_of_another_gateway_is_refused(api, story, patient, method, scene):
    order = story.order(patient)
    with nothing_moves():
        api.post("pay", pay_body(order, method, scene=scene), by=patient).invalid("scene")


def test_a_start_that_can_not_even_be_written_down_is_the_gateways_no(
    api, story, patient, monkeypatch
):
    """As h5 of WeChat without the payer's address."""

    def prepare(self, request):
        raise not_sent("client address is required")

    order = story.order(patient)
    with monkeypatch.context() as patch, nothing_moves():
        patch.setattr(MockGateway, "prepare_payment", prepare)
        answer = api.post("pay", pay_body(order, "wechat", scene="h5"), by=patient)
        answer.refused(502, "GATEWAY_ERROR")
    assert story.pay(order, patient, "wechat", scene="h5")["payment_url"]


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_a_drawn_code_is_one_that_can_still_be_paid(api, story, clock, patient, settings, method):
    settings.ORDER_EXPIRE_MINUTES = 24 * 60
    order = story.order(patient)
    scene = {"wechat": "native", "alipay": "qr"}[method]
    story.pay(order, patient, method, scene=scene)
    clock.advance(minutes=114)
    drawn = api.raw("GET", f"orders/{order['id']}/qr.svg", by=patient)
    assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/svg+xml")
    clock.advance(minutes=1)
    api.get(f"orders/{order['id']}/qr.svg", by=patient).refused(404, "NOT_FOUND")
    story.pay(order, patient, method, scene=scene)
    assert api.raw("GET", f"orders/{order['id']}/qr.svg", by=patient).status_code == 200


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_starting_again_gives_the_open_attempt(story, patient, method):
    order = story.order(patient)
    first = story.pay(order, patient, method)
    with nothing_moves():
        assert story.pay(order, patient, method) == first
    assert len(attempts_of(order)) == 1


def test_another_scene_or_changed_data_is_a_new_attempt_with_a_new_number(story, patient):
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    story.pay(order, patient, "wechat", scene="jsapi", openid="oUpF8uMuAJO")
    story.pay(order, patient, "wechat", scene="jsapi", openid="oUpF8uMuAJP")
    number = order["order_no"]
    attempts = attempts_of(order)
    assert [attempt.out_trade_no for attempt in attempts] == [
        number,
        f"{number}A00",
        f"{number}A01",
    ]
    assert [attempt.status for attempt in attempts] == ["failed", "failed", "pending"]


def test_changing_the_gateway_closes_the_old_attempt(story, patient):
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    story.pay(order, patient, "alipay")
    old, new = attempts_of(order)
    assert (old.payment_method, old.status, old.error_code) == ("wechat", "failed", "CLOSED")
    assert (new.payment_method, new.status) == ("alipay", "pending")
    # Numbers are unique per gateway, so each begins with the order's own.
    assert old.out_trade_no == new.out_trade_no == order["order_no"]


def test_a_number_is_never_used_twice_at_one_gateway(story, patient):
    order = story.order(patient)
    for method in ("wechat", "alipay", "wechat", "alipay"):
        story.pay(order, patient, method)
    numbers = [(attempt.payment_method, attempt.out_trade_no) for attempt in attempts_of(order)]
    assert len(set(numbers)) == 4
    assert numbers[2] == ("wechat", f"{order['order_no']}A00")


def test_paying_from_the_balance_ends_an_open_attempt(story, rich_patient):
    order = story.order(rich_patient)
    story.pay(order, rich_patient, "wechat")
    story.pay(order, rich_patient)
    attempt, payment = attempts_of(order)
    assert (attempt.status, payment.payment_method, payment.status) == (
        "failed",
        "balance",
        "success",
    )


def test_an_attempt_dies_with_its_order_at_the_latest(story, patient):
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    [attempt] = attempts_of(order)
    assert attempt.gateway_expires_at is not None
    assert attempt.gateway_expires_at <= PaymentOrder.objects.get(id=order["id"]).expire_time


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_without_configuration_and_without_the_mock_it_is_503(
    api, settings, story, patient, method
):
    settings.MOCK_CALLBACKS = False
    order = story.order(patient)
    api.post("pay", pay_body(order, method), by=patient).refused(503, "GATEWAY_UNAVAILABLE")
    assert story.status(order, patient) == "pending"


# --- where the payer comes back to ------------------------------------------------------------

ALLOWED_BY_DEFAULT = [
    "",
    "https://yourapp.com/payment/return",
    "https://yourapp.com:8443/a?b=c&d=%2F#part",
    "http://localhost/done",
    "http://localhost:3000/done",
    "http://127.0.0.1:5173/",
]
NEVER_ALLOWED = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://app.test/",
    "//app.test/done",
    "/done",
    "done",
    "https://",
    "https:///done",
    "https:app.test",
    "https:\\\\app.test",
    "https://app.test\\@evil.test/",
    "https://user@app.test/",
    "https://user:password@app.test/",
    "https://app.test@evil.test/",
    "https://app.test/\r\nSet-Cookie: a=b",
    "https://app.test/\tx",
    "https://app.test/a b",
    "https://app.test/\u202eexe",
    "https://app\u3002test/",
    "https://app\uff0etest/",
    "https://app.test%2eevil.test/",
    "https://app.test%00.evil.test/",
    "https:/\\app.test/",
    "///app.test/",
    "https://\u0430pp.test/",
    "https://app.test:99999/",
    "https://app.test:x/",
    "https://[::1/",
    "https://app.test/" + "x" * 512,
]


@pytest.mark.parametrize("url", ALLOWED_BY_DEFAULT)
def test_the_demo_lets_the_payer_return_to_https_and_localhost(settings, story, patient, url):
    settings.DEBUG = True
    story.pay(story.order(patient), patient, "alipay", return_url=url)


@pytest.mark.parametrize("url", [*NEVER_ALLOWED, "http://app.test/done"])
def test_the_demo_refuses_every_other_address(api, settings, story, patient, url):
    settings.DEBUG = True
    order = story.order(patient)
    with nothing_moves():
        api.post("pay", pay_body(order, "alipay", return_url=url), by=patient).invalid("return_url")


def test_in_production_an_empty_list_allows_none(api, settings, story, patient):
    settings.DEBUG = False
    order = story.order(patient)
    for url in ("https://yourapp.com/", "http://localhost/"):
        answer = api.post("pay", pay_body(order, "alipay", return_url=url), by=patient)
        answer.invalid("return_url")


@pytest.mark.parametrize("debug", [True, False])
def test_a_list_of_origins_allows_exactly_these(api, settings, story, patient, debug):
    settings.DEBUG = debug
    settings.RETURN_URL_ORIGINS = ["https://app.test", "http://intranet.test:8080"]
    order = story.order(patient)
    for url in ("https://app.test/a", "https://APP.test/a?b=c", "http://intranet.test:8080/"):
        api.post("pay", pay_body(order, "alipay", return_url=url), by=patient).accepted()
    for url in [
        *NEVER_ALLOWED,
        "http://app.test/",
        "https://app.test:8443/",
        "https://app.test.evil.test/",
        "https://evil.test/https://app.test",
        "https://sub.app.test/",
        "http://intranet.test/",
        "https://localhost/",
    ]:
        answer = api.post("pay", pay_body(order, "alipay", return_url=url), by=patient)
        answer.invalid("return_url")


# --- many attempts ------------------------------------------------------------------------------


def test_another_return_url_continues_the_open_attempt(settings, story, patient):
    settings.RETURN_URL_ORIGINS = ["https://app.test"]
    order = story.order(patient)
    for page in range(5):
        story.pay(order, patient, "alipay", scene="wap", return_url=f"https://app.test/{page}")
    [attempt] = attempts_of(order)
    assert (attempt.status, attempt.out_trade_no) == ("pending", order["order_no"])


def test_where_the_payer_is_led_back_to_is_told_the_gateway_and_not_kept(
    settings, story, patient, monkeypatch
):
    settings.RETURN_URL_ORIGINS = ["https://app.test"]
    prepare, create, told = MockGateway.prepare_payment, MockGateway.create_payment, []

    def prepared_with_address(self, request):
        return {**prepare(self, request), "return_url": request.return_url}

    def created(self, prepared):
        told.append(prepared["return_url"])
        return create(self, prepared)

    monkeypatch.setattr(MockGateway, "prepare_payment", prepared_with_address)
    monkeypatch.setattr(
        MockGateway, "with_return_url", lambda _self, prepared, url: {**prepared, "return_url": url}
    )
    monkeypatch.setattr(MockGateway, "create_payment", created)
    order = story.order(patient)
    story.pay(order, patient, "alipay", scene="wap", return_url="https://app.test/back")
    [attempt] = attempts_of(order)
    assert told == ["https://app.test/back"]
    assert "app.test" not in json.dumps([attempt.request_data, attempt.response_data])


def test_the_thirty_first_attempt_is_refused_and_the_open_one_goes_on(api, story, patient):
    order = story.order(patient)
    scenes = ("native", "app")
    for turn in range(30):
        story.pay(order, patient, "wechat", scene=scenes[turn % 2])
    with nothing_moves():
        for method, scene in (("wechat", "native"), ("alipay", "page")):
            answer = api.post("pay", pay_body(order, method, scene=scene), by=patient)
            answer.refused(400, "TOO_MANY_ATTEMPTS")
        story.pay(order, patient, "wechat", scene="app")
    assert len(attempts_of(order)) == 30
    story.gateway_reports(order, method="wechat", number=attempts_of(order)[-1].out_trade_no)
    assert story.status(order, patient) == "paid"


def test_who_began_too_often_can_still_pay_from_the_balance(story, rich_patient):
    order = story.order(rich_patient)
    for turn in range(30):
        story.pay(order, rich_patient, "wechat", scene=("native", "app")[turn % 2])
    story.pay(order, rich_patient)
    assert story.status(order, rich_patient) == "paid"


@pytest.mark.parametrize("accepted", ["image/svg+xml", "image/svg+xml,application/json", "*/*"])
def test_the_code_is_drawn_for_whoever_accepts_pictures(api, story, patient, accepted):
    """Clients ask for the type that the description names."""
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    path = f"orders/{order['id']}/qr.svg"
    drawn = api.raw("GET", path, by=patient, headers={"Accept": accepted})
    assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/svg+xml")
    bare = story.order(patient)
    refused = api.raw(
        "GET", f"orders/{bare['id']}/qr.svg", by=patient, headers={"Accept": accepted}
    )
    assert (refused.status_code, refused["Content-Type"]) == (404, "application/json")
