from datetime import UTC, datetime

import pytest

from config.conftest import Api
from config.models import PriceConfig
from tcmpay.common import clock
from tcmpay.common.actor import Role

pytestmark = pytest.mark.django_db

DEFAULTS = {
    "appointment_offline": ("线下问诊", "50.00"),
    "appointment_online": ("视频问诊", "30.00"),
    "prescription": ("处方费", "10.00"),
    "consultation": ("图文咨询", "20.00"),
}


def test_the_migrations_insert_the_four_default_prices(anonymous_api):
    status, body = anonymous_api("get", "prices")
    assert (status, body["message"]) == (200, "获取价格配置列表成功")
    listed = {row["service_type"]: (row["service_name"], row["price"]) for row in body["data"]}
    assert listed == DEFAULTS


def test_a_price_has_the_documented_fields(anonymous_api):
    status, body = anonymous_api("get", "prices/consultation")
    assert (status, body["message"]) == (200, "获取价格配置成功")
    assert set(body["data"]) == {
        *("id", "service_type", "service_name", "order_type", "price", "discount_price"),
        *("is_active", "effective_date", "expiry_date", "description", "created_at", "updated_at"),
    }
    assert body["data"]["discount_price"] is None
    assert body["data"]["created_at"].endswith("Z")


def test_a_code_is_the_same_in_every_language(anonymous_api):
    status, body = anonymous_api("get", "prices/nope", **{"Accept-Language": "en"})
    assert (status, body["code"]) == (404, "NOT_FOUND")
    status, body = anonymous_api("get", "prices/nope")
    assert (status, body["code"], body["message"]) == (404, "NOT_FOUND", "价格配置不存在")


def test_prices_need_no_token_and_a_bad_one_does_not_matter(anonymous_api):
    anonymous_api.client.credentials(HTTP_AUTHORIZATION="Bearer not.a.token")
    assert anonymous_api("get", "prices")[0] == 200
    assert anonymous_api("get", "prices/consultation")[0] == 200


@pytest.mark.parametrize(("asked", "expected"), [("true", 3), ("false", 1)])
def test_the_list_is_filtered_by_is_active(anonymous_api, asked, expected):
    PriceConfig.objects.filter(service_type="consultation").update(is_active=False)
    _, body = anonymous_api("get", f"prices?is_active={asked}")
    assert len(body["data"]) == expected


@pytest.mark.parametrize(
    "query",
    ["is_active=maybe", "is_active=1", "is_active=true&is_active=false", "x=1", "page_size=101"],
)
def test_a_bad_filter_is_refused(anonymous_api, query):
    status, body = anonymous_api("get", f"prices?{query}")
    assert (status, body["code"]) == (400, "VALIDATION_ERROR")


def test_the_list_is_paged_and_says_how_many_there_are(anonymous_api):
    response = anonymous_api.client.get("/api/v1/payment/prices?page=2&page_size=3")
    assert len(response.json()["data"]) == 1
    assert response.headers["X-Total-Count"] == "4"


@pytest.mark.parametrize("path", ["Consultation", "consultation%20", "a%00b", "x" * 300, "%27--"])
def test_only_the_very_service_type_has_a_price(anonymous_api, path):
    assert anonymous_api("get", f"prices/{path}")[0] == 404


def test_an_inactive_price_is_not_in_force(anonymous_api):
    PriceConfig.objects.filter(service_type="consultation").update(is_active=False)
    assert anonymous_api("get", "prices/consultation")[0] == 404


def test_a_new_price_begins_at_midnight_in_shanghai_although_rows_are_cached(
    anonymous_api, admin_api
):
    last_second = datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)
    with clock.frozen(last_second):
        change = {"price": "88", "effective_date": "2027-01-01"}
        assert admin_api("put", "admin/prices/consultation", change)[0] == 200
        assert anonymous_api("get", "prices/consultation")[1]["data"]["price"] == "20.00"
    with clock.frozen(datetime(2026, 12, 31, 16, 0, tzinfo=UTC)):
        assert anonymous_api("get", "prices/consultation")[1]["data"]["price"] == "88.00"


NEW_YEAR = {"price": "28.00", "effective_date": "2027-01-01"}


def test_a_service_has_one_price_in_the_list_the_one_of_the_day(anonymous_api, admin_api):
    assert admin_api("put", "admin/prices/consultation", NEW_YEAR)[0] == 200

    def listed(query: str = "") -> dict[str, str]:
        rows = anonymous_api("get", f"prices{query}")[1]["data"]
        assert len({row["service_type"] for row in rows}) == len(rows)
        return {row["service_type"]: row["price"] for row in rows}

    today = {service: price for service, (_name, price) in DEFAULTS.items()}
    new_year = today | {"consultation": "28.00"}
    with clock.frozen(datetime(2026, 11, 24, 2, tzinfo=UTC)):
        assert listed() == listed("?on=2026-11-24") == listed("?on=2026-12-31") == today
        assert listed("?on=2027-01-01") == listed("?on=2030-02-28&is_active=true") == new_year
        assert listed("?on=2023-12-31") == {}, "before the first price"
    with clock.frozen(datetime(2026, 12, 31, 16, tzinfo=UTC)):
        assert listed() == new_year, "already the first of January in Shanghai"


def test_a_service_is_asked_for_its_price_of_a_day(anonymous_api, admin_api):
    assert admin_api("put", "admin/prices/consultation", NEW_YEAR)[0] == 200
    for day, price in (("2026-12-31", "20.00"), ("2027-01-01", "28.00")):
        status, body = anonymous_api("get", f"prices/consultation?on={day}")
        assert (status, body["data"]["price"]) == (200, price)
    assert anonymous_api("get", "prices/consultation?on=2023-12-31")[0] == 404


def test_a_price_that_is_switched_off_stands_for_its_service_where_no_other_runs(anonymous_api):
    PriceConfig.objects.filter(service_type="consultation").update(is_active=False)
    off = PriceConfig.objects.get(service_type="prescription")
    off.pk, off.is_active = None, False
    off.effective_date = off.effective_date.replace(year=2025)
    off.id = "0192f0c1-0000-7000-8000-00000000b001"
    off.save(force_insert=True)
    rows = {row["service_type"]: row for row in anonymous_api("get", "prices")[1]["data"]}
    assert rows["consultation"]["is_active"] is False
    assert rows["prescription"]["is_active"] is True


@pytest.mark.parametrize("path", ["prices", "prices/consultation"])
@pytest.mark.parametrize("day", ["", "today", "2026-02-30", "20260101", "2026-01-01T00:00:00Z"])
def test_a_day_is_written_as_one(anonymous_api, path, day):
    status, body = anonymous_api("get", f"{path}?on={day}")
    assert (status, body["code"], list(body["errors"])) == (400, "VALIDATION_ERROR", ["on"])


def test_an_admin_changes_the_running_price(admin_api):
    status, body = admin_api("put", "admin/prices/consultation", {"price": 25})
    assert (status, body["message"]) == (200, "价格配置更新成功")
    assert (body["data"]["price"], body["data"]["effective_date"]) == ("25.00", "2024-01-01")
    assert PriceConfig.objects.filter(service_type="consultation").count() == 1


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.ADMIN, 200),
        (Role.PATIENT, 403),
        (Role.DOCTOR, 403),
        (Role.SERVICE, 403),
        (None, 401),
    ],
)
def test_only_an_admin_sets_prices(role, status):
    assert Api(role)("put", "admin/prices/consultation", {"price": "1.00"})[0] == status
    price = PriceConfig.objects.get(service_type="consultation").price
    assert f"{price:.2f}" == ("1.00" if status == 200 else "20.00")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"price": "0"},
        {"price": "-1"},
        {"price": "1.001"},
        {"price": "1e2"},
        {"price": "NaN"},
        {"price": "１０"},
        {"price": " 10"},
        {"price": "100000000"},
        {"price": True},
        {"price": None},
        {"price": ["1"]},
        {"price": "10", "discount_price": "11"},
        {"price": "10", "discount_price": "0"},
        {"price": "10", "is_active": "yes"},
        {"price": "10", "is_active": 1},
        {"price": "10", "service_name": ""},
        {"price": "10", "service_name": 5},
        {"price": "10", "service_name": "x" * 101},
        {"price": "10", "description": "x" * 501},
        {"price": "10", "effective_date": "2027-13-01"},
        {"price": "10", "effective_date": "20270101"},
        {"price": "10", "effective_date": "0001-01-01"},
        {"price": "10", "effective_date": 20270101},
        {"price": "10", "expiry_date": "2023-12-31"},
        {"price": "10", "effective_date": "2027-01-02", "expiry_date": "2027-01-01"},
        {"price": "10", "id": "x"},
        {"price": "10", "created_at": "2026-01-01"},
        [],
        "10",
    ],
)
def test_a_bad_price_is_refused_and_changes_nothing(admin_api, change):
    before = list(PriceConfig.objects.order_by("id").values())
    status, body = admin_api("put", "admin/prices/consultation", change)
    assert (status, body["code"]) == (400, "VALIDATION_ERROR")
    assert list(PriceConfig.objects.order_by("id").values()) == before


def test_a_new_service_needs_a_name(admin_api):
    status, body = admin_api("put", "admin/prices/massage", {"price": "80.00"})
    assert (status, list(body["errors"])) == (400, ["service_name"])
    new = {"price": "80.00", "service_name": "推拿"}
    status, body = admin_api("put", "admin/prices/massage", new)
    assert (status, body["data"]["service_name"]) == (200, "推拿")
    assert body["data"]["effective_date"] == clock.today().isoformat()


@pytest.mark.parametrize("name", ["Massage", "1x", "a-b", "x" * 65, "推拿", "a%20b"])
def test_a_new_service_type_is_a_plain_name(admin_api, name):
    new = {"price": "80.00", "service_name": "推拿"}
    status, body = admin_api("put", f"admin/prices/{name}", new)
    assert (status, list(body["errors"])) == (400, ["service_type"])


@pytest.mark.parametrize("verb", ["post", "patch", "delete", "options"])
@pytest.mark.parametrize("path", ["prices", "admin/prices/consultation", "admin/config/wechat"])
def test_other_methods_are_405_in_the_contracts_shape(admin_api, verb, path):
    status, body = admin_api(verb, path)
    assert (status, body["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_changed_price_is_seen_at_once(
    anonymous_api, admin_api, django_capture_on_commit_callbacks
):
    assert anonymous_api("get", "prices/consultation")[1]["data"]["price"] == "20.00"
    with django_capture_on_commit_callbacks(execute=True):
        admin_api("put", "admin/prices/consultation", {"price": "25"})
    assert anonymous_api("get", "prices/consultation")[1]["data"]["price"] == "25.00"


@pytest.mark.parametrize(("is_guarded", "status"), [(False, 200), (True, 409)])
def test_a_large_change_is_refused_only_where_the_deployment_asked_for_it(
    admin_api, settings, is_guarded, status
):
    settings.IS_PRICE_API_GUARDED = is_guarded
    answered, body = admin_api("put", "admin/prices/consultation", {"price": "200.00"})
    assert answered == status
    price = PriceConfig.objects.get(service_type="consultation").price
    assert f"{price:.2f}" == ("20.00" if is_guarded else "200.00")
    if is_guarded:
        assert body["code"] == "PRICE_CHANGE_NEEDS_SECOND_PERSON"
        assert admin_api("put", "admin/prices/consultation", {"price": "30.00"})[0] == 200


@pytest.mark.parametrize(
    "steps",
    [
        [{"price": "0.01", "is_active": False}, {"price": "0.01", "is_active": True}],
        [{"price": "20.00", "is_active": False}, {"price": "0.01", "is_active": True}],
        [
            {"price": "20.00", "is_active": False},
            {"price": "0.01", "effective_date": "2099-01-01"},
        ],
        [
            {"price": "20.00", "expiry_date": "2098-01-01"},
            {"price": "0.01", "effective_date": "2099-01-01"},
        ],
        [{"price": "0.01", "effective_date": "2099-01-01", "is_active": False}],
    ],
)
def test_a_price_that_is_switched_off_or_ended_is_no_way_round_the_guard(
    admin_api, settings, steps
):
    settings.IS_PRICE_API_GUARDED = True
    answers = [admin_api("put", "admin/prices/consultation", step) for step in steps]
    assert 409 in [status for status, _body in answers]
    rows = PriceConfig.objects.filter(service_type="consultation")
    assert {f"{row.price:.2f}" for row in rows} == {"20.00"}


def test_switching_a_price_off_and_on_again_is_no_change_of_it(admin_api, settings):
    settings.IS_PRICE_API_GUARDED = True
    for is_active in (False, True):
        change = {"price": "20.00", "is_active": is_active}
        assert admin_api("put", "admin/prices/consultation", change)[0] == 200
