"""Who may call what of the API: api.txt, asked line by line with real requests."""

import json
from typing import Any

import pytest
from django.urls import resolve

from tcmpay.common.actor import Role
from tests.api.description import endpoints_of_the_product
from tests.api.kit import Api, Person, ensure_envelope, nothing_moves, someone
from tests.authority.belongings import Belongings
from tests.authority.bodies import API_BODIES
from tests.authority.tables import CALLERS, Call, api_table
from tests.writes import writes_seen

TABLE = api_table()
# Owners and others are patients and doctors alike; the object belongs to one of the same role.
PEOPLE = [
    ("anonymous", Role.PATIENT),
    ("owner", Role.PATIENT),
    ("owner", Role.DOCTOR),
    ("other", Role.PATIENT),
    ("other", Role.DOCTOR),
    ("admin", Role.PATIENT),
    ("service", Role.PATIENT),
]
REFUSED = {401: ("UNAUTHENTICATED", "未授权"), 403: ("FORBIDDEN", "禁止访问")}


def caller(name: str, owner: Person) -> Person | None:
    return {
        "anonymous": lambda: None,
        "owner": lambda: owner,
        "other": lambda: someone(owner.role),
        "admin": lambda: someone(Role.ADMIN),
        "service": lambda: someone(Role.SERVICE),
    }[name]()


@pytest.mark.parametrize(("who", "role"), PEOPLE, ids=lambda value: str(value))
@pytest.mark.parametrize("line", TABLE, ids=str)
def test_each_endpoint_lets_in_whom_the_table_says(api: Api, story, line: Call, who, role):
    belongings = Belongings(story, role)
    path = belongings.filled(line.path)
    body = json.dumps(belongings.filled(API_BODIES[line.body])) if line.body else ""
    by = caller(who, belongings.owner)
    expected = line.statuses[CALLERS.index(who)]
    with writes_seen() as written:
        answer = api.raw(line.method, path, by=by, content=body)
    assert answer.status_code == expected, f"{line.where}: {who} got {answer.content!r}"
    if expected >= 400:
        refusal = ensure_envelope(answer)
        assert (refusal["code"], refusal["message"]) == REFUSED[expected]
    if expected >= 400 or line.writes_nothing:
        assert not written, f"{line.where}: {who} made it write to {sorted(written)}"


def test_every_endpoint_has_a_line():
    known: set[tuple[str, Any]] = {
        (line.method, resolve(Api.address(line.path).partition("?")[0]).route) for line in TABLE
    }
    served = set(endpoints_of_the_product())
    hints = [
        f"{method}  {route.removeprefix('api/v1/payment/')}   401 200 403 200 403"
        for method, route in sorted(served - known)
    ]
    assert not hints, (
        "These endpoints have no line in tests/authority/api.txt. Add one for each, with an object "
        "of the owner in its path and the statuses that the contract gives it:\n" + "\n".join(hints)
    )
    gone = [line.where for line in TABLE if (line.method, _route(line)) not in served]
    assert not gone, f"lines about nothing: {gone}"


def _route(line: Call) -> str:
    return resolve(Api.address(line.path).partition("?")[0]).route


# --- what a table can't say -------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DOCTOR])
def test_lists_without_a_filter_show_only_what_is_ones_own(api, story, role, admin):
    mine, theirs = someone(role), someone(role)
    for person in (mine, theirs):
        story.fund(person, "30.00")
        story.refund(story.paid_from_balance(person), person)
    assert [row["user_id"] for row in api.get("orders", by=mine).data["orders"]] == [mine.name]
    assert [row["user_id"] for row in api.get("refunds", by=mine).data["refunds"]] == [mine.name]
    assert api.get("statistics", by=mine).data["total_orders"] == 1
    assert api.get("orders", by=admin).data["total"] == 2
    assert api.get("refunds", by=admin).data["total"] == 2
    assert api.get("statistics", by=admin).data["total_orders"] == 2


def test_an_object_that_does_not_exist_is_404_for_everybody(api, patient, admin, service):
    unknown = "00000000-0000-7000-8000-000000000000"
    for person in (patient, admin, service):
        api.get(f"orders/{unknown}", by=person).refused(404, "NOT_FOUND")
        api.get(f"refunds/{unknown}", by=person).refused(404, "NOT_FOUND")
    body = {"order_id": unknown, "payment_method": "balance"}
    assert api.post("pay", body, by=patient).refused(404, "NOT_FOUND").message == "订单不存在"
    body = {"order_id": unknown, "refund_amount": "1.00", "refund_reason": "x"}
    assert api.post("refunds", body, by=admin).refused(404, "NOT_FOUND").message == "订单不存在"


def test_an_administrator_may_own_and_pay_an_order(story, admin):
    story.fund(admin, "30.00")
    assert story.paid_from_balance(admin)["status"] == "paid"


@pytest.mark.parametrize("method", ["balance", "wechat"])
def test_the_platforms_back_end_never_pays_not_even_under_the_owners_id(
    api, story, rich_patient, method
):
    order = story.order(rich_patient)
    impostor = someone(Role.SERVICE, rich_patient.id)
    with nothing_moves():
        answer = api.post("pay", {"order_id": order["id"], "payment_method": method}, by=impostor)
    answer.refused(403, "FORBIDDEN")


def test_a_configuration_secret_is_masked_even_for_an_administrator(api, admin):
    secret = "0123456789abcdef0123456789abcdef"
    body = {"config_key": "api_key", "config_value": secret, "is_encrypted": False}
    assert api.put("admin/config/wechat", body, by=admin).accepted() is None
    answer = api.get("admin/config/wechat", by=admin)
    assert secret not in str(answer.body)
