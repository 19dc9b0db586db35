"""The corpus against every endpoint, whichever there are: the description says how to ask.

Never a 5xx, always the contract's shape, and what is refused writes nothing (stage.Stage.ask).
"""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from django.conf import settings as product_settings
from django.core.cache import cache

from payments.models import PaymentCallback
from tcmpay.common.addresses import AddressRefused, ensure_public_url
from tests.api.kit import nothing_moves
from tests.hostile.corpus import amounts, bodies, corpus, values
from tests.hostile.stage import OPERATIONS, OURS, Operation, Stage, is_valid, resolved

WITH_BODY = [operation for operation in OURS if operation.fields]
WITH_QUERY = [operation for operation in OURS if operation.parameters("query")]
WITH_PATH = [operation for operation in OURS if operation.parameters("path")]
WITH_KEY = [one for one in OURS if "Idempotency-Key" in one.parameters("header")]
WITH_TOKEN = [operation for operation in OURS if not operation.is_public]
WRITING = [operation for operation in OURS if operation.method != "GET"]


@pytest.fixture
def stage(api, story) -> Stage:
    return Stage(api, story)


def as_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_there_is_a_right_request_for_each(stage):
    """Or else everything below would be refused for the wrong reason."""
    for operation in OURS:
        content = as_json(stage.body(operation)) if operation.fields else b""
        answer = stage.ask(operation, content=content)
        # No code is shown for an order that has not begun to be paid; the rest succeeds.
        right = (404,) if "qr.svg" in operation.path else (200, 201, 202)
        assert answer.status_code in right, (operation, answer.content)


@pytest.mark.parametrize("operation", WRITING, ids=str)
def test_a_hostile_body_is_refused(stage, operation: Operation):
    for content_type, content in bodies():
        cache.clear()  # also the counts of rate limits, where Redis counts
        answer = stage.ask(operation, content=content, content_type=content_type)
        is_left_out = operation.may_have_no_body and content in (b"", b"{}")
        if operation.fields and not is_left_out:
            is_right = answer.status_code in (400, 413, 415)
        else:
            # No body is asked for; one that can't be read is refused all the same.
            is_right = answer.status_code in (200, 400, 413, 415)
        assert is_right, (content_type, content[:60], answer.content)


@pytest.mark.parametrize("operation", [one for one in WRITING if not one.fields], ids=str)
def test_a_body_that_nobody_asked_for_must_be_readable_all_the_same(stage, operation: Operation):
    for content_type, content, status in (
        ("application/json", b"{", 400),
        ("application/json", b'{"a": 1, "a": 2}', 400),
        ("application/json", b"\xff", 400),
        ("application/xml", b"<a/>", 415),
        ("application/x-www-form-urlencoded", b"a=1", 415),
        ("application/json", b"{}", 200),
        ("application/json", b"", 200),
        ("", b"", 200),
    ):
        answer = stage.ask(operation, content=content, content_type=content_type)
        assert answer.status_code == status, (content_type, content, answer.content)


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_a_hostile_value_is_refused_where_the_description_forbids_it(stage, operation: Operation):
    right = stage.body(operation)
    for name, schema in operation.fields.items():
        for value in values():
            answer = stage.ask(operation, content=as_json(right | {name: value}))
            if not is_valid(schema, value):
                assert answer.status_code == 400, (name, value, answer.content)


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_what_is_no_amount_is_refused(stage, operation: Operation):
    right = stage.body(operation)
    for name, schema in operation.fields.items():
        if schema.get("example") != "30.00":
            continue
        content = as_json(right | {name: "{here}"})
        for literal in amounts():
            if literal == "null" and is_valid(schema, None):
                continue
            answer = stage.ask(operation, content=content.replace(b'"{here}"', literal.encode()))
            assert answer.status_code == 400, (name, literal, answer.content)


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_what_a_client_has_no_say_in_is_refused_not_ignored(stage, operation: Operation):
    right = stage.body(operation)
    for name in set(corpus("names")) - set(operation.fields):
        answer = stage.ask(operation, content=as_json(right | {name: 1}))
        assert answer.status_code == 400
        assert set(json.loads(answer.content)["errors"]) == {name}


@pytest.mark.parametrize("operation", WITH_PATH, ids=str)
def test_a_hostile_id_in_the_address_names_nothing(stage, operation: Operation):
    content = as_json(stage.body(operation)) if operation.fields else b""
    for place in operation.parameters("path"):
        for text in corpus("ids"):
            path = stage.address(operation, **{place: text.replace("{known}", stage.known[place])})
            answer = stage.ask(operation, path=path, content=content)
            assert answer.status_code in (400, 404, 405), (text, answer.content)


@pytest.mark.parametrize("operation", WITH_QUERY, ids=str)
def test_a_hostile_query_is_refused(stage, operation: Operation):
    found = corpus("queries")
    address = stage.address(operation)
    for name, schema in operation.parameters("query").items():
        schema = resolved(schema)
        for value in found["values"]:
            answer = stage.ask(operation, path=f"{address}?{name}={value}")
            if value == "0" and schema.get("minimum") == 0:
                is_right = answer.status_code == 200
            elif schema["type"] != "string" or "enum" in schema or "format" in schema:
                is_right = answer.status_code == 400
            else:
                is_right = answer.status_code in (200, 400, 403)
            assert is_right, (name, value, answer.content)
        twice = stage.ask(operation, path=f"{address}?{name}=1&{name}=1")
        assert twice.status_code == 400
    for name in found["unknown"]:
        assert stage.ask(operation, path=f"{address}?{name}=1").status_code == 400, name


@pytest.mark.parametrize("operation", WITH_KEY, ids=str)
def test_a_hostile_idempotency_key_is_refused_or_only_a_key(stage, operation: Operation):
    content = as_json(stage.body(operation))
    for key in corpus("keys")["refused"]:
        answer = stage.ask(operation, content=content, headers={"Idempotency-Key": key})
        assert answer.status_code == 400, (key[:20], answer.content)
    for key in corpus("keys")["taken"]:
        answer = stage.ask(operation, content=content, headers={"Idempotency-Key": key})
        assert answer.status_code in (200, 201, 202), (key[:20], answer.content)


@pytest.mark.parametrize("operation", WITH_TOKEN, ids=str)
def test_a_hostile_token_is_nobodys(stage, operation: Operation):
    for entry in corpus("tokens"):
        token = entry["raw"] if "raw" in entry else forged(stage, entry)
        answer = stage.ask(operation, by=None, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, (entry["why"], answer.content)


def forged(stage: Stage, entry: dict[str, Any]) -> str:
    """The token that ``entry`` describes, put together by hand, so that nothing stops us."""
    now = int(time.time())
    claims = {"sub": stage.admin.name, "role": "admin", "iat": now, "exp": now + 600}
    claims |= entry.get("claims", {})
    claims.pop(entry.get("without", ""), None)
    head = {"alg": "HS256", "typ": "JWT"} | entry.get("header", {})
    content = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (head, claims)
    )
    if entry.get("unsigned"):
        return f"{content}."
    key = entry.get("key", product_settings.JWT_SECRET).encode()
    digest = hashlib.sha512 if head["alg"] == "HS512" else hashlib.sha256
    mac = hmac.new(key, content.encode(), digest).digest()
    return f"{content}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_the_forger_of_this_file_can_make_a_good_token(stage):
    operation = WITH_TOKEN[0]
    token = forged(stage, {"header": {}})
    answer = stage.ask(operation, by=None, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code != 401


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS}))
def test_every_other_method_is_405(stage, path):
    operations = {one.method: one for one in OPERATIONS if one.path == path}
    operation = next(iter(operations.values()))
    others = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"}
    address = stage.address(operation) + ("?method=wechat" if path.endswith("back") else "")
    for method in others - set(operations):
        asked = Operation(method, path, operation.described)
        answer = stage.ask(asked, path=address, by=stage.admin)
        assert answer.status_code == 405, (method, answer.content)


# --- gateways' door ---------------------------------------------------------------------------

CALLBACK = next(operation for operation in OPERATIONS if operation.path == "/payment/callback")


@pytest.mark.parametrize("path", corpus("callbacks")["no_such_method"])
def test_a_callback_of_no_gateway_is_404(stage, path):
    answer = stage.ask(CALLBACK, path=path, content=b'{"out_trade_no": "ORD1"}')
    assert answer.status_code == 404
    assert not PaymentCallback.objects.exists()


@pytest.fixture
def no_calls(monkeypatch) -> None:
    """Whatever would leave this machine fails the test."""

    def refuse(*_arguments: Any, **_named: Any) -> None:
        raise AssertionError("a callback made us call somebody")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.mark.parametrize("mock_callbacks", [True, False])
@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_a_forged_callback_moves_nothing_and_calls_nobody(
    stage, story, settings, no_calls, method, mock_callbacks
):
    order = story.reread({"id": stage.known["order_id"]}, stage.owner)
    settings.MOCK_CALLBACKS = mock_callbacks
    now = str(int(time.time()))
    path = f"/payment/callback/{method}"
    with nothing_moves():
        for content_type, content in bodies():
            answer = stage.ask(CALLBACK, path=path, content=content, content_type=content_type)
            assert answer.status_code in (401, 413), (content_type, content[:40])
        for headers in corpus("callbacks")["wechat_headers"]:
            sent = {name: value.replace("{now}", now) for name, value in headers.items()}
            content = as_json({"id": "1", "resource": {"ciphertext": "AAAA", "nonce": "n"}})
            answer = stage.ask(CALLBACK, path=path, content=content, headers=sent)
            assert answer.status_code == 401, headers
        for form in corpus("callbacks")["alipay_forms"]:
            content = form.replace("{number}", order["order_no"]).encode()
            kind = "application/x-www-form-urlencoded"
            answer = stage.ask(CALLBACK, path=path, content=content, content_type=kind)
            assert answer.status_code == 401, form
    assert not PaymentCallback.objects.exclude(verdict="untrusted").exists()


def test_hundreds_of_unknown_serials_call_nobody_and_leave_few_rows(
    api, db, no_calls, still_window
):
    for number in range(300):
        headers = {
            "Wechatpay-Signature": "AAAA",
            "Wechatpay-Serial": f"PUB_KEY_ID_{number:020d}",
            "Wechatpay-Timestamp": str(int(time.time())),
            "Wechatpay-Nonce": str(number),
        }
        assert api.raw("POST", "/payment/callback/wechat", content=b"{}", headers=headers)
    assert 0 < PaymentCallback.objects.count() <= 60


# --- addresses --------------------------------------------------------------------------------


def test_a_return_address_must_be_one_of_the_allowed(stage, settings):
    settings.RETURN_URL_ORIGINS = ["https://yourapp.com"]
    pay = next(operation for operation in OURS if operation.path.endswith("/pay"))
    right = stage.body(pay) | {"payment_method": "alipay"}
    for url in corpus("addresses")["return_urls"]:
        answer = stage.ask(pay, content=as_json(right | {"return_url": url}))
        assert answer.status_code == 400, (url, answer.content)
    for url in ("https://yourapp.com/done", "https://YOURAPP.com/done?a=b"):
        answer = stage.ask(pay, content=as_json(right | {"return_url": url}))
        assert answer.status_code != 400, (url, answer.content)


@pytest.mark.parametrize("url", corpus("addresses")["inner"])
def test_an_address_inside_is_never_called(url):
    with pytest.raises(AddressRefused):
        ensure_public_url(url, is_loopback_allowed=False)


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_a_notify_address_must_be_public(stage, method):
    update = next(one for one in OURS if str(one) == "PUT admin/config/{method}")
    path = stage.address(update, method=method)
    for url in corpus("addresses")["inner"]:
        content = as_json({"config_key": "notify_url", "config_value": url})
        answer = stage.ask(update, path=path, content=content)
        assert answer.status_code == 400, (url, answer.content)
