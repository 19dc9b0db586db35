"""Refunds of many orders over the API: dry run, acceptance, a second person, results per row."""

import uuid

import pytest

from refunds.models import Refund, RefundBulk
from refunds.services.bulk_runs import bulk_run
from tcmpay.common.actor import Role
from tests.api.kit import nothing_moves, someone

BULK = "admin/refunds/bulk"
REASON = "医生停诊"


@pytest.fixture
def admin():
    return someone(Role.ADMIN)


@pytest.fixture
def orders(story, rich_patient) -> list[dict]:
    """Two of 30.00, paid, and one that nobody paid."""
    paid = [story.paid_from_balance(rich_patient) for _number in range(2)]
    return [*paid, story.order(rich_patient)]


def body(orders, **more) -> dict:
    rows = [{"order_id": order["id"]} for order in orders]
    return {"refunds": rows, "refund_reason": REASON} | more


def told(data) -> list[tuple]:
    return [(row["result"], row["code"], row["refund_amount"]) for row in data["rows"]]


def test_a_dry_run_tells_what_would_become_of_each_and_writes_nothing(api, orders, admin):
    with nothing_moves():
        answer = api.post(BULK, body(orders, dry_run=True), by=admin)
    data = answer.accepted(202)
    assert (data["dry_run"], data["total"], data["refundable"], data["refund_amount"]) == (
        True, 3, 2, "60.00",
    )  # fmt: skip
    assert told(data) == [
        ("waiting", None, "30.00"), ("waiting", None, "30.00"),
        ("refused", "ORDER_NOT_REFUNDABLE", None),
    ]  # fmt: skip
    assert data["refused"] == [
        {"code": "ORDER_NOT_REFUNDABLE", "message": "只能退款已支付的订单", "count": 1}
    ]
    assert not RefundBulk.objects.exists()


def test_an_accepted_one_waits_for_another_admin_then_refunds_each_once(api, orders, admin):
    answer = api.post(BULK, body(orders), by=admin)
    bulk = answer.accepted(202)
    assert answer.message == "批量退款已受理"
    assert (bulk["status"], bulk["approvals_needed"], bulk["requested_by"]) == (
        "pending", 1, admin.name,
    )  # fmt: skip
    assert RefundBulk.objects.get().source == "orders"
    address = f"{BULK}/{bulk['id']}"
    decision = {"approved": True, "review_notes": "已核对"}
    api.put(f"{address}/review", decision, by=admin).refused(403, "SELF_REVIEW")
    other = someone(Role.ADMIN)
    assert api.put(f"{address}/review", decision, by=other).accepted() is None
    api.put(f"{address}/review", decision, by=other).refused(400, "BULK_ALREADY_DECIDED")
    bulk_run(bulk_id=uuid.UUID(bulk["id"]))
    done = api.get(address, by=admin).accepted()
    assert (done["status"], done["reviewed_by"], done["review_notes"]) == (
        "finished", other.name, "已核对",
    )  # fmt: skip
    assert done["counts"] == {
        "waiting": 0, "approved": 2, "asked": 0, "refused": 1, "left_out": 0,
    }  # fmt: skip
    assert [row["refund_status"] for row in done["rows"]] == ["success", "success", None]
    some = api.get(f"{address}?result=approved&page=2&page_size=1", by=admin).accepted()
    assert (some["total"], [row["position"] for row in some["rows"]]) == (2, [2])
    refunds = Refund.objects.values_list("requested_by", "reviewed_by", "refund_reason")
    assert set(refunds) == {(admin.id, other.id, REASON)}


def test_it_is_paused_resumed_and_ended_over_the_api(api, orders, admin):
    address = f"{BULK}/{api.post(BULK, body(orders), by=admin).accepted(202)['id']}"
    other = someone(Role.ADMIN)
    api.put(f"{address}/pause", {}, by=admin).refused(400, "BULK_NOT_RUNNING")
    api.put(f"{address}/review", {"approved": True}, by=other).accepted()
    paused = api.put(f"{address}/pause", {}, by=other)
    assert (paused.message, paused.accepted()["status"]) == ("批量退款已暂停", "paused")
    api.put(f"{address}/resume", {}, by=admin).refused(403, "BULK_NEEDS_SECOND_PERSON")
    assert api.put(f"{address}/resume", {}, by=other).accepted()["status"] == "running"
    api.put(f"{address}/end", {"reason": "改期"}, by=other).refused(400, "BULK_NOT_RUNNING")
    api.put(f"{address}/pause", {}, by=admin).accepted()
    api.put(f"{address}/end", {}, by=admin).invalid("reason")
    ended = api.put(f"{address}/end", {"reason": "改期"}, by=admin).accepted()
    assert (ended["status"], ended["counts"]["left_out"]) == ("finished", 2)
    assert not Refund.objects.exists()


def test_whoever_asked_takes_it_back_over_the_api(api, orders, admin):
    address = f"{BULK}/{api.post(BULK, body(orders), by=admin).accepted(202)['id']}"
    assert api.put(f"{address}/withdraw", {}, by=admin).accepted()["status"] == "withdrawn"
    api.put(f"{address}/withdraw", {}, by=admin).refused(400, "BULK_ALREADY_DECIDED")


def test_a_filter_names_the_orders(api, orders, admin, rich_patient):
    sent = {"filter": {"user_id": rich_patient.name}, "refund_reason": REASON}
    assert api.post(BULK, sent | {"dry_run": True}, by=admin).accepted(202)["total"] == 3
    bulk = api.post(BULK, sent, by=admin).accepted(202)
    assert (bulk["refundable"], bulk["refund_amount"]) == (2, "60.00")
    assert RefundBulk.objects.get().source == "filter"
    nobodys = {"filter": {"user_id": admin.name}, "refund_reason": REASON}
    api.post(BULK, nobodys, by=admin).refused(400, "BULK_SIZE")


def test_the_same_key_is_one_bulk(api, orders, admin):
    first, again = (
        api.post(BULK, body(orders), by=admin, headers={"Idempotency-Key": "day-1"})
        for _time in range(2)
    )
    assert first.accepted(202)["id"] == again.accepted(202)["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert RefundBulk.objects.count() == 1


def row(**fields) -> dict:
    return {"order_id": str(uuid.uuid4())} | fields


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "refunds"),
        ({"refunds": [row()], "filter": {"order_type": "other"}, "refund_reason": "x"}, "refunds"),
        ({"refunds": [], "refund_reason": "x"}, "refunds"),
        ({"refunds": [row()] * 5001, "refund_reason": "x"}, "refunds"),
        ({"refunds": [{}], "refund_reason": "x"}, "refunds"),
        ({"refunds": ["x"], "refund_reason": "x"}, "refunds"),
        ({"refunds": [row(amount="1.00")], "refund_reason": "x"}, "refunds"),
        ({"refunds": [row(refund_amount="0")], "refund_reason": "x"}, "refunds"),
        ({"refunds": [row(refund_amount="1.005")], "refund_reason": "x"}, "refunds"),
        ({"refunds": [row(refund_reason="x" * 501)]}, "refunds"),
        ({"refunds": [row()]}, "refund_reason"),
        ({"filter": {"order_type": "other"}}, "refund_reason"),
        ({"filter": {}, "refund_reason": "x"}, "filter"),
        ({"filter": {"status": "paid"}, "refund_reason": "x"}, "filter.status"),
        ({"filter": {"start_date": "yesterday"}, "refund_reason": "x"}, "filter.start_date"),
        ({"refunds": [row()], "refund_reason": "x", "dry_run": "yes"}, "dry_run"),
    ],
)
def test_bad_input_is_refused_by_its_field(api, admin, sent, field):
    api.post(BULK, sent, by=admin).invalid(field)
    assert not RefundBulk.objects.exists()


def test_none_that_can_be_refunded_is_no_bulk(api, orders, admin):
    api.post(BULK, body(orders[2:]), by=admin).refused(400, "BULK_NOTHING")


def test_five_thousand_rows_are_within_the_bound_of_a_body(api, admin):
    sent = {"refunds": [row(refund_amount="30.00", refund_reason=REASON) for _n in range(5000)]}
    data = api.post(BULK, sent | {"dry_run": True}, by=admin).accepted(202)
    assert (data["total"], data["refundable"]) == (5000, 0)
