"""Creating, pricing, reading and cancelling orders (CONTRACT sections 3 and 4)."""

import json
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.models import PriceConfig
from gateways.errors import GatewayUnknown
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.models import PaymentOrder, PaymentTransaction
from refunds.models import Refund
from tcmpay.audit.models import AuditEvent
from tests.api.kit import NOW, nothing_moves, run_sql

ORDER_FIELDS = {
    *("id", "order_no", "user_id", "appointment_id", "order_type", "amount", "currency", "status"),
    *("payment_method", "payment_time", "expire_time", "description", "metadata"),
    *("created_at", "updated_at"),
    *("service_type", "refunded_amount", "refundable_amount", "version"),
}
APPOINTMENT = "0192f0c1-0000-7000-8000-00000000a001"


def order_body(owner, **fields) -> dict:
    body = {"user_id": owner.name, "order_type": "consultation", "amount": "30.00"} | fields
    return {name: value for name, value in body.items() if value is not ...}


# --- creating ---------------------------------------------------------------------------------


def test_it_creates_an_order_as_the_guide_prints_it(api, patient):
    body = order_body(patient, appointment_id=APPOINTMENT, description="图文咨询服务")
    answer = api.post("orders", body, by=patient)
    order = answer.created()
    assert answer.message == "订单创建成功"
    assert set(order) >= ORDER_FIELDS
    expected = {
        "user_id": patient.name,
        "appointment_id": APPOINTMENT,
        "order_type": "consultation",
        "amount": "30.00",
        "currency": "CNY",
        "status": "pending",
        "payment_method": None,
        "payment_time": None,
        "description": "图文咨询服务",
        "metadata": None,
        "refunded_amount": "0.00",
        "refundable_amount": "0.00",
        "version": 1,
        "created_at": "2026-11-24T02:00:00.000000Z",
        "expire_time": "2026-11-24T04:00:00.000000Z",
    }
    assert {name: order[name] for name in expected} == expected
    assert api.get(f"orders/{order['id']}", by=patient).accepted() == order


def test_it_keeps_metadata_as_it_was_sent(api, patient):
    metadata = {"渠道": "小程序", "nested": {"list": [1, None, True, "文"]}, "n": 0}
    order = api.post("orders", order_body(patient, metadata=metadata), by=patient).created()
    assert api.get(f"orders/{order['id']}", by=patient).data["metadata"] == metadata


@pytest.mark.parametrize("order_type", ["appointment", "consultation", "prescription", "other"])
def test_it_knows_four_types_of_order(story, patient, order_type):
    assert story.order(patient, order_type=order_type)["order_type"] == order_type


@pytest.mark.parametrize("field", ["appointment_id", "description", "metadata"])
def test_null_is_as_good_as_leaving_an_optional_field_out(story, patient, field):
    order = story.order(patient, **{field: None})
    assert order[field] in (None, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", ...),
        ("user_id", "test-user-uuid"),
        ("order_type", ...),
        ("order_type", "subscription"),
        ("order_type", ""),
        ("order_type", 1),
        ("order_type", ["other"]),
        ("amount", ...),
        ("appointment_id", "1"),
        ("description", "字" * 501),
        ("description", 7),
        ("metadata", []),
        ("metadata", "{}"),
        ("metadata", {"text": "字" * 1400}),
        ("service_type", ""),
        ("service_type", "x" * 65),
        # What only we decide:
        ("status", "paid"),
        ("id", str(uuid.UUID(int=7))),
        ("order_no", "ORD1"),
        ("currency", "USD"),
        ("expire_time", "2030-01-01T00:00:00Z"),
        ("payment_time", "2026-01-01T00:00:00Z"),
        ("created_by", str(uuid.UUID(int=7))),
        ("price_id", str(uuid.UUID(int=7))),
        ("idempotency_key_id", str(uuid.UUID(int=7))),
        ("live_appointment_key", None),
    ],
)
def test_it_refuses_a_field_that_is_wrong_missing_or_not_the_clients(api, patient, field, value):
    with nothing_moves():
        api.post("orders", order_body(patient, **{field: value}), by=patient).invalid(field)


def test_a_description_may_have_500_characters(story, patient):
    assert len(story.order(patient, description="字" * 500)["description"]) == 500


def metadata_of(size: int) -> dict:
    empty = len(json.dumps({"text": ""}))
    return {"text": "x" * (size - empty)}


def test_metadata_may_have_4_kb_and_not_a_byte_more(api, story, patient):
    story.order(patient, metadata=metadata_of(4096))
    body = order_body(patient, metadata=metadata_of(4097))
    api.post("orders", body, by=patient).invalid("metadata")


@pytest.mark.parametrize("orderer", ["admin", "service"])
def test_an_administrator_and_the_back_end_order_for_anyone_at_any_amount(
    request, api, settings, patient, orderer
):
    settings.ORDER_PRICE_POLICY = "priced"
    by = request.getfixturevalue(orderer)
    order = api.post("orders", order_body(patient, amount="12.34"), by=by).created()
    assert (order["user_id"], order["amount"]) == (patient.name, "12.34")
    assert api.get(f"orders/{order['id']}", by=patient).accepted()


def test_order_numbers_say_the_local_time_and_differ(story, clock, patient):
    clock.set(datetime(2026, 12, 31, 16, 0, 5, tzinfo=UTC))  # the new year in Shanghai
    numbers = {story.order(patient)["order_no"] for _ in range(20)}
    assert len(numbers) == 20
    for number in numbers:
        assert re.fullmatch(r"ORD20270101000005[0-9A-Z]+", number)
        assert len(number) <= 28


# --- prices -----------------------------------------------------------------------------------


def priced(**fields) -> PriceConfig:
    defaults = {
        "service_type": "pulse_reading",
        "service_name": "脉诊",
        "price": Decimal("88.00"),
        "effective_date": date(2026, 1, 1),
    }
    return PriceConfig.objects.create(**defaults | fields)


def test_the_server_prices_an_order_with_a_service_type(api, patient):
    body = order_body(patient, service_type="consultation", amount=...)
    order = api.post("orders", body, by=patient).created()
    assert order["amount"] == "20.00"
    row = PaymentOrder.objects.get(id=order["id"])
    price = PriceConfig.objects.get(service_type="consultation")
    assert (row.price_id, row.service_type) == (price.id, "consultation")


def test_the_discount_price_is_charged_where_there_is_one(api, patient):
    priced(discount_price=Decimal("66.60"))
    body = order_body(patient, service_type="pulse_reading", amount=...)
    assert api.post("orders", body, by=patient).created()["amount"] == "66.60"


def test_an_amount_that_agrees_with_the_price_is_taken(api, patient):
    body = order_body(patient, service_type="consultation", amount="20.00")
    assert api.post("orders", body, by=patient).created()["amount"] == "20.00"


@pytest.mark.parametrize("amount", ["19.99", "20.01", "0.01"])
@pytest.mark.parametrize("orderer", ["patient", "admin", "service"])
def test_an_amount_that_disagrees_with_the_price_is_refused(request, api, patient, orderer, amount):
    body = order_body(patient, service_type="consultation", amount=amount)
    with nothing_moves():
        answer = api.post("orders", body, by=request.getfixturevalue(orderer))
    answer.refused(400, "PRICE_MISMATCH")


def test_with_a_discount_the_full_price_disagrees(api, patient):
    priced(discount_price=Decimal("66.60"))
    body = order_body(patient, service_type="pulse_reading", amount="88.00")
    api.post("orders", body, by=patient).refused(400, "PRICE_MISMATCH")


@pytest.mark.parametrize("service_type", ["unknown", "Consultation", "consultation ", "'--", "%"])
def test_a_service_without_a_price_is_refused(api, patient, service_type):
    body = order_body(patient, service_type=service_type, amount=...)
    if service_type.strip() == "consultation":
        assert api.post("orders", body, by=patient).created()["amount"] == "20.00"  # trimmed
        return
    with nothing_moves():
        answer = api.post("orders", body, by=patient)
    answer.refused(400, "PRICE_NOT_FOUND")


def test_a_price_that_is_not_active_is_none(api, patient):
    priced(is_active=False)
    body = order_body(patient, service_type="pulse_reading", amount=...)
    api.post("orders", body, by=patient).refused(400, "PRICE_NOT_FOUND")


@pytest.mark.parametrize(
    ("moment", "is_in_force"),
    [
        ("2026-11-23T15:59:59Z", False),  # the 23rd in Shanghai
        ("2026-11-23T16:00:00Z", True),  # the 24th begins
        ("2026-11-25T15:59:59Z", True),  # the 25th ends
        ("2026-11-25T16:00:00Z", False),
    ],
)
def test_both_dates_of_a_price_belong_to_it_in_shanghai(api, clock, patient, moment, is_in_force):
    priced(effective_date=date(2026, 11, 24), expiry_date=date(2026, 11, 25))
    clock.set(datetime.fromisoformat(moment))
    body = order_body(patient, service_type="pulse_reading", amount=...)
    answer = api.post("orders", body, by=patient)
    if is_in_force:
        assert answer.created()["amount"] == "88.00"
    else:
        answer.refused(400, "PRICE_NOT_FOUND")


def test_an_order_keeps_its_amount_when_the_price_changes(api, story, patient, admin):
    body = order_body(patient, service_type="consultation", amount=...)
    order = api.post("orders", body, by=patient).created()
    api.put("admin/prices/consultation", {"price": "99.00"}, by=admin).accepted()
    assert story.reread(order, patient)["amount"] == "20.00"
    assert api.post("orders", body, by=patient).created()["amount"] == "99.00"


def test_a_price_edited_by_sql_counts_at_once_for_orders(api, patient):
    PriceConfig.objects.filter(service_type="consultation").update(price=Decimal("21.00"))
    body = order_body(patient, service_type="consultation", amount=...)
    assert api.post("orders", body, by=patient).created()["amount"] == "21.00"


@pytest.mark.parametrize("person", ["patient", "doctor"])
@pytest.mark.parametrize("amount", ["30.00", ...])
def test_under_the_priced_policy_people_name_the_service(request, api, settings, person, amount):
    settings.ORDER_PRICE_POLICY = "priced"
    by = request.getfixturevalue(person)
    with nothing_moves():
        answer = api.post("orders", order_body(by, amount=amount), by=by)
    answer.refused(400, "PRICE_REQUIRED")
    body = order_body(by, service_type="consultation", amount=...)
    assert api.post("orders", body, by=by).created()["amount"] == "20.00"


CHEAPER = [
    ("appointment", "prescription"),
    ("appointment", "consultation"),
    ("consultation", "prescription"),
    ("prescription", "appointment_online"),
    ("other", "consultation"),
]


@pytest.mark.parametrize(("order_type", "service_type"), CHEAPER)
@pytest.mark.parametrize("orderer", ["patient", "admin", "service"])
def test_a_service_of_another_type_does_not_price_the_order(
    request, api, patient, orderer, order_type, service_type
):
    body = order_body(patient, order_type=order_type, service_type=service_type, amount=...)
    with nothing_moves():
        answer = api.post("orders", body, by=request.getfixturevalue(orderer))
    answer.invalid("service_type")


@pytest.mark.parametrize("order_type", ["appointment", "consultation", "prescription", "other"])
def test_a_service_named_after_no_type_goes_with_any(api, patient, order_type):
    priced()
    body = order_body(patient, order_type=order_type, service_type="pulse_reading", amount=...)
    assert api.post("orders", body, by=patient).created()["amount"] == "88.00"


def test_a_service_that_names_its_order_type_prices_no_other(api, patient):
    priced(order_type="consultation")
    body = order_body(patient, service_type="pulse_reading", amount=...)
    assert api.post("orders", body, by=patient).created()["amount"] == "88.00"
    api.post("orders", body | {"order_type": "appointment"}, by=patient).invalid("service_type")


def test_a_name_that_only_begins_like_a_type_is_of_no_type(api, patient):
    priced(service_type="prescriptions")
    body = order_body(patient, service_type="prescriptions", amount=...)
    assert api.post("orders", body, by=patient).created()["amount"] == "88.00"


# --- appointments -----------------------------------------------------------------------------


def test_a_second_live_order_of_an_appointment_names_the_first(api, story, patient):
    first = story.order(patient, appointment_id=APPOINTMENT)
    with nothing_moves():
        answer = api.post("orders", order_body(patient, appointment_id=APPOINTMENT), by=patient)
    assert answer.refused(409, "APPOINTMENT_HAS_ORDER").data == first["id"]


def test_the_rule_holds_whoever_orders_and_however_the_id_is_written(api, story, patient, admin):
    first = story.order(patient, appointment_id=APPOINTMENT)
    body = order_body(patient, appointment_id=APPOINTMENT.upper())
    answer = api.post("orders", body, by=admin)
    assert answer.refused(409, "APPOINTMENT_HAS_ORDER").data == first["id"]


def test_a_stranger_is_not_told_whose_order_holds_the_appointment(
    api, story, patient, other_patient, doctor
):
    first = story.order(patient, appointment_id=APPOINTMENT)
    for stranger in (other_patient, doctor):
        body = order_body(stranger, appointment_id=APPOINTMENT)
        answer = api.post("orders", body, by=stranger).refused(409, "APPOINTMENT_HAS_ORDER")
        assert first["id"] not in str(answer.body)
        assert answer.body["data"] is None


@pytest.mark.parametrize("platform", ["service", "admin"])
def test_the_platforms_order_for_another_user_supersedes_a_pending_one(
    request, api, story, patient, other_patient, platform
):
    squatted = story.order(patient, appointment_id=APPOINTMENT)
    body = order_body(other_patient, appointment_id=APPOINTMENT)
    api.post("orders", body, by=request.getfixturevalue(platform)).created()
    assert story.status(squatted, patient) == "cancelled"
    event = AuditEvent.objects.get(object_id=squatted["id"], action="order_cancelled")
    assert "另一位用户" in event.reason


def test_it_does_not_supersede_the_same_users_order(api, story, patient, service):
    first = story.order(patient, appointment_id=APPOINTMENT)
    with nothing_moves():
        answer = api.post("orders", order_body(patient, appointment_id=APPOINTMENT), by=service)
    assert answer.refused(409, "APPOINTMENT_HAS_ORDER").data == first["id"]


def test_it_does_not_supersede_a_paid_one(api, story, rich_patient, other_patient, service):
    paid = story.paid_from_balance(rich_patient, appointment_id=APPOINTMENT)
    body = order_body(other_patient, appointment_id=APPOINTMENT)
    with nothing_moves():
        answer = api.post("orders", body, by=service)
    assert answer.refused(409, "APPOINTMENT_HAS_ORDER").data == paid["id"]


def test_money_that_was_on_its_way_already_keeps_the_appointment(
    api, story, patient, other_patient, service, monkeypatch
):
    squatted = story.order(patient, appointment_id=APPOINTMENT)
    story.pay(squatted, patient, "wechat")
    attempt = PaymentTransaction.objects.get(order_id=squatted["id"])
    paid = TradeReport(attempt.out_trade_no, TradeState.PAID, "42001", attempt.amount)
    monkeypatch.setattr(MockGateway, "query_payment", lambda _self, _number: paid)
    body = order_body(other_patient, appointment_id=APPOINTMENT)
    answer = api.post("orders", body, by=service)
    assert answer.refused(409, "APPOINTMENT_HAS_ORDER").data == squatted["id"]
    assert story.status(squatted, patient) == "paid"


def test_a_gateway_that_can_not_be_reached_keeps_both_as_they_are(
    api, story, patient, other_patient, service, monkeypatch
):
    squatted = story.order(patient, appointment_id=APPOINTMENT)
    story.pay(squatted, patient, "wechat")

    def silent(_self, _number):
        raise GatewayUnknown("no answer")

    monkeypatch.setattr(MockGateway, "query_payment", silent)
    body = order_body(other_patient, appointment_id=APPOINTMENT)
    api.post("orders", body, by=service).refused(503, "GATEWAY_UNAVAILABLE")
    assert story.status(squatted, patient) == "pending"
    assert PaymentOrder.objects.count() == 1


def test_where_the_deployment_says_so_only_the_platform_names_an_appointment(
    api, settings, patient, doctor, service
):
    settings.APPOINTMENT_ORDERS_BY = "service"
    for person in (patient, doctor):
        with nothing_moves():
            answer = api.post("orders", order_body(person, appointment_id=APPOINTMENT), by=person)
        assert "平台" in answer.refused(403, "FORBIDDEN").message
        api.post("orders", order_body(person), by=person).created()
    api.post("orders", order_body(patient, appointment_id=APPOINTMENT), by=service).created()


def test_a_paid_order_holds_its_appointment(api, story, rich_patient):
    paid = story.paid_from_balance(rich_patient, appointment_id=APPOINTMENT)
    body = order_body(rich_patient, appointment_id=APPOINTMENT)
    answer = api.post("orders", body, by=rich_patient)
    assert answer.refused(409, "APPOINTMENT_HAS_ORDER").data == paid["id"]


def test_another_type_or_another_appointment_is_another_matter(story, patient):
    story.order(patient, appointment_id=APPOINTMENT)
    story.order(patient, appointment_id=APPOINTMENT, order_type="prescription")
    story.order(patient, appointment_id=str(uuid.uuid4()))
    story.order(patient)
    story.order(patient)


def test_a_cancelled_order_frees_its_appointment(story, patient):
    story.cancel(story.order(patient, appointment_id=APPOINTMENT), patient)
    story.order(patient, appointment_id=APPOINTMENT)


def test_an_expired_order_frees_its_appointment(story, clock, patient):
    from payments.services.endings import orders_expire

    story.order(patient, appointment_id=APPOINTMENT)
    clock.advance(hours=2)
    orders_expire()
    story.order(patient, appointment_id=APPOINTMENT)


def test_a_refunded_order_frees_its_appointment_a_partly_refunded_one_does_not(
    api, story, rich_patient, admin
):
    order = story.paid_from_balance(rich_patient, appointment_id=APPOINTMENT)
    story.review(story.refund(order, rich_patient, "10.00"), admin)
    body = order_body(rich_patient, appointment_id=APPOINTMENT)
    api.post("orders", body, by=rich_patient).refused(409, "APPOINTMENT_HAS_ORDER")
    story.review(story.refund(order, rich_patient, "20.00"), admin)
    api.post("orders", body, by=rich_patient).created()


# --- reading ----------------------------------------------------------------------------------


def ids(answer) -> list[str]:
    return [order["id"] for order in answer.accepted()["orders"]]


def test_the_list_is_newest_first_page_by_page(api, story, clock, patient):
    made = []
    for _ in range(5):
        made.append(story.order(patient)["id"])
        clock.advance(seconds=1)
    newest_first = made[::-1]
    assert ids(api.get("orders", by=patient)) == newest_first
    first = api.get("orders?page=1&page_size=2", by=patient)
    assert ids(first) == newest_first[:2]
    assert {name: first.data[name] for name in ("total", "page", "page_size")} == {
        "total": 5,
        "page": 1,
        "page_size": 2,
    }
    assert ids(api.get("orders?page=3&page_size=2", by=patient)) == newest_first[4:]
    beyond = api.get("orders?page=4&page_size=2", by=patient)
    assert (ids(beyond), beyond.data["total"]) == ([], 5)


def test_orders_of_one_moment_have_an_order_too(api, story, patient):
    made = [story.order(patient)["id"] for _ in range(4)]
    pages = [
        ids(api.get(f"orders?page={page}&page_size=1", by=patient))[0] for page in (1, 2, 3, 4)
    ]
    assert pages == made[::-1]


def test_what_changed_since_is_told_whenever_it_was_made(api, story, clock, rich_patient, admin):
    old, paid = story.order(rich_patient), story.order(rich_patient)
    clock.advance(hours=1)
    story.pay(paid, rich_patient, "balance")
    new = story.order(rich_patient)
    moment = f"{clock.now:%Y-%m-%dT%H:%M:%SZ}"
    since = api.get(f"orders?updated_since={moment}", by=admin)
    assert ids(since) == [new["id"], paid["id"]]
    assert old["id"] in ids(api.get(f"orders?updated_since={moment[:10]}", by=admin))


def test_ids_of_others_are_not_shown(api, story, patient, other_patient):
    mine, theirs = story.order(patient), story.order(other_patient)
    assert ids(api.get(f"orders?ids={mine['id']},{theirs['id']}", by=patient)) == [mine["id"]]


def along(api, by, size: int, meanwhile=lambda: None) -> list[str]:
    """The ids that a list tells from cursor to cursor."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = api.get(f"orders?page_size={size}&cursor={cursor}", by=by)
        assert set(answer.data) == {"orders", "page_size", "next_cursor"}
        found += ids(answer)
        cursor = answer.data["next_cursor"]
        meanwhile()
    return found


def test_cursors_miss_and_repeat_nothing_while_orders_are_added(api, story, clock, patient):
    made = [story.order(patient)["id"] for _ in range(3)]  # of one moment
    clock.advance(seconds=1)
    made += [story.order(patient)["id"] for _ in range(2)]
    assert along(api, patient, 2, meanwhile=lambda: story.order(patient)) == made[::-1]


def test_a_cursor_goes_on_after_what_sql_put_in(api, story, admin, patient):
    made = [story.order(patient)["id"] for _ in range(3)]
    run_sql("UPDATE payment_orders SET id = %s WHERE id = %s", "test-order-1", made[1])
    assert sorted(along(api, admin, 1)) == sorted([made[0], "test-order-1", made[2]])


@pytest.mark.parametrize("size", [1, 4, 5])
def test_a_cursor_ends_with_the_list(api, story, patient, size):
    made = [story.order(patient)["id"] for _ in range(4)]
    assert along(api, patient, size) == made[::-1]


def test_a_list_without_rows_has_no_next_cursor(api, patient):
    answer = api.get("orders?cursor=", by=patient).accepted()
    assert answer == {"orders": [], "page_size": 20, "next_cursor": None}


def test_a_page_has_20_orders_unless_asked_otherwise(api, story, patient):
    for _ in range(21):
        story.order(patient)
    assert len(ids(api.get("orders", by=patient))) == 20
    assert len(ids(api.get("orders?page_size=100", by=patient))) == 21


def test_it_filters_by_each_field(api, story, rich_patient, other_patient, admin):
    paid = story.paid_from_balance(rich_patient)
    booked = story.order(rich_patient, order_type="appointment", appointment_id=APPOINTMENT)
    theirs = story.order(other_patient)
    expected = {
        f"user_id={rich_patient.name}": [booked["id"], paid["id"]],
        f"user_id={other_patient.name}": [theirs["id"]],
        "status=paid": [paid["id"]],
        "status=pending": [theirs["id"], booked["id"]],
        "status=cancelled": [],
        "order_type=appointment": [booked["id"]],
        "order_type=prescription": [],
        f"appointment_id={APPOINTMENT}": [booked["id"]],
        f"appointment_id={uuid.uuid4()}": [],
        f"user_id={rich_patient.name}&status=pending": [booked["id"]],
        f"user_id={other_patient.name}&status=paid": [],
        "status=paid,cancelled": [paid["id"]],
        "status=pending,paid": [theirs["id"], booked["id"], paid["id"]],
        "payment_method=balance": [paid["id"]],
        "payment_method=wechat": [],
        f"order_no={booked['order_no']}": [booked["id"]],
        f"order_no={booked['order_no'][:-1]}": [],
        f"ids={paid['id']},{theirs['id']}": [theirs["id"], paid["id"]],
        f"ids={paid['id']}&status=pending": [],
    }
    assert {query: ids(api.get(f"orders?{query}", by=admin)) for query in expected} == expected


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("start_date=2026-11-24&end_date=2026-11-24", 2),
        ("start_date=2026-11-24", 3),
        ("end_date=2026-11-24", 3),
        ("end_date=2026-11-23", 1),
        ("start_date=2026-11-25", 1),
        ("start_date=2026-11-26", 0),
        ("end_date=2026-11-22", 0),
        ("start_date=2026-11-23&end_date=2026-11-25", 4),
        # Moments are exact, and both ends belong to the period.
        ("start_date=2026-11-23T16:00:00Z&end_date=2026-11-24T15:59:59Z", 2),
        ("start_date=2026-11-23T16:00:01Z&end_date=2026-11-24T15:59:58Z", 0),
        ("start_date=2026-11-24T00:00:00%2B08:00&end_date=2026-11-24T23:59:59%2B08:00", 2),
    ],
)
def test_days_are_days_in_shanghai_and_both_belong_to_the_period(
    api, story, clock, patient, query, count
):
    for moment in (
        "2026-11-23T15:59:59Z",  # the last second of the 23rd
        "2026-11-23T16:00:00Z",  # the first of the 24th
        "2026-11-24T15:59:59Z",  # its last
        "2026-11-24T16:00:00Z",  # the first of the 25th
    ):
        clock.set(datetime.fromisoformat(moment))
        story.order(patient)
    assert api.get(f"orders?{query}", by=patient).accepted()["total"] == count
    figures = api.get(f"statistics?{query}", by=patient).accepted()
    assert figures["total_orders"] == count


# --- cancelling -------------------------------------------------------------------------------


def test_it_cancels_a_pending_order_and_answers_null(api, story, patient):
    order = story.order(patient)
    answer = api.put(f"orders/{order['id']}/cancel", by=patient)
    assert (answer.accepted(), answer.message) == (None, "订单取消成功")
    assert story.status(order, patient) == "cancelled"


def test_an_administrator_cancels_anyones(story, patient, admin):
    order = story.order(patient)
    story.cancel(order, admin)
    assert story.status(order, patient) == "cancelled"


@pytest.mark.parametrize("state", ["paid", "partial_refunded", "refunded", "cancelled", "expired"])
def test_only_a_pending_order_can_be_cancelled(api, story, clock, rich_patient, admin, state):
    order = order_in(state, story, clock, rich_patient, admin)
    with nothing_moves():
        answer = api.put(f"orders/{order['id']}/cancel", by=rich_patient)
    assert answer.refused(400, "ORDER_NOT_CANCELLABLE").message == "只能取消待支付的订单"


def order_in(state, story, clock, owner, admin) -> dict:
    from payments.services.endings import orders_expire

    order = story.order(owner)
    if state in {"paid", "partial_refunded", "refunded"}:
        story.pay(order, owner)
    if state == "partial_refunded":
        story.review(story.refund(order, owner, "10.00"), admin)
    if state == "refunded":
        story.review(story.refund(order, owner, "30.00"), admin)
    if state == "cancelled":
        story.cancel(order, owner)
    if state == "expired":
        clock.advance(hours=2)
        orders_expire()
    assert story.status(order, owner) == state
    return order


def test_cancelling_closes_the_open_attempt_first(story, patient):
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    story.cancel(order, patient)
    attempt = PaymentOrder.objects.get(id=order["id"]).transactions.get()
    assert (attempt.status, attempt.error_code) == ("failed", "CLOSED")


# --- asking the gateway -----------------------------------------------------------------------


def test_it_answers_the_order_when_asked_to_look_now(api, story, patient):
    order = story.order(patient)
    story.pay(order, patient, "wechat")
    answer = api.post(f"orders/{order['id']}/sync", by=patient)
    assert answer.accepted()["id"] == order["id"]
    assert (answer.message, answer.data["status"]) == ("订单状态已同步", "pending")


def test_looking_now_is_bounded_per_order(api, story, patient, still_window):
    order, other = story.order(patient), story.order(patient)
    for _ in range(6):
        api.post(f"orders/{order['id']}/sync", by=patient).accepted()
    answer = api.post(f"orders/{order['id']}/sync", by=patient).refused(429, "RATE_LIMITED")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    api.post(f"orders/{other['id']}/sync", by=patient).accepted()


def test_the_default_life_of_an_order_is_two_hours(story, patient):
    order = PaymentOrder.objects.get(id=story.order(patient)["id"])
    assert order.expire_time == NOW + timedelta(hours=2)


@pytest.mark.parametrize("minutes", [1, 30, 21_600])
def test_its_life_is_set_by_order_expire_minutes(story, settings, patient, minutes):
    settings.ORDER_EXPIRE_MINUTES = minutes
    order = PaymentOrder.objects.get(id=story.order(patient)["id"])
    assert order.expire_time == NOW + timedelta(minutes=minutes)


# --- what went back of it ------------------------------------------------------------------------


def told(story, order, by) -> tuple[str, str, str]:
    """Status, what went back and what may be asked back, alike on its page and in the list."""
    row = story.reread(order, by)
    listed = story.api.get("orders", by=by).accepted()["orders"]
    assert row in listed
    return row["status"], row["refunded_amount"], row["refundable_amount"]


def test_it_tells_what_went_back_and_what_is_left(story, patient, admin):
    story.fund(patient, "30.00")
    order = story.order(patient)
    assert told(story, order, patient) == ("pending", "0.00", "0.00")
    story.pay(order, patient)
    assert told(story, order, patient) == ("paid", "0.00", "30.00")
    versions = [story.reread(order, patient)["version"]]
    for back, left in (("0.01", "29.99"), ("10.02", "19.98")):
        refund = story.refund(order, patient, "0.01" if back == "0.01" else "10.01")
        assert told(story, order, patient)[2] == left, "what waits for review is held"
        story.review(refund, admin)
        assert told(story, order, patient) == ("partial_refunded", back, left)
        versions.append(story.reread(order, patient)["version"])
    story.review(story.refund(order, patient, "19.98"), admin)
    assert told(story, order, patient) == ("refunded", "30.00", "0.00")
    versions.append(story.reread(order, patient)["version"])
    assert versions == [2, 3, 4, 5]


def test_money_that_came_late_and_went_back_is_none_of_the_orders(story, patient):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    story.cancel(order, patient)
    story.gateway_reports(order)
    story.worker_runs()
    assert Refund.objects.get().status == "success"
    assert told(story, order, patient) == ("cancelled", "0.00", "0.00")


def test_a_longer_list_takes_no_more_questions(api, story, patient):
    def questions(count: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            listed = api.get(f"orders?page_size={count}", by=patient).accepted()["orders"]
        assert len(listed) == count
        return len(asked)

    story.fund(patient, "150.00")
    for _order in range(5):
        story.paid_from_balance(patient)
    assert questions(4) == questions(1)
