"""Whatever is sent: never a 5xx, always the envelope, and no row of money changes."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from payments.models import PaymentCallback
from tests.api.corpus import HOSTILE_BODIES, HOSTILE_VALUES, MASS_ASSIGNMENT
from tests.api.kit import nothing_moves
from tests.api.story import mock_callback

FREE_TEXT = "free text"  # taken as it is, where it is not too long
OPTIONAL = "optional"  # null is as good as nothing
BOOLEAN = "boolean"
STRICT = "strict"


@dataclass(frozen=True)
class Door:
    """A POST or PUT, who may use it, and what kind each of its fields is."""

    method: str
    path: str
    by: str
    body: dict[str, Any] = field(hash=False)
    kinds: dict[str, str] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


DOORS = [
    Door(
        "POST",
        "orders",
        "patient",
        {"user_id": "{patient}", "order_type": "other", "amount": "1.00"},
        {
            "user_id": STRICT,
            "order_type": STRICT,
            "amount": STRICT,
            "service_type": STRICT,
            "appointment_id": OPTIONAL,
            "description": FREE_TEXT,
            "metadata": FREE_TEXT,
        },
    ),
    Door(
        "POST",
        "pay",
        "patient",
        {"order_id": "{pending}", "payment_method": "wechat"},
        {
            "order_id": STRICT,
            "payment_method": STRICT,
            "return_url": FREE_TEXT,  # empty is fine
            "scene": FREE_TEXT,  # trimmed
            "openid": FREE_TEXT,
        },
    ),
    Door(
        "POST",
        "refunds",
        "patient",
        {"order_id": "{paid}", "refund_amount": "0.01", "refund_reason": "x"},
        {"order_id": STRICT, "refund_amount": STRICT, "refund_reason": FREE_TEXT},
    ),
    Door(
        "PUT",
        "admin/refunds/{refund}/review",
        "admin",
        {"approved": False},
        {"approved": BOOLEAN, "review_notes": FREE_TEXT},
    ),
    Door(
        "PUT",
        "admin/prices/consultation",
        "admin",
        {"price": "20.00"},
        {
            "price": STRICT,
            "service_name": FREE_TEXT,
            "discount_price": OPTIONAL,
            "is_active": BOOLEAN,
            "effective_date": STRICT,
            "expiry_date": OPTIONAL,
            "description": FREE_TEXT,
        },
    ),
    Door(
        "PUT",
        "admin/config/wechat",
        "admin",
        {"config_key": "app_id", "config_value": "wx1"},
        {"config_key": STRICT, "config_value": FREE_TEXT, "is_encrypted": BOOLEAN},
    ),
    Door("PUT", "orders/{pending}/cancel", "patient", {}, {}),
    Door("POST", "orders/{pending}/sync", "patient", {}, {}),
    Door("PUT", "refunds/{refund}/withdraw", "patient", {}, {}),
]
WITH_BODY = [door for door in DOORS if door.kinds]
FIELDS = [(door, name) for door in WITH_BODY for name in door.kinds]


@pytest.fixture
def stage(story, rich_patient, admin) -> dict[str, Any]:
    """The objects that the doors' addresses and bodies name."""
    paid = story.paid_from_balance(rich_patient)
    return {
        "patient": rich_patient,
        "admin": admin,
        "names": {
            "patient": rich_patient.name,
            "pending": story.order(rich_patient)["id"],
            "paid": paid["id"],
            "refund": story.refund(paid, rich_patient, "1.00")["id"],
        },
    }


def filled(text: Any, stage) -> Any:
    if not isinstance(text, str):
        return text
    for name, value in stage["names"].items():
        text = text.replace(f"{{{name}}}", value)
    return text


def knock(api, door: Door, stage, **sent):
    return api.call(door.method, filled(door.path, stage), by=stage[door.by], **sent)


def body_with(door: Door, stage, **changes) -> dict[str, Any]:
    return {name: filled(value, stage) for name, value in door.body.items()} | changes


@pytest.mark.parametrize("door", WITH_BODY, ids=str)
def test_a_hostile_body_is_refused(api, stage, door):
    for content_type, content in HOSTILE_BODIES:
        with nothing_moves():
            answer = knock(api, door, stage, content=content, content_type=content_type)
        assert answer.status in (400, 413, 415), (content_type, content[:60], answer.body)


def is_bad(kind: str, value: Any) -> bool:
    if kind == OPTIONAL:
        return value is not None
    if kind == BOOLEAN:
        return not isinstance(value, bool)
    return kind == STRICT


@pytest.mark.parametrize(("door", "name"), FIELDS, ids=str)
def test_a_hostile_value_in_a_field_is_refused_or_is_only_text(api, stage, door, name):
    kind = door.kinds[name]
    with nothing_moves():
        for value in HOSTILE_VALUES:
            if not is_bad(kind, value):
                continue
            answer = knock(api, door, stage, body=body_with(door, stage, **{name: value}))
            assert answer.status == 400, (value, answer.body)
    if kind == FREE_TEXT:
        for value in HOSTILE_VALUES:
            answer = knock(api, door, stage, body=body_with(door, stage, **{name: value}))
            assert answer.status < 500, (value, answer.body)


@pytest.mark.parametrize("door", WITH_BODY, ids=str)
def test_what_a_client_has_no_say_in_is_refused_not_ignored(api, stage, door):
    with nothing_moves():
        for name in set(MASS_ASSIGNMENT) - set(door.kinds):
            answer = knock(api, door, stage, body=body_with(door, stage, **{name: 1}))
            answer.invalid(name)


@pytest.mark.parametrize("door", [door for door in DOORS if "{" in door.path], ids=str)
def test_a_hostile_id_in_the_address_names_nothing(api, stage, door):
    start, _, end = door.path.partition("{")
    with nothing_moves():
        for value in (
            "0",
            "%27--",
            "%00",
            "%0d%0aX:%20y",
            "..%2f",
            "*",
            "_",
            "%",
            "%25s",
            "x" * 9000,
        ):
            path = start + value + end.partition("}")[2]
            answer = api.call(door.method, path, by=stage[door.by], body=body_with(door, stage))
            answer.refused(404, "NOT_FOUND")


def test_text_is_kept_and_given_back_exactly(api, story, patient):
    for text in HOSTILE_VALUES:
        if isinstance(text, str) and text == text.strip() and 0 < len(text) <= 500:
            assert story.order(patient, description=text)["description"] == text, repr(text)


def test_metadata_is_kept_and_given_back_exactly(api, story, patient):
    for value in HOSTILE_VALUES:
        if len(json.dumps(value)) < 3000:
            order = story.order(patient, metadata={"value": value})
            assert story.reread(order, patient)["metadata"] == {"value": value}, repr(value)


QUERY_DOORS = ["orders", "refunds", "statistics", "prices", "balance/{patient}/transactions"]


@pytest.mark.parametrize("path", QUERY_DOORS)
def test_a_hostile_query_is_refused(api, stage, path):
    names = ["user_id", "status", "order_type", "page", "page_size", "start_date", "is_active", "x"]
    values = [
        "%00",
        "%ff",
        "%27",
        "a%0d%0ab",
        "[]",
        "%2e%2e",
        "1%20OR%201",
        "%F0%9F%A6%A0",
        "x" * 4000,
    ]
    with nothing_moves():
        for name in names:
            for value in values:
                answer = api.get(f"{filled(path, stage)}?{name}={value}", by=stage["admin"])
                answer.invalid(name)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Accept-Language", "\u4e2d\u6587, ../../etc/passwd;q=x" * 50),
        ("Accept", "*/*;q=nonsense"),
        ("Accept", "application/json;" * 200),
        ("X-Forwarded-For", "', ; DROP TABLE x" * 50),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("User-Agent", "() { :; }; reboot"),
        ("Referer", "javascript:alert(1)"),
        ("Cookie", "sessionid=' OR 1; csrftoken=" + "x" * 4000),
        ("Idempotency-Key", "' OR '1'='1"),
        ("X-Request-ID", "a\r\nSet-Cookie: b=c"),
        ("Content-Encoding", "gzip"),
        ("Range", "bytes=0-0"),
        ("Expect", "100-continue"),
    ],
    ids=lambda value: value[:24],
)
def test_a_hostile_header_makes_no_difference(api, patient, header, value):
    answer = api.get("orders", by=patient, headers={header: value})
    assert answer.status in (200, 406)
    assert "Set-Cookie" not in answer.headers


# --- gateways' door ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_a_hostile_callback_moves_nothing(api, story, settings, patient, method):
    order = story.order(patient)
    story.pay(order, patient, method)
    with nothing_moves():
        for content_type, content in HOSTILE_BODIES:
            response = api.callback(
                f"/payment/callback/{method}", content=content, content_type=content_type
            )
            assert 400 <= response.status_code < 500, (content_type, content[:60])
    kept = PaymentCallback.objects.exclude(verdict="untrusted")
    assert not kept.exists()


@pytest.mark.parametrize("name", ["out_trade_no", "trade_no", "trade_status", "total_amount"])
def test_a_hostile_field_in_a_callback_moves_nothing(api, story, patient, name):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    with nothing_moves():
        for value in HOSTILE_VALUES:
            if name == "trade_no" and value in (
                "null",
                "undefined",
                "true",
                "NaN",
                "-1",
                "1e5",
                "0x10",
            ):
                continue  # as good a number of a gateway as any
            body = mock_callback(order) | {name: value}
            response = api.callback("/payment/callback/alipay", body)
            # A number that nobody has is held for staff, which counts as handled.
            assert response.status_code in (200, 401), (value, response.content)
    assert story.status(order, patient) == "pending"
