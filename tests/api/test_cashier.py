"""The cashier over HTTP: who gets a link, what it can do, and what nobody learns of it."""

import json
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from gateways.errors import GatewayRejected, GatewayUnknown
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.addresses import address_of
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.endings import orders_expire
from tcmpay.audit.models import AuditEvent
from tests.api.kit import nothing_moves, someone
from tests.api.test_orders import order_in

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
IN_WECHAT = f"{PHONE} MicroMessenger/8.0.49"
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"
FORM = "application/x-www-form-urlencoded"
JSON = {"accept": "application/json"}
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
RETURN_URL = "https://yourapp.com/back?from=pay&status=x#top"


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False, headers={"user-agent": DESKTOP})


@pytest.fixture
def order(story, patient):
    return story.order(patient, description="乳腺外科复诊", metadata={"department": "乳腺外科"})


@pytest.fixture(autouse=True)
def _origins(settings) -> None:
    settings.RETURN_URL_ORIGINS = ["https://yourapp.com"]


@pytest.fixture
def cashier(api, order, patient):
    """The path of the order's cashier."""
    return path_of(api, order, patient)


def path_of(api, order, by, **body) -> str:
    answer = api.post(f"orders/{order['id']}/cashier", body, by=by)
    return urlsplit(answer.accepted()["url"]).path


def text_of(response) -> str:
    html = re.sub(r"<(style|script|template|noscript).*?</\1>", " ", response.content.decode())
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


def press(browser, cashier, way, headers=None, **more):
    """What a form of the page sends."""
    body = urlencode({"way": way} | more)
    return browser.post(f"{cashier}/start", body, content_type=FORM, headers=headers)


def press_json(browser, cashier, way):
    """The same, sent by the page's script."""
    return press(browser, cashier, way, JSON)


def attempts_of(order) -> list[PaymentTransaction]:
    found = PaymentTransaction.objects.filter(order_id=order["id"])
    return list(found.order_by("initiated_at", "id"))


# --- the call that makes a link ---------------------------------------------------------------


def test_a_link_ends_with_its_order(api, order, patient):
    answer = api.post(f"orders/{order['id']}/cashier", {}, by=patient)
    assert answer.message == "收银台地址已生成"
    assert set(answer.data) == {"url", "expires_at"}
    assert answer.data["expires_at"] == order["expire_time"]
    assert answer.data["url"].startswith("http://testserver/pay/")


def test_payers_may_reach_us_by_another_name(api, order, patient, settings):
    settings.CASHIER_BASE_URL = "https://pay.tcm.test"
    url = api.post(f"orders/{order['id']}/cashier", by=patient).accepted()["url"]
    assert url.startswith("https://pay.tcm.test/pay/")


@pytest.mark.parametrize("state", ["paid", "refunded", "cancelled"])
def test_only_a_pending_order_has_one(api, story, clock, rich_patient, admin, state):
    order = order_in(state, story, clock, rich_patient, admin)
    answer = api.post(f"orders/{order['id']}/cashier", {}, by=rich_patient)
    answer.refused(400, "ORDER_NOT_PAYABLE")


@pytest.mark.parametrize("is_swept", [False, True])
def test_past_its_time_there_is_none(api, order, clock, patient, is_swept):
    clock.advance(hours=2)
    if is_swept:
        orders_expire()
    api.post(f"orders/{order['id']}/cashier", {}, by=patient).refused(400, "ORDER_EXPIRED")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//thief.example", "https://u@h.example", "ftp://x.example", 7]
)
def test_it_leads_back_only_where_it_may(api, order, patient, url):
    body = {"return_url": url}
    api.post(f"orders/{order['id']}/cashier", body, by=patient).invalid("return_url")
    body = {"return_url": "https://yourapp.com.thief.example/"}
    api.post(f"orders/{order['id']}/cashier", body, by=patient).invalid("return_url")


# --- the page ---------------------------------------------------------------------------------


def test_the_page_tells_what_a_payer_needs_and_nothing_medical(browser, cashier, order, settings):
    answer = browser.get(cashier)
    text = text_of(answer)
    assert answer.status_code == 200
    for told in ("¥ 30.00", "诊疗服务 · 图文咨询", order["order_no"], settings.CLINIC_NAME):
        assert told in text
    for told in ("乳腺", "复诊", order["user_id"]):
        assert told not in answer.content.decode()


@pytest.mark.parametrize(
    ("agent", "ways"),
    [
        (DESKTOP, ["wechat-native", "alipay-page"]),
        (PHONE, ["wechat-h5", "alipay-wap"]),
        (IN_WECHAT, []),
    ],
)
def test_it_offers_what_works_there(browser, cashier, agent, ways):
    page = browser.get(cashier, headers={"user-agent": agent})
    assert re.findall(r'name="way" value="([^"]+)"', page.content.decode()) == ways
    assert ("在浏览器打开" in text_of(page)) == (agent == IN_WECHAT)


def test_a_gateway_that_is_not_set_up_is_not_offered(browser, cashier, settings):
    settings.MOCK_CALLBACKS = False
    assert "目前没有可用的支付方式" in text_of(browser.get(cashier))


@pytest.mark.parametrize(
    ("query", "wish", "told"),
    [
        ("", "", "选择支付方式"),
        ("", "en-GB,en;q=0.9", "How would you like to pay?"),
        ("?lang=en", "zh-CN", "How would you like to pay?"),
        ("?lang=zh", "en", "选择支付方式"),
        ("?lang=fr", "", "选择支付方式"),
    ],
)
def test_it_speaks_both_languages(browser, cashier, query, wish, told):
    page = browser.get(cashier + query, headers={"accept-language": wish})
    assert told in text_of(page)


def test_what_it_tells_the_browser(browser, cashier):
    answers = [browser.get(cashier), browser.get(f"{cashier}/status"), browser.get("/pay/no-link")]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert "no-store" in answer.headers["Cache-Control"]
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert not answer.cookies
        assert not hasattr(answer.wsgi_request, "session")
    html = answers[0].content.decode()
    assert not re.search(r"<style|style=|\son\w+=|<script(?! src=)", html)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', html)


# --- paying -----------------------------------------------------------------------------------


def test_it_pays_as_the_owner_over_the_link(browser, cashier, story, order, patient):
    answer = press(browser, cashier, "wechat-native")
    assert (answer.status_code, answer.headers["Location"]) == (303, cashier)
    [attempt] = attempts_of(order)
    assert (attempt.payment_method, attempt.scene) == ("wechat", "native")
    told = AuditEvent.objects.get(object_id=str(attempt.id), action="payment_started")
    assert (str(told.actor_id), told.actor_name) == (patient.name, "收银台 cashier")
    page = browser.get(cashier)
    assert "用微信扫码支付" in text_of(page)
    assert b"<svg" in page.content
    story.gateway_reports(order, method="wechat")
    assert "支付成功" in text_of(browser.get(cashier))


@pytest.mark.parametrize("way", ["wechat-native", "wechat-h5", "alipay-page", "alipay-wap"])
def test_pressed_twice_it_is_one_attempt(browser, cashier, order, way):
    first, second = press_json(browser, cashier, way), press_json(browser, cashier, way)
    assert first.json() == second.json()
    assert len(attempts_of(order)) == 1


def test_a_program_of_the_page_is_told_where_to_go_on(browser, cashier):
    assert press_json(browser, cashier, "wechat-native").json() == {"go": cashier}
    assert "/alipay/page/" in press_json(browser, cashier, "alipay-page").json()["go"]


def test_another_way_closes_the_one_before(browser, cashier, order):
    press(browser, cashier, "wechat-native")
    before = browser.get(f"{cashier}/status").json()
    press(browser, cashier, "alipay-page")
    after = browser.get(f"{cashier}/status").json()
    assert before["state"] == after["state"] == "open"
    assert before["attempt"] != after["attempt"]  # the other tab's page notices
    assert [attempt.status for attempt in attempts_of(order)] == ["failed", "pending"]


def test_a_code_that_died_is_not_shown_and_a_fresh_one_is(
    api, browser, story, clock, patient, settings
):
    settings.ORDER_EXPIRE_MINUTES = 24 * 60
    cashier = path_of(api, story.order(patient), patient)
    press(browser, cashier, "wechat-native")
    clock.advance(minutes=114)
    assert b"<svg viewBox" in browser.get(cashier).content
    clock.advance(minutes=1)
    page = browser.get(cashier).content
    assert b"<svg viewBox" not in page
    assert b'value="wechat-native"' in page
    press(browser, cashier, "wechat-native")
    assert b"<svg viewBox" in browser.get(cashier).content


def test_nobody_makes_us_ask_a_gateway_without_end(browser, cashier, still_window):
    answers = [press_json(browser, cashier, "alipay-page").status_code for _ in range(13)]
    assert answers == [200] * 12 + [429]


def test_a_top_up_is_paid_like_any_order(api, browser, story, patient, settings):
    settings.TOPUPS = True
    body = {"amount": "50.00"}
    order = api.post(f"balance/{patient.name}/topups", body, by=patient).created()
    cashier = path_of(api, order, patient)
    text = text_of(browser.get(cashier))
    assert "余额充值" in text
    assert "诊疗" not in text.partition("收款方")[0].partition("付款项目")[2]
    press(browser, cashier, "wechat-native")
    story.gateway_reports(order, method="wechat", amount="50.00")
    assert "支付成功" in text_of(browser.get(cashier))
    assert story.balance(patient)["balance"] == "50.00"


def test_without_scripts_a_link_leads_on(browser, cashier):
    press(browser, cashier, "alipay-page")
    html = browser.get(cashier).content.decode()
    assert re.search(r'<noscript><a [^>]*href="https://mock.invalid/alipay/page/', html)


def test_the_address_to_pay_at_lies_in_no_row_in_clear(browser, cashier, order):
    going = press_json(browser, cashier, "alipay-wap").json()["go"]
    (attempt,) = attempts_of(order)
    assert going == address_of(attempt)
    assert going not in json.dumps([attempt.request_data, attempt.response_data])
    other = PaymentTransaction(response_data=attempt.response_data)
    assert address_of(other) == "", "sealed for its own row"


def test_inside_wechat_the_payer_is_whom_the_link_names(api, browser, order, patient):
    cashier = path_of(api, order, patient, openid=OPENID)
    page = browser.get(cashier, headers={"user-agent": IN_WECHAT})
    assert 'value="wechat-jsapi"' in page.content.decode()
    told = press_json(browser, cashier, "wechat-jsapi").json()
    assert told["jsapi"]["package"].startswith("prepay_id=")
    [attempt] = attempts_of(order)
    assert attempt.request_data["asked"] == {"openid": OPENID}


@pytest.mark.parametrize(
    "way", ["wechat-jsapi", "balance", "wechat-app", "alipay-qr", "", "x" * 99]
)
def test_it_starts_nothing_else(browser, cashier, order, rich_patient, way):
    with nothing_moves():
        assert press_json(browser, cashier, way).status_code == 400
        assert press(browser, cashier, way).status_code == 400


def test_it_starts_no_way_that_the_deployment_leaves_out(browser, cashier, settings):
    settings.CASHIER_WAYS = ["alipay-page"]
    with nothing_moves():
        assert press_json(browser, cashier, "wechat-h5").status_code == 400
    assert press_json(browser, cashier, "alipay-page").status_code == 200


def test_who_the_payer_is_can_not_be_said_beside_the_link(browser, cashier, order):
    more = {"openid": OPENID, "return_url": "https://thief.example/"}
    press(browser, cashier, "wechat-native", **more)
    [attempt] = attempts_of(order)
    assert attempt.request_data["asked"] == {"openid": ""}
    assert "thief" not in json.dumps(attempt.request_data)


# --- when it does not go well -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (GatewayUnknown("down"), 503, "支付渠道暂时不可用"),
        (GatewayRejected("no"), 502, "支付渠道拒绝了请求"),
    ],
)
def test_a_gateway_that_fails_is_told_in_plain_words(
    browser, cashier, order, monkeypatch, error, status, told
):
    def fail(self, prepared):
        raise error

    monkeypatch.setattr(MockGateway, "create_payment", fail)
    page = press(browser, cashier, "wechat-native")
    assert page.status_code == status
    assert told in text_of(page)
    assert "alipay-page" in page.content.decode()  # another way can be chosen right there
    answer = press_json(browser, cashier, "wechat-native")
    assert (answer.status_code, told in answer.json()["message"]) == (status, True)
    assert PaymentOrder.objects.get(id=order["id"]).status == "pending"


@pytest.mark.parametrize(
    ("state", "told"),
    [("cancelled", "订单已取消"), ("paid", "支付成功"), ("refunded", "已退款")],
)
def test_an_order_that_ended_is_shown_as_it_is(
    api, browser, story, clock, rich_patient, admin, state, told
):
    order = story.order(rich_patient)
    cashier = path_of(api, order, rich_patient)
    end(state, story, order, rich_patient, admin)
    page = browser.get(cashier)
    assert told in text_of(page)
    assert "<button" not in page.content.decode()
    with nothing_moves():
        assert press(browser, cashier, "alipay-page").status_code == 303
        assert press_json(browser, cashier, "alipay-page").json() == {"go": cashier}


def end(state, story, order, person, admin) -> None:
    if state == "cancelled":
        return story.cancel(order, person)
    story.pay(order, person)
    if state == "refunded":
        story.review(story.refund(order, person), admin)
    return None


@pytest.mark.parametrize("minutes", [1, 120])
def test_the_page_and_its_questions_agree_or_it_would_load_itself_for_ever(
    browser, cashier, clock, minutes
):
    press(browser, cashier, "wechat-native")
    clock.advance(minutes=minutes)
    told = browser.get(f"{cashier}/status").json()
    html = browser.get(cashier).content.decode()
    assert f'data-state="{told["state"]}" data-attempt="{told["attempt"]}"' in html
    assert told["attempt"]


def test_past_its_time_the_result_is_awaited_and_then_told(browser, cashier, clock):
    clock.advance(hours=2)
    assert browser.get(f"{cashier}/status").json()["state"] == "ending"
    page = browser.get(cashier)
    assert "正在确认" in text_of(page)
    assert 'name="way"' not in page.content.decode()
    orders_expire()
    assert "订单已过期" in text_of(browser.get(cashier))
    clock.advance(minutes=30)
    answer = browser.get(cashier)
    assert answer.status_code == 404
    assert "链接无效或已失效" in text_of(answer)


def test_what_is_wrong_is_a_page_without_a_trace(browser, cashier, monkeypatch):
    for path in ("/pay/", "/pay/x", "/pay/x/y/z", f"{cashier}x", f"{cashier}/other"):
        answer = browser.get(path)
        assert (answer.status_code, "链接无效" in text_of(answer)) == (404, True)
    assert browser.put(cashier).status_code == 405
    assert browser.get(f"{cashier}/start").status_code == 405
    assert browser.post(f"{cashier}/start", "a" * 5000, FORM).status_code == 413
    assert browser.post(f"{cashier}/start", "{}", "application/json").status_code == 415
    monkeypatch.setattr("payments.cashier.views.order_of", lambda _id: 1 / 0)
    answer = browser.get(cashier)
    assert answer.status_code == 500
    assert "Traceback" not in answer.content.decode()
    assert "ZeroDivision" not in answer.content.decode()
    assert browser.get(cashier, headers=JSON).json().keys() == {"message"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("a&" * 1500, FORM),
        ("way=%FF%00", FORM),
        (b"\xff\xfe", FORM),
        (b"way=x", f"{FORM}; charset=utf-16"),
        ("way=" + "x" * 4000, FORM),
    ],
)
def test_a_form_of_nonsense_is_refused(browser, cashier, content, kind):
    with nothing_moves():
        answer = browser.post(f"{cashier}/start", content, content_type=kind)
    assert answer.status_code == 400


# --- the payer comes back ---------------------------------------------------------------------


def test_coming_back_the_gateway_is_asked_at_once(browser, cashier, order, monkeypatch):
    asked = []

    def unpaid(self, number):
        asked.append(number)
        return TradeReport(number, TradeState.UNPAID)

    monkeypatch.setattr(MockGateway, "query_payment", unpaid)
    press(browser, cashier, "alipay-page")
    answer = browser.get(f"{cashier}/back?trade_no=1&sign=x")
    # What the gateway added is left behind.
    assert (answer.status_code, answer.headers["Location"]) == (303, cashier)
    assert asked == [order["order_no"]]
    for _again in range(9):
        assert browser.post(f"{cashier}/back", "", "text/plain").status_code == 303
    assert len(asked) <= 6


def test_then_it_leads_to_where_the_payer_came_from(api, browser, story, order, patient):
    cashier = path_of(api, order, patient, return_url=RETURN_URL)

    def leads_to():
        found = re.search(r'id="return"[^>]*href="([^"]+)"', browser.get(cashier).content.decode())
        return urlsplit(unescape(found[1]))

    back = leads_to()
    assert (back.netloc, back.path, back.fragment) == ("yourapp.com", "/back", "top")
    told = {"from": ["pay"], "order_id": [order["id"]], "status": ["pending"]}
    assert parse_qs(back.query) == told
    press(browser, cashier, "wechat-native")
    story.gateway_reports(order, method="wechat")
    assert parse_qs(leads_to().query) == told | {"status": ["paid"]}


def test_an_origin_that_was_taken_away_is_not_gone_to(api, browser, order, patient, settings):
    cashier = path_of(api, order, patient, return_url=RETURN_URL)
    settings.RETURN_URL_ORIGINS = ["https://other.example"]
    assert 'id="return"' not in browser.get(cashier).content.decode()


# --- cost, limits, and who learns of the link -------------------------------------------------


def test_asking_for_the_state_is_one_statement_beside_the_counter(browser, cashier):
    press(browser, cashier, "wechat-native")
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert browser.get(f"{cashier}/status").status_code == 200
    looks = [one["sql"] for one in seen.captured_queries if "rate_counters" not in one["sql"]]
    assert len([sql for sql in looks if sql.startswith("SELECT")]) == 1, looks


def test_each_link_has_so_many_requests_a_minute(api, browser, settings, still_window, story):
    settings.RATE_LIMIT_CASHIER_PER_MINUTE = 3
    paths = []
    for _person in range(2):
        person = someone("patient")
        paths.append(path_of(api, story.order(person), person))
    assert [browser.get(f"{paths[0]}/status").status_code for _ in range(4)] == [200] * 3 + [429]
    refused = browser.get(paths[0])
    assert int(refused.headers["Retry-After"]) > 0
    assert "请求过于频繁" in text_of(refused)
    assert browser.get(paths[1]).status_code == 200


def test_guesses_are_counted_by_whom_they_come_from(browser, settings, still_window):
    settings.RATE_LIMIT_PER_MINUTE = 2
    assert [browser.get("/pay/guess").status_code for _ in range(3)] == [404, 404, 429]


def test_neither_log_nor_figures_know_the_link(browser, cashier, log, monkeypatch):
    token = cashier.rpartition("/")[2]
    browser.get(f"{cashier}?lang=en")
    browser.get(f"{cashier}/back?sign={token}")
    press(browser, cashier, "alipay-page")
    press(browser, cashier, "nothing")
    monkeypatch.setattr("payments.cashier.views.order_of", lambda _id: 1 / 0)
    browser.get(cashier)
    monkeypatch.setattr("payments.cashier.doors.absolute", lambda *_: 1 / 0)
    press(browser, cashier, "alipay-page")
    written = log.getvalue()
    assert "/pay/…/back" in written
    assert "/pay/…" in written
    assert token not in written
    assert token[:40] not in written
    assert token not in Client().get("/metrics").content.decode()


def test_time_is_told_as_payers_read_it(browser, cashier, clock):
    assert "11-24 12:00" in text_of(browser.get(cashier))  # ten in the morning, and two hours
    clock.advance(minutes=30)
    assert f'data-seconds="{int(timedelta(minutes=90).total_seconds())}"' in (
        browser.get(cashier).content.decode()
    )
