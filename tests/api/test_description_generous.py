"""The API description as generators and readers of clients need it, in both languages."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import get_resolver
from django.utils.translation import override
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tcmpay.common.api.exceptions import as_field_errors
from tests.api.description import API, described_codes, description, operations, routes

LANGUAGES = ("zh-hans", "en")
CHINESE = re.compile("[\u3400-\u9fff]")
# Values that are what they are in every language.
UNTRANSLATED = {"prepay_id=…", "live or ready"}
PUBLIC = {
    "listPrices",
    "getPrice",
    "receiveCallback",
    "receiveCallbackAtPath",
    "getLiveness",
    "getReadiness",
}
TEXTS = ("description", "summary", "title")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return description()


def texts_of(node: Any, way: str = "") -> Iterator[tuple[str, str]]:
    """What is written for readers: (where, text). Examples are data, but for their messages."""
    if isinstance(node, list):
        for number, inner in enumerate(node):
            yield from texts_of(inner, f"{way}/{number}")
    if not isinstance(node, dict):
        return
    for name, inner in node.items():
        here = f"{way}/{name}"
        if name in TEXTS and isinstance(inner, str):
            yield here, inner
        elif name == "value" and isinstance(inner, dict) and "success" in inner:
            yield f"{here}/message", inner["message"]
        elif name not in ("example", "value"):
            yield from texts_of(inner, here)


def schemas_of(node: Any, way: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of the description and where it stands."""
    if isinstance(node, list):
        for number, inner in enumerate(node):
            yield from schemas_of(inner, f"{way}/{number}")
    if isinstance(node, dict):
        yield way, node
        for name, inner in node.items():
            if name not in ("example", "examples"):
                yield from schemas_of(inner, f"{way}/{name}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_valid(language):
    with override(language):
        reset_generator_stats()
        made = SchemaGenerator().get_schema(public=True)
        assert not GENERATOR_STATS, dict(GENERATOR_STATS._warn_cache)
    OpenAPIV31SpecValidator(made).validate()


def test_readers_of_each_language_read_their_own():
    chinese, english = (dict(texts_of(description(language))) for language in LANGUAGES)
    assert set(chinese) == set(english)
    assert [way for way, text in english.items() if CHINESE.search(text)] == []
    strange = {text for text in chinese.values() if not CHINESE.search(text)}
    # Names and values, never a sentence: no docstring of ours is among them.
    assert {text for text in strange if len(text.split()) > 3} == set()


@pytest.mark.parametrize("path", ["/api/schema/?format=json&lang=en", "/api/schema/?format=json"])
def test_the_language_is_asked_for_by_address_or_header(client, path):
    answer = client.get(path, headers={"Accept-Language": "en"})
    assert not CHINESE.search(answer.json()["info"]["description"])


def test_operations_are_named_as_people_name_methods(found):
    for _method, path, operation in operations(found):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation["operationId"]), path
        assert operation["summary"], path
        assert operation["description"], path


def test_each_operation_stands_under_one_tag_that_is_described(found):
    described = {tag["name"] for tag in found["tags"]}
    used = set()
    for _method, path, operation in operations(found):
        (tag,) = operation["tags"]
        used.add(tag)
        assert re.fullmatch("[a-z-]+", tag), path
    assert used == described


def test_it_says_of_each_operation_whether_a_token_is_needed(found):
    for _method, path, operation in operations(found):
        is_public = operation["operationId"] in PUBLIC
        assert operation["security"] == ([] if is_public else [{"platformToken": []}]), path
        assert ("401" in operation["responses"]) or is_public, path
    scheme = found["components"]["securitySchemes"]["platformToken"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")


def test_every_answer_names_its_headers(found):
    components = found["components"]["headers"]
    for _method, path, operation in operations(found):
        for status, answer in operation["responses"].items():
            names = set(answer["headers"])
            assert names <= set(components), path
            assert "X-Request-ID" in names, (path, status)
            assert ("Retry-After" in names) == (status in ("429", "503")), (path, status)
            if status == "401" and operation["security"]:
                assert "WWW-Authenticate" in names, path


def test_money_moving_posts_say_what_their_key_does(found):
    with_key = set()
    for _method, _path, operation in operations(found):
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", [])):
            with_key.add(operation["operationId"])
            success = next(code for code in operation["responses"] if code[0] == "2")
            assert "Idempotency-Replayed" in operation["responses"][success]["headers"]
    assert {"createOrder", "payOrder", "requestRefund"} <= with_key


def test_enumerations_have_values_and_each_has_one_name(found):
    schemas = found["components"]["schemas"]
    named = {tuple(one["enum"]): name for name, one in schemas.items() if "enum" in one}
    for way, schema in schemas_of(found):
        if "enum" not in schema or not isinstance(schema["enum"], list):
            continue
        values = tuple(schema["enum"])
        assert values, way
        assert None not in values, way
        is_component = way.count("/") == 3 and way.startswith("/components/schemas/")
        assert is_component or values not in named, f"{way}: refer to {named.get(values)}"
    for name in ("OrderStatus", "OrderType", "PaymentMethod", "PaymentScene", "RefundStatus"):
        assert schemas[name]["enum"], name


def test_ids_moments_and_amounts_have_their_form(found):
    for name, schema in found["components"]["schemas"].items():
        for field, one in schema.get("properties", {}).items():
            way = f"{name}.{field}"
            if field == "id" or (field.endswith("_id") and field not in ("request_id", "app_id")):
                assert one.get("format") == "uuid", way
            if field.endswith(("_at", "_time")):
                assert one.get("format") == "date-time", way
            if field.endswith(("amount", "balance", "price")) or field.startswith("balance_"):
                assert one.get("pattern"), way
            if one.get("type") == "integer":
                assert "minimum" in one, way


def test_no_field_is_called_like_what_it_stands_in(found):
    """A generator for Python writes both into one variable."""
    for name, schema in found["components"]["schemas"].items():
        own = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert own not in schema.get("properties", {}), name


def test_the_codes_of_each_operation_and_status_are_an_enumeration(found):
    schemas = found["components"]["schemas"]
    for _method, path, operation in operations(found):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json", {})
            schema = content.get("schema", {})
            if status[0] == "2" or "$ref" not in schema:
                continue
            failure = schemas[schema["$ref"].rpartition("/")[2]]
            codes = set(failure["properties"]["code"]["enum"])
            assert codes == described_codes(operation, int(status)), (path, status)
            if "VALIDATION_ERROR" in codes:
                assert failure["properties"]["errors"] == {
                    "$ref": "#/components/schemas/FieldErrors"
                }


def test_the_codes_are_those_that_the_views_say_they_refuse_with(found):
    by_id = {operation["operationId"]: operation for _m, _p, operation in operations(found)}
    described = {(method, path): operation for method, path, operation in operations(found)}
    checked = 0
    for route, view in routes(get_resolver().url_patterns):
        path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
        for method, action in getattr(view, "actions", {}).items():
            if method == "head" or not path.startswith(API):
                continue
            operation = described[method.upper(), path]
            refusals = [
                *getattr(view.cls, "refusals", {}).get(action, ()),
                *getattr(getattr(view.cls, action), "refusals", ()),
            ]
            for refusal in refusals:
                assert refusal.code in described_codes(operation, refusal.http_status), path
                checked += 1
    assert checked > 40
    assert len(by_id) == len(described)


def test_what_an_app_hands_to_the_gateway_is_described_by_scene(found):
    schemas = found["components"]["schemas"]
    *some, nothing = schemas["PrepayData"]["oneOf"]
    assert nothing == {"type": "null"}
    kinds = [one["$ref"].rpartition("/")[2] for one in some]
    assert kinds == ["WechatJsapiPrepay", "WechatAppPrepay", "AlipayAppPrepay"]
    # No answer is two of them: a client tells them apart by what must be there.
    required = [set(schemas[kind]["required"]) for kind in kinds]
    assert not any(one <= other for one in required for other in required if one is not other)


def test_what_is_filled_into_the_documentations_forms_is_no_filter(found):
    """Its form sends whatever example an optional parameter has."""
    for _method, path, operation in operations(found):
        for one in operation.get("parameters", []):
            if not one.get("required"):
                assert not {"example", "examples"} & (set(one) | set(one["schema"])), path


def test_no_default_is_sent_along_that_excludes_another_parameter(found):
    """Clients that are generated send every default."""
    with_cursor = set()
    for _method, _path, operation in operations(found):
        schemas = {one["name"]: one["schema"] for one in operation.get("parameters", [])}
        if "cursor" in schemas:
            with_cursor.add(operation["operationId"])
            assert "default" not in schemas["page"]
    assert {"listOrders", "listRefunds"} <= with_cursor


def test_errors_name_the_whole_way_to_a_field():
    detail = {"rows": [{}, {"amount": ["wrong"]}], "ids": {"3": ["twice"]}, "reason": ["missing"]}
    assert as_field_errors(detail) == {
        "rows.1.amount": ["wrong"],
        "ids.3": ["twice"],
        "reason": ["missing"],
    }
    assert as_field_errors(["wrong"]) == {"non_field_errors": ["wrong"]}
