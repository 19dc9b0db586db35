"""Prices in the admin: looked at before they are saved, and never deleted."""

import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from config.conftest import ADMIN
from config.models import PaymentConfig, PriceChangeRequest, PriceConfig
from config.prices.periods import charged_on
from config.prices.plan import PriceChange
from config.prices.selectors import periods_digest, price_periods
from config.prices.services import price_change
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock

pytestmark = pytest.mark.django_db
PRICE = {
    "service_name": "处方费",
    "price": "12.50",
    "discount_price": "",
    "is_active": "on",
    "effective_date": "2024-01-01",
    "expiry_date": "",
    "description": "",
    "reason": "成本上涨",
}


def page(row: PriceConfig | PaymentConfig, name: str = "change") -> str:
    return f"/admin/config/{row._meta.model_name}/{row.pk}/{name}/"


def seen(service_type: str = "prescription") -> dict[str, str]:
    return {"save": "1", "seen": periods_digest(price_periods(service_type))}


def charged(service_type: str = "prescription") -> str:
    running = charged_on(price_periods(service_type), clock.today())
    return f"{running.price:.2f}"


@pytest.fixture
def client(staff: StaffUser) -> Client:
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def price() -> PriceConfig:
    return PriceConfig.objects.get(service_type="prescription")


@pytest.mark.parametrize(
    "address",
    [
        "/admin/config/priceconfig/",
        "/admin/config/priceconfig/calendar/",
        "/admin/config/priceconfig/calendar/?month=2030-02",
        "/admin/config/priceconfig/calendar/?month=9999-13",
        "/admin/config/priceconfig/calendar/?month=junk",
        "/admin/config/priceconfig/service/prescription/",
        "/admin/config/priceconfig/add/",
        "/admin/config/pricechangerequest/",
    ],
)
def test_the_pages_open(client, price, address):
    answer = client.get(address)
    assert answer.status_code == 200
    assert "处方费" in answer.content.decode() or "add/" in address or "change" in address


def test_the_calendar_shows_twelve_months_around_the_one_asked_for(client):
    shown = client.get("/admin/config/priceconfig/calendar/?month=2030-02").context["calendar"]
    months = [f"{month:%Y-%m}" for month in shown.months]
    assert (len(months), months[0], months[-1]) == (12, "2029-11", "2030-10")
    assert (shown.earlier, shown.later) == ("2029-08", "2030-08")


@pytest.mark.parametrize(
    ("begins", "ends", "is_active", "state"),
    [
        (0, 0, True, "running"),
        (-9, -1, True, "ended"),
        (1, 9, True, "future"),
        (0, 0, False, "off"),
    ],
)
def test_the_list_says_how_a_price_stands_today(client, price, begins, ends, is_active, state):
    today = clock.today()
    PriceConfig.objects.exclude(pk=price.pk).delete()
    PriceConfig.objects.update(
        effective_date=today + timedelta(days=begins),
        expiry_date=today + timedelta(days=ends),
        is_active=is_active,
    )
    words = {"running": "生效中", "ended": "已结束", "future": "未开始", "off": "停用"}
    table = client.get("/admin/config/priceconfig/").content.decode().split("<table")[1]
    cells = {cell.strip() for cell in re.split("<[^>]*>", table)}
    assert cells & set(words.values()) == {words[state]}


def test_the_first_post_shows_the_effect_and_saves_nothing(client, price):
    shown = client.post(page(price), {**PRICE, "effective_date": "2099-01-01"})
    text = shown.content.decode()
    assert shown.status_code == 200
    assert "2099-01-01" in text
    assert "2098-12-31" in text, "the day on which the former price ends"
    assert "12.50" in text
    assert not AuditEvent.objects.exists()
    price.refresh_from_db()
    assert (price.price, price.expiry_date) == (Decimal("10.00"), None)


@pytest.mark.parametrize(("wanted", "sign"), [("10.40", "+4.0%"), ("9.60", "−4.0%")])
def test_the_preview_tells_up_from_down(client, price, wanted, sign):
    assert (
        f"<dd>{sign}</dd>" in client.post(page(price), {**PRICE, "price": wanted}).content.decode()
    )


def test_a_price_is_changed_through_the_service(client, price, staff):
    answer = client.post(page(price), PRICE | seen(), follow=True)
    assert f"自 {clock.today()} 起收 12.50 元" in answer.content.decode()
    assert charged() == "12.50"
    event = AuditEvent.objects.get(action="price_created")
    assert (event.actor_id, event.actor_role, event.reason) == (staff.id, "staff", "成本上涨")
    history = client.get(page(price, "history")).content.decode()
    assert "→ 12.50" in history
    assert "启用：— → 是" in history
    assert "True" not in history
    assert "成本上涨" in history


def test_what_was_charged_until_yesterday_stays_told(client, price):
    client.post(page(price), PRICE | seen())
    price.refresh_from_db()
    yesterday = clock.today() - timedelta(days=1)
    assert (price.price, price.expiry_date) == (Decimal("10.00"), yesterday)
    # A slip of today's own price, or its words, are corrected in place.
    running = price_periods("prescription")[-1]
    again = {**PRICE, "price": "13.00", "effective_date": clock.today().isoformat()}
    client.post(page(running), again | seen())
    assert len(price_periods("prescription")) == 2
    assert charged() == "13.00"


def test_a_later_date_in_the_form_begins_a_new_period(client, price):
    wanted = {**PRICE, "effective_date": "2099-01-01"}
    assert client.post(page(price), wanted | seen()).status_code == 302
    price.refresh_from_db()
    assert f"{price.price:.2f}" == "10.00"
    assert str(price.expiry_date) == "2098-12-31"


def test_a_price_with_none_after_it_is_saved_only_knowingly(client, price):
    ends = {**PRICE, "expiry_date": "2099-01-31"}
    text = "之后没有价格，不能下单，仍要保存"
    assert text in client.post(page(price), ends).content.decode()
    refused = client.post(page(price), ends | seen())
    assert "请勾选后再保存" in refused.content.decode()
    assert text in refused.content.decode()
    assert charged() == "10.00"
    assert client.post(page(price), ends | {"is_end_known": "on"} | seen()).status_code == 302
    assert charged() == "12.50"


def test_a_price_followed_by_another_needs_no_such_word(client, price):
    change = PriceChange("prescription", Decimal("11.00"), effective_date=date(2099, 1, 1))
    price_change(actor=ADMIN, change=change)
    ends = {**PRICE, "expiry_date": "2098-12-31"}
    assert "仍要保存" not in client.post(page(price), ends).content.decode()
    assert client.post(page(price), ends | seen()).status_code == 302
    gap = {**ends, "price": "12.00", "effective_date": clock.today().isoformat()}
    gap["expiry_date"] = "2098-12-30"
    assert "仍要保存" in client.post(page(price), gap).content.decode()


def test_what_changed_since_the_preview_is_shown_again_and_not_overwritten(client, price):
    stale = seen()
    price_change(actor=ADMIN, change=PriceChange("prescription", Decimal("11.00")))
    answer = client.post(page(price), PRICE | stale)
    assert answer.status_code == 200
    assert "刚刚被他人修改" in answer.content.decode()
    price.refresh_from_db()
    assert price.price == Decimal("11.00")
    assert client.post(page(price), PRICE | {"save": "1", "seen": ""}).status_code == 200


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"discount_price": "99"}, "优惠价不能高于价格"),
        ({"price": "1e1"}, "金额应大于 0"),
        ({"price": "１０"}, "金额应大于 0"),
        ({"effective_date": "2023-01-01"}, "生效日期不能早于"),
        ({"effective_date": "2025-01-01"}, "生效日期不能早于今天"),
        ({"expiry_date": "2023-01-01"}, "失效日期不能早于"),
        ({"reason": ""}, "请写明原因"),
    ],
)
def test_a_refusal_is_shown_in_the_form(client, price, change, text):
    for more in ({}, seen()):
        answer = client.post(page(price), {**PRICE, **change, **more})
        assert answer.status_code == 200
        assert text in answer.content.decode()
    assert not AuditEvent.objects.exists()


def test_what_changes_nothing_is_said_and_not_saved(client, price):
    same = {**PRICE, "price": "10.00"}
    assert "没有需要保存的修改" in client.post(page(price), same).content.decode()
    client.post(page(price), same | seen())
    assert not AuditEvent.objects.exists()


def test_a_new_service_is_added_through_the_service(client):
    new = {**PRICE, "service_type": "massage", "service_name": "推拿", "order_type": "other"}
    new["effective_date"] = clock.today().isoformat()
    assert client.post("/admin/config/priceconfig/add/", new).status_code == 200
    saved = client.post("/admin/config/priceconfig/add/", new | seen("massage"))
    assert saved.status_code == 302
    assert AuditEvent.objects.get().action == "price_created"


def test_an_earlier_price_is_restored_as_a_new_period(client, price):
    change = PriceChange("prescription", Decimal("11.00"), effective_date=date(2025, 6, 1))
    price_change(actor=ADMIN, change=change)
    form = client.get(page(price, "restore")).content.decode()
    assert "10.00" in form
    wanted = {**PRICE, "price": "10.00", "effective_date": clock.today().isoformat()}
    assert client.post(page(price, "restore"), wanted | seen()).status_code == 302
    periods = price_periods("prescription")
    assert [f"{one.price:.2f}" for one in periods] == ["10.00", "11.00", "10.00"]
    event = AuditEvent.objects.get(object_id=str(periods[-1].pk))
    assert event.details["restored_from"] == str(price.pk)
    assert event.reason == "成本上涨"


@pytest.mark.parametrize(("price_today", "days"), [("11.00", 0), ("10.00", 1)])
def test_a_price_is_restored_today_unless_it_is_charged_today(client, price, price_today, days):
    today = clock.today()
    change = PriceChange("prescription", Decimal(price_today), effective_date=today)
    price_change(actor=ADMIN, change=change)
    form = client.get(page(price, "restore"))
    assert form.context["form"].initial["effective_date"] == today + timedelta(days=days)
    assert f"今天开始的价格（收 {price_today} 元）从保存起改为恢复的价格" in form.content.decode()


def test_restoring_changes_the_price_that_began_today(client, price):
    change = PriceChange("prescription", Decimal("11.00"), effective_date=clock.today())
    price_change(actor=ADMIN, change=change)
    wanted = {**PRICE, "price": "10.00", "effective_date": clock.today().isoformat()}
    assert client.post(page(price, "restore"), wanted | seen()).status_code == 302
    assert [f"{one.price:.2f}" for one in price_periods("prescription")] == ["10.00", "10.00"]
    assert charged() == "10.00"


def test_nothing_is_deleted_in_the_admin(client, price):
    assert client.post(page(price, "delete"), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [str(price.pk)], "post": "yes"}
    client.post("/admin/config/priceconfig/", action)
    assert PriceConfig.objects.filter(pk=price.pk).exists()


@pytest.mark.parametrize(("codename", "status"), [("view", 403), ("change", 302)])
def test_changing_needs_the_permission_to_change(price, codename, status):
    user = StaffUser.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=f"{codename}_priceconfig"))
    if codename == "change":
        user.user_permissions.add(Permission.objects.get(codename="view_priceconfig"))
    client = Client()
    client.force_login(user)
    assert client.get(page(price)).status_code == 200
    assert client.post(page(price), PRICE | seen()).status_code == status
    assert client.get("/admin/config/priceconfig/add/").status_code == 403
    assert client.get(page(price, "restore")).status_code == (403 if codename == "view" else 200)


@pytest.mark.django_db(transaction=True)
def test_the_service_owns_its_transaction():
    # In a plain test everything runs inside one transaction, which would hide a nested one.
    user = StaffUser.objects.create_superuser("root", "root@clinic.test", "pass")
    client = Client()
    client.force_login(user)
    # Another such test may have emptied the table.
    row, _is_new = PriceConfig.objects.get_or_create(
        service_type="prescription", defaults={"service_name": "处方费", "price": Decimal("10.00")}
    )
    row.refresh_from_db()
    assert not connection.in_atomic_block
    own_day = {"effective_date": row.effective_date.isoformat()}
    assert client.post(page(row), PRICE | own_day | seen()).status_code == 302


# --- the second person --------------------------------------------------------------------------


def person(name: str, *codenames: str) -> Client:
    user = StaffUser.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    client.user = user
    return client


EDITOR = ("view_priceconfig", "change_priceconfig", "view_pricechangerequest")
SLIP = {**PRICE, "price": "100.00"}  # ten times as much


def submit(client: Client, price: PriceConfig) -> PriceChangeRequest:
    assert client.post(page(price), SLIP | seen()).status_code == 302
    return PriceChangeRequest.objects.get(waiting_service="prescription")


def review(change: PriceChangeRequest) -> str:
    return f"/admin/config/pricechangerequest/{change.pk}/review/"


def test_a_slip_waits_and_another_person_confirms_it(price):
    editor, second = person("a", *EDITOR), person("b", *EDITOR, "confirm_pricechange")
    change = submit(editor, price)
    assert charged() == "10.00", "nothing changes before"
    assert str(change.percent) == "900.0"
    for shown in (review(change), "/admin/config/pricechangerequest/"):
        assert "+900.0%" in second.get(shown).content.decode()
    assert second.post(review(change), {"decision": "confirm"}).status_code == 302
    change.refresh_from_db()
    assert charged() == "100.00"
    assert (change.status, change.decided_by, change.waiting_service) == (
        "confirmed",
        second.user.pk,
        None,
    )
    event = AuditEvent.objects.get(action="price_created")
    assert event.details["requested_by"] == str(editor.user.pk)
    assert event.actor_id == second.user.pk


def test_nobody_confirms_their_own(price):
    both = person("a", *EDITOR, "confirm_pricechange")
    change = submit(both, price)
    answer = both.post(review(change), {"decision": "confirm"})
    assert "不能处理自己提交的改价" in answer.content.decode()
    assert both.post(review(change), {"decision": "refuse", "notes": "x"}).status_code == 200
    price.refresh_from_db()
    assert price.price == Decimal("10.00")
    assert both.post(review(change), {"decision": "withdraw"}).status_code == 302
    change.refresh_from_db()
    assert change.status == "withdrawn"


def test_without_the_permission_nobody_confirms(price):
    change = submit(person("a", *EDITOR), price)
    other = person("b", *EDITOR)
    assert other.get(review(change)).status_code == 403
    assert other.post(review(change), {"decision": "confirm"}).status_code == 403


def test_refusing_needs_a_reason_and_changes_no_price(price):
    change = submit(person("a", *EDITOR), price)
    second = person("b", *EDITOR, "confirm_pricechange")
    assert "请写明原因" in second.post(review(change), {"decision": "refuse"}).content.decode()
    assert (
        second.post(review(change), {"decision": "refuse", "notes": "多写了一个零"}).status_code
        == 302
    )
    price.refresh_from_db()
    assert price.price == Decimal("10.00")
    late = person("c", *EDITOR, "confirm_pricechange")
    told = late.post(review(change), {"decision": "confirm"}, follow=True).content.decode()
    assert "已由b处理" in told
    history = second.get(page(price, "history")).content.decode()
    assert "拒绝改价" in history
    assert "收取（元）：10.00 → 100.00" in history
    assert "多写了一个零" in history
    assert "多写了一个零" in told


def test_a_price_that_was_switched_off_today_is_no_way_round_the_second_person(price):
    """Of a service with one period, begun today."""
    editor = person("a", *EDITOR)
    PriceConfig.objects.update(effective_date=clock.today())
    today = {**PRICE, "price": "10.00", "effective_date": clock.today().isoformat()}
    off = {key: value for key, value in today.items() if key != "is_active"}
    answer = editor.post(page(price), off | seen(), follow=True)
    assert "已停用这一价格" in answer.content.decode()
    assert editor.post(page(price), {**today, "price": "0.01"} | seen()).status_code == 302
    assert PriceChangeRequest.objects.get().status == "pending"
    price.refresh_from_db()
    assert (price.price, price.is_active) == (Decimal("10.00"), False)


def test_one_change_of_a_service_waits_at_a_time(price):
    editor = person("a", *EDITOR)
    submit(editor, price)
    again = editor.post(page(price), SLIP | seen())
    assert "已有一项改价在等待第二人确认" in again.content.decode()
    assert PriceChangeRequest.objects.count() == 1
    assert editor.post(page(price), PRICE | seen()).status_code == 302, "small ones still pass"


@pytest.mark.parametrize(("percent", "waits"), [(0, False), (899, True), (900, False)])
def test_the_bound_is_the_deployments(settings, price, percent, waits):
    settings.PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT = percent
    assert person("a", *EDITOR).post(page(price), SLIP | seen()).status_code == 302
    assert PriceChangeRequest.objects.exists() is waits


def test_what_was_to_be_in_force_at_once_begins_when_it_is_confirmed(price):
    editor, second = person("a", *EDITOR), person("b", *EDITOR, "confirm_pricechange")
    change = submit(editor, price)
    days = timedelta(days=3)
    change.created_at -= days
    change.wanted["effective_date"] = (clock.today() - days).isoformat()
    change.save()
    assert second.post(review(change), {"decision": "confirm"}).status_code == 302
    assert price_periods("prescription")[-1].effective_date == clock.today()


def test_a_change_whose_day_has_come_is_not_backdated(price):
    begins = {**SLIP, "effective_date": "2099-01-01"}
    editor, second = person("a", *EDITOR), person("b", *EDITOR, "confirm_pricechange")
    assert editor.post(page(price), begins | seen()).status_code == 302
    change = PriceChangeRequest.objects.get()
    change.wanted["effective_date"] = "2025-01-01"
    change.save()
    answer = second.post(review(change), {"decision": "confirm"})
    assert "生效日期已过" in answer.content.decode()
    assert PriceConfig.objects.filter(service_type="prescription").count() == 1
