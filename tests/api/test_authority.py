"""Who may call what, as one table (CONTRACT section 2). An endpoint without a row fails here."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from django.urls.resolvers import RoutePattern

from tcmpay.common.actor import Role
from tests.api.kit import API, Api, Person, nothing_moves, someone
from tests.api.story import Story, mock_callback

CALLERS = ("anonymous", "owner", "other", "admin", "service")
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
REVIEW = {"approved": True, "review_notes": "同意退款"}
ORDER = {"user_id": "{owner}", "order_type": "other", "amount": "1.00"}
REFUND = {"order_id": "{paid}", "refund_amount": "1.00", "refund_reason": "未使用"}
CONFIG = {"config_key": "app_id", "config_value": "wx1234567890abcdef"}


@dataclass(frozen=True)
class Endpoint:
    """Expected statuses in the order of CALLERS; {names} stand for objects of the owner."""

    method: str
    path: str
    statuses: tuple[int, int, int, int, int]
    body: dict[str, Any] | None = field(default=None, hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


# fmt: off
#                                             anonymous owner other admin service
TABLE = [
    Endpoint("POST", "orders",                     (401, 201, 403, 201, 201), ORDER),
    Endpoint("GET",  "orders",                     (401, 200, 200, 200, 200)),
    Endpoint("GET",  "orders?user_id={owner}",     (401, 200, 403, 200, 200)),
    Endpoint("GET",  "orders/{pending}",           (401, 200, 403, 200, 200)),
    Endpoint("PUT",  "orders/{pending}/cancel",    (401, 200, 403, 200, 403)),
    Endpoint("POST", "orders/{pending}/sync",      (401, 200, 403, 200, 403)),
    Endpoint("GET",  "orders/{started}/qr.svg",    (401, 200, 403, 200, 403)),
    Endpoint("POST", "pay",                        (401, 200, 403, 403, 403),
             {"order_id": "{pending}", "payment_method": "balance"}),
    Endpoint("POST", "pay",                        (401, 200, 403, 403, 403),
             {"order_id": "{pending}", "payment_method": "wechat"}),
    Endpoint("POST", "refunds",                    (401, 201, 403, 201, 403), REFUND),
    Endpoint("GET",  "refunds",                    (401, 200, 200, 200, 200)),
    Endpoint("GET",  "refunds?user_id={owner}",    (401, 200, 403, 200, 200)),
    Endpoint("GET",  "refunds/{refund}",           (401, 200, 403, 200, 200)),
    Endpoint("PUT",  "refunds/{refund}/withdraw",  (401, 200, 403, 403, 403)),
    Endpoint("PUT",  "admin/refunds/{refund}/review", (401, 403, 403, 200, 403), REVIEW),
    Endpoint("GET",  "balance/{owner}",            (401, 200, 403, 200, 403)),
    Endpoint("GET",  "balance/{owner}/transactions", (401, 200, 403, 200, 403)),
    Endpoint("GET",  "prices",                     (200, 200, 200, 200, 200)),
    Endpoint("GET",  "prices/consultation",        (200, 200, 200, 200, 200)),
    Endpoint("PUT",  "admin/prices/consultation",  (401, 403, 403, 200, 403), {"price": "21.00"}),
    Endpoint("GET",  "statistics",                 (401, 200, 200, 200, 403)),
    Endpoint("GET",  "statistics?user_id={owner}", (401, 200, 403, 200, 403)),
    Endpoint("PUT",  "admin/config/wechat",        (401, 403, 403, 200, 403), CONFIG),
    Endpoint("PUT",  "admin/config/alipay",        (401, 403, 403, 200, 403), CONFIG),
    Endpoint("GET",  "admin/config/wechat",        (401, 403, 403, 200, 403)),
    Endpoint("GET",  "admin/config/alipay",        (401, 403, 403, 200, 403)),
    Endpoint("POST", "/payment/callback?method=alipay", (200, 200, 200, 200, 200), {"mock": 1}),
    Endpoint("POST", "/payment/callback/wechat",   (200, 200, 200, 200, 200), {"mock": 1}),
    Endpoint("GET",  "/health/live",               (200, 200, 200, 200, 200)),
    Endpoint("GET",  "/health/ready",              (200, 200, 200, 200, 200)),
]
# fmt: on


class Belongings:
    """What the owner has, made when a row names it."""

    def __init__(self, story: Story, role: Role) -> None:
        self.story = story
        self.owner = someone(role)
        self._made: dict[str, str] = {}

    def filled(self, text: str) -> str:
        for name in ("owner", "pending", "started", "paid", "refund"):
            if f"{{{name}}}" in text:
                text = text.replace(f"{{{name}}}", self._id(name))
        return text

    def _id(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = str(getattr(self, f"_make_{name}")())
        return self._made[name]

    def _make_owner(self) -> str:
        return self.owner.name

    def _make_pending(self) -> str:
        self.story.fund(self.owner, "30.00")
        return self.story.order(self.owner)["id"]

    def _make_started(self) -> str:
        order = self.story.order(self.owner)
        self.story.pay(order, self.owner, "wechat")
        return order["id"]

    def _make_paid(self) -> str:
        self.story.fund(self.owner, "30.00")
        return self.story.paid_from_balance(self.owner)["id"]

    def _make_refund(self) -> str:
        return self.story.refund({"id": self._id("paid")}, self.owner)["id"]


def caller(name: str, owner: Person) -> Person | None:
    return {
        "anonymous": lambda: None,
        "owner": lambda: owner,
        "other": lambda: someone(owner.role),
        "admin": lambda: someone(Role.ADMIN),
        "service": lambda: someone(Role.SERVICE),
    }[name]()


def body_for(endpoint: Endpoint, belongings: Belongings) -> Any:
    if endpoint.body == {"mock": 1}:
        return mock_callback({"order_no": "ORD1", "amount": "1.00"})
    return {name: belongings.filled(value) if isinstance(value, str) else value
            for name, value in (endpoint.body or {}).items()}  # fmt: skip


@pytest.mark.parametrize(("who", "role"), PEOPLE, ids=lambda value: str(value))
@pytest.mark.parametrize("endpoint", TABLE, ids=str)
def test_each_endpoint_lets_in_whom_the_table_says(api: Api, story, endpoint, who, role):
    belongings = Belongings(story, role)
    path = belongings.filled(endpoint.path)
    sent = {"by": caller(who, belongings.owner)}
    if endpoint.body is not None:
        sent["body"] = body_for(endpoint, belongings)
    expected = endpoint.statuses[CALLERS.index(who)]
    if path.startswith("/payment"):
        assert api.callback(path, sent["body"], by=sent["by"]).status_code == expected
        return
    if expected < 400:
        assert api.raw(endpoint.method, path, **as_bytes(sent)).status_code == expected
        return
    with nothing_moves():
        answer = api.call(endpoint.method, path, **sent)
    answer.refused(expected, {401: "UNAUTHENTICATED", 403: "FORBIDDEN"}[expected])
    assert answer.message == {401: "未授权", 403: "禁止访问"}[expected]


def as_bytes(sent: dict[str, Any]) -> dict[str, Any]:
    body = sent.get("body")
    return {"by": sent["by"], "content": json.dumps(body) if body is not None else b""}


def test_every_endpoint_has_a_row():
    rows = {(endpoint.method, resolve(address(endpoint)).route) for endpoint in TABLE}
    assert rows == set(endpoints_of_the_product())


def address(endpoint: Endpoint) -> str:
    return Api.address(endpoint.path).partition("?")[0]


def endpoints_of_the_product() -> Iterator[tuple[str, str]]:
    for route, view in routes(get_resolver().url_patterns):
        if route.startswith((f"{API}/"[1:], "payment/", "health/")):
            for method in methods_of(view):
                yield method, route


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        if not isinstance(entry.pattern, RoutePattern):
            continue  # the catch-all that answers 404
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern):
            yield route, entry.callback


def methods_of(view: Any) -> list[str]:
    if actions := getattr(view, "actions", None):
        return [method.upper() for method in actions if method != "head"]
    if view_class := getattr(view, "view_class", None) or getattr(view, "cls", None):
        names = ("get", "post", "put", "patch", "delete")
        return [name.upper() for name in names if hasattr(view_class, name)]
    return ["POST"]  # the gateways' callback


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
