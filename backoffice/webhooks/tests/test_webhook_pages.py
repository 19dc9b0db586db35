"""The pages on which staff look after the platform's addresses, and see what was sent there."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from payments.models import PaymentOrder
from refunds.tests import stage
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.clinic import new_order, patient
from tests.events.conftest import deliver, demo, receiver, subscribed  # noqa: F401
from tests.events.receiver import Says
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookTry
from webhooks.services.endpoints import endpoint_add, endpoint_give_up, endpoint_keys
from webhooks.states import DisabledBecause

pytestmark = pytest.mark.django_db
ENDPOINTS = "/admin/webhooks/webhookendpoint/"
DELIVERIES = "/admin/webhooks/webhookdelivery/"
EVENTS = "/admin/webhooks/webhookevent/"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
READER = ("view_webhookendpoint", "view_webhookdelivery", "view_webhookevent")


def browser_of(*codenames: str) -> Client:
    user = StaffUser.objects.create_user("-".join(codenames)[:40], is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def keeper(demo) -> Client:  # noqa: F811
    return browser_of(*READER, "manage_endpoints")


@pytest.fixture
def endpoint(subscribed) -> WebhookEndpoint:  # noqa: F811
    return subscribed.endpoint


def page_of(endpoint: WebhookEndpoint, step: str = "change") -> str:
    return f"{ENDPOINTS}{endpoint.pk}/{step}/"


def html_of(browser: Client, address: str, form: dict | None = None) -> str:
    answer = browser.get(address) if form is None else browser.post(address, form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def an_order() -> PaymentOrder:
    order = new_order(patient())
    deliver()
    return order


# --- adding -------------------------------------------------------------------------------------


def test_a_new_address_shows_its_secret_once(keeper, receiver):  # noqa: F811
    shown = html_of(keeper, f"{ENDPOINTS}new/", {"url": receiver.url, "types": ["order.paid"]})
    [endpoint] = WebhookEndpoint.objects.all()
    assert SECRET.findall(shown) == endpoint_keys(endpoint)
    assert endpoint.types == ["order.paid"]
    assert not SECRET.search(html_of(keeper, page_of(endpoint)))
    [told] = AuditEvent.objects.filter(object_type="webhook_endpoint")
    assert (told.action, told.actor_role) == ("endpoint_added", "staff")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://10.0.0.5/hooks", "公网"),
        ("https://127.0.0.1/hooks", "公网"),
        ("https://[::1]/hooks", "公网"),
        ("http://93.184.216.34/hooks", "https"),
        ("ftp://example.com/hooks", "http"),
        ("", "必填"),
    ],
)
def test_an_address_inside_is_refused_kindly(keeper, settings, url, why):
    settings.DEBUG = False
    shown = html_of(keeper, f"{ENDPOINTS}new/", {"url": url})
    error = re.search(r'class="tcm-field-error"[^>]*>([^<]*)', shown)
    assert error is not None
    assert why in error[1]
    assert not WebhookEndpoint.objects.exists()


# --- one address --------------------------------------------------------------------------------


def test_a_ping_says_what_came_back(keeper, endpoint, receiver):  # noqa: F811
    receiver.answer = lambda _got: Says(503, "稍等 \u202e<b>".encode())
    shown = html_of(keeper, page_of(endpoint, "ping"), {})
    assert "HTTP 503" in shown
    assert "毫秒" in shown
    assert "稍等 [U+202E]&lt;b&gt;" in shown
    assert [got.event["type"] for got in receiver.got] == ["ping"]


def test_rotating_shows_the_new_secret_and_a_form_sent_twice_makes_no_other(keeper, endpoint):
    before = endpoint_keys(endpoint)
    seen = endpoint.updated_at.isoformat()
    with clock.frozen(clock.now() + timedelta(minutes=1)):
        form = {"overlap": "86400", "reason": "每年更换", "seen": seen}
        shown = html_of(keeper, page_of(endpoint, "rotate"), form)
        endpoint.refresh_from_db()
        assert endpoint_keys(endpoint) == SECRET.findall(shown) + before
        again = html_of(keeper, page_of(endpoint, "rotate"), form)
    assert not SECRET.search(again)
    assert "刚刚有改动" in again
    endpoint.refresh_from_db()
    assert endpoint.former_until == stage.BEGUN_AT + timedelta(days=1, minutes=1)


def test_a_leaked_secret_signs_no_more(keeper, endpoint):
    before = endpoint_keys(endpoint)
    form = {"overlap": "0", "reason": "泄露"}
    [secret] = SECRET.findall(html_of(keeper, page_of(endpoint, "rotate"), form))
    endpoint.refresh_from_db()
    assert endpoint_keys(endpoint) == [secret] != before


def test_disabling_and_enabling_need_a_reason_which_the_trail_keeps(keeper, endpoint):
    for step, is_enabled in (("disable", False), ("enable", True)):
        html_of(keeper, page_of(endpoint, step), {"reason": ""})
        endpoint.refresh_from_db()
        assert endpoint.is_enabled is not is_enabled
        shown = html_of(keeper, page_of(endpoint, step), {"reason": "平台维护"})
        endpoint.refresh_from_db()
        assert endpoint.is_enabled is is_enabled
        assert "平台维护" in shown  # the trail, under the address


def test_other_types_from_now_on(keeper, endpoint):
    form = {"types": ["order.paid", "refund.failed"], "reason": "只要这些"}
    html_of(keeper, page_of(endpoint, "types"), form)
    endpoint.refresh_from_db()
    assert endpoint.types == ["order.paid", "refund.failed"]


@pytest.mark.parametrize(
    ("because", "words"), [(DisabledBecause.GONE, "410"), (DisabledBecause.FAILING, "连续五天")]
)
def test_one_that_gave_up_says_why_and_what_to_do(keeper, endpoint, because, words):
    endpoint_give_up(endpoint, because)
    shown = html_of(keeper, page_of(endpoint))
    assert words in shown
    assert "得到 2xx 再“启用地址”" in shown
    assert words in html_of(keeper, f"{ENDPOINTS}?state=by_itself")


# --- what was sent ------------------------------------------------------------------------------


def test_the_log_shows_each_try_with_its_answer_masked(keeper, endpoint, receiver):  # noqa: F811
    receiver.answer = lambda _got: Says(500, b'{"phone": "13812345678", "why": "no disk"}')
    order = an_order()
    [delivery] = WebhookDelivery.objects.filter(event__type="order.created")
    shown = html_of(keeper, f"{DELIVERIES}{delivery.pk}/change/")
    assert f"事件 {delivery.sequence} 的投递" in shown
    assert "HTTP 500" in shown
    assert "no disk" in shown
    assert "13812345678" not in shown
    assert order.order_no in shown
    assert "还会再试" in shown


def test_deliveries_are_found_by_address_state_type_and_number(keeper, endpoint, receiver):  # noqa: F811
    receiver.answer = lambda got: Says(500 if got.event["type"] == "order.created" else 200)
    order = an_order()
    [created] = WebhookDelivery.objects.filter(event__type="order.created")
    for query in (
        {"endpoint": endpoint.pk},
        {"status__exact": "pending"},
        {"type": "order.created"},
        {"q": order.order_no},
        {"q": str(created.sequence)},
    ):
        assert str(created.pk) in keeper.get(DELIVERIES, query).content.decode(), query
    for query in (
        {"endpoint": "0192f0c1-0000-7000-8000-00000000dead"},
        {"endpoint": "'; --"},
        {"status__exact": "failed"},
        {"type": "order.paid"},
        {"owed": "yes"},
        {"q": "ORD20260101000000AAAAAAAAAA"},
    ):
        assert str(created.pk) not in keeper.get(DELIVERIES, query).content.decode(), query


def test_an_event_leads_to_its_object_and_its_deliveries(keeper, endpoint):
    order = an_order()
    [delivery] = WebhookDelivery.objects.filter(event__type="order.created")
    assert str(delivery.event_id) in html_of(keeper, f"{EVENTS}?q={order.order_no}")
    shown = html_of(keeper, f"{EVENTS}{delivery.event_id}/change/")
    assert f"/admin/payments/paymentorder/{order.pk}/change/" in shown
    assert f"{DELIVERIES}{delivery.pk}/change/" in shown


# --- again --------------------------------------------------------------------------------------


def test_a_replay_is_shown_before_it_is_confirmed(keeper, endpoint, receiver):  # noqa: F811
    order = an_order()
    an_order()
    before = len(receiver.got)
    endpoint.refresh_from_db()
    form = {"numbers": order.order_no}
    shown = html_of(keeper, page_of(endpoint, "replay"), form)
    assert "共 1 个事件" in shown
    deliver()
    assert len(receiver.got) == before
    confirmed = {**form, "confirm": "1", "shown": "1", "up_to": endpoint.reached, "reason": "漏了"}
    html_of(keeper, page_of(endpoint, "replay"), confirmed)
    deliver()
    assert [event["object_id"] for event in receiver.events[before:]] == [str(order.pk)]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({}, "请至少写一个条件"),
        ({"numbers": "ORD20260101000000AAAAAAAAAA"}, "没有这些单号"),
        ({"since": "2026-01-01T00:00", "confirm": "1", "shown": "1"}, "请写明原因"),
        ({"since": "2026-01-01T00:00", "confirm": "1", "shown": "99", "reason": "x"}, "共 1 个"),
        ({"until": "2020-01-01T00:00"}, "没有符合条件"),
    ],
)
def test_nothing_goes_again_that_was_not_shown(keeper, endpoint, receiver, form, why):  # noqa: F811
    an_order()
    before = len(receiver.got)
    assert why in html_of(keeper, page_of(endpoint, "replay"), form)
    deliver()
    assert len(receiver.got) == before


# --- the first page, and who reads --------------------------------------------------------------


def test_the_first_page_speaks_of_it_only_when_somebody_has_to_act(endpoint):
    sees = ("view_paymentorder", "view_refund", "view_paymentcallback", *READER)
    reader = browser_of(*sees)
    titles = ("已自动停用的推送地址", "已放弃投递的事件")
    assert not any(title in html_of(reader, "/admin/") for title in titles)
    an_order()
    WebhookDelivery.objects.update(status="failed", due_at=None, ended_at=clock.now())
    assert titles[1] in html_of(reader, "/admin/")
    assert str(WebhookDelivery.objects.get().pk) in html_of(reader, f"{DELIVERIES}?owed=yes")
    endpoint_give_up(endpoint, DisabledBecause.GONE)
    shown = html_of(reader, "/admin/")
    assert titles[0] in shown
    assert titles[0] in html_of(browser_of("manage_endpoints", "view_webhookendpoint"), "/admin/")
    assert titles[1] not in shown  # sent again by enabling it, or not wanted any more


def test_a_reader_is_offered_nothing_to_do(endpoint):
    shown = html_of(browser_of(*READER), page_of(endpoint))
    for step in ("ping", "rotate", "types", "disable", "replay"):
        assert page_of(endpoint, step) not in shown


def test_a_page_of_many_deliveries_reads_no_delivered_ones(
    keeper, endpoint, django_assert_max_num_queries
):
    an_order()
    other = endpoint_add(actor=SYSTEM, url=f"{endpoint.url}/other").endpoint
    with django_assert_max_num_queries(12):
        shown = html_of(keeper, ENDPOINTS)
    assert endpoint.url in shown
    assert other.url in shown
    assert WebhookTry.objects.filter(endpoint=endpoint).count() == 1
