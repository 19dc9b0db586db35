"""The API description (OpenAPI): complete, with examples that are true."""

import re
from typing import Any

import jsonschema
import pytest

from tcmpay.common.actor import Role
from tcmpay.common.errors import DomainError
from tests.api.description import description, endpoints_of_the_product, operations, strict
from tests.api.kit import someone

# CONTRACT section 3: what the success answer says. An operation without a line fails.
MESSAGES = {
    "POST orders": "订单创建成功",
    "GET orders": "获取订单列表成功",
    "GET orders/{order_id}": "获取订单成功",
    "PUT orders/{order_id}/cancel": "订单取消成功",
    "POST orders/{order_id}/sync": "订单状态已同步",
    "POST orders/{order_id}/cashier": "收银台地址已生成",
    "POST pay": "支付发起成功",
    "POST refunds": "退款申请创建成功",
    "GET refunds": "获取退款列表成功",
    "GET refunds/{refund_id}": "获取退款记录成功",
    "PUT refunds/{refund_id}/withdraw": "退款申请已撤回",
    "PUT admin/refunds/{refund_id}/review": "退款审核完成",
    "POST admin/refunds/bulk": "批量退款已受理",
    "GET admin/refunds/bulk/{bulk_id}": "获取批量退款成功",
    "PUT admin/refunds/bulk/{bulk_id}/review": "退款审核完成",
    "PUT admin/refunds/bulk/{bulk_id}/withdraw": "批量退款已撤回",
    "PUT admin/refunds/bulk/{bulk_id}/pause": "批量退款已暂停",
    "PUT admin/refunds/bulk/{bulk_id}/resume": "批量退款已继续",
    "PUT admin/refunds/bulk/{bulk_id}/end": "批量退款已结束",
    "GET balance/{user_id}": "获取余额成功",
    "GET balance/{user_id}/transactions": "获取余额变动记录成功",
    "POST balance/{user_id}/topups": "充值订单创建成功",
    "GET prices": "获取价格配置列表成功",
    "GET prices/{service_type}": "获取价格配置成功",
    "PUT admin/prices/{service_type}": "价格配置更新成功",
    "GET events": "获取事件列表成功",
    "GET statistics": "获取支付统计成功",
    "PUT admin/config/{method}": "支付配置更新成功",
    "GET admin/config/{method}": "获取支付配置成功",
    "GET /health/live": "ok",
    "GET /health/ready": "ok",
}
# A picture, and answers in the gateways' own forms.
WITHOUT_ENVELOPE = {
    "GET orders/{order_id}/qr.svg",
    "POST /payment/callback",
    "POST /payment/callback/{method}",
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return strict(description())


def named(method: str, path: str) -> str:
    return f"{method} {path.removeprefix('/api/v1/payment/')}"


def examples_of(body: dict[str, Any]) -> list[Any]:
    examples = [one["value"] for one in body.get("examples", {}).values()]
    return examples + ([body["example"]] if "example" in body else [])


def checked(found: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """OpenAPI 3.1's schemas are those of JSON Schema."""
    jsonschema.validate(value, schema | {"components": found["components"]})


def test_every_endpoint_is_described(found):
    described = {(method, path) for method, path, _operation in operations(found)}
    served = {
        (method, "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route))
        for method, route in endpoints_of_the_product()
    }
    assert described == served
    expected = {named(method, path) for method, path in served}
    assert expected == set(MESSAGES) | WITHOUT_ENVELOPE


def test_every_operation_has_a_summary_an_own_name_and_a_success_example(found):
    names = [operation["operationId"] for _method, _path, operation in operations(found)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(found):
        place = named(method, path)
        assert operation["summary"], place
        (success,) = [status for status in operation["responses"] if status[0] == "2"]
        for body in operation["responses"][success]["content"].values():
            assert examples_of(body) or "enum" in body["schema"], place


@pytest.mark.parametrize("place", MESSAGES)
def test_success_examples_say_what_the_contract_says(found, place):
    for method, path, operation in operations(found):
        if named(method, path) != place:
            continue
        (success,) = [status for status in operation["responses"] if status[0] == "2"]
        body = operation["responses"][success]["content"]["application/json"]
        assert examples_of(body)
        for example in examples_of(body):
            assert example["message"] == MESSAGES[place]
            assert example["success"] is True
            checked(found, body["schema"], example)


def test_every_failure_has_examples_in_the_failure_shape(found):
    for method, path, operation in operations(found):
        for status, answer in operation["responses"].items():
            body = answer.get("content", {}).get("application/json", {"schema": {}})
            if status[0] == "2" or "$ref" not in body["schema"]:
                continue
            assert examples_of(body), (method, path, status)
            for example in examples_of(body):
                assert example["success"] is False
                checked(found, body["schema"], example)


def test_every_error_of_the_product_is_described_somewhere(found):
    """But those that only staff pages can meet."""
    described = set()
    for _method, _path, operation in operations(found):
        for answer in operation["responses"].values():
            for body in answer.get("content", {}).values():
                described |= {
                    (example["code"], example["message"])
                    for example in examples_of(body)
                    if isinstance(example, dict) and example.get("success") is False
                }
    in_the_admin_only = {
        # Of pages, and of single rows of a bulk.
        "BULK_CHANGED",
        "BULK_ORDER_REPEATED",
        "BULK_ORDER_ELSEWHERE",
        "BULK_TOPUP",
        "BULK_AMOUNT",
        "BULK_REASON",
        "REFUND_NOTHING_LEFT",
        "REFUND_GIVEN_BACK",
        "REFUND_NOT_RETRYABLE",
        "REFUND_NOT_STOPPABLE",
        "ENDPOINT_CHANGED",
        "ENDPOINT_ROTATING",
        "APPROVED_MEANWHILE",
        "EXCEPTION_CLOSED",
        "INSUFFICIENT_FROZEN_BALANCE",
        "PRICES_CHANGED_MEANWHILE",
        "PRICE_CHANGE_WAITING",
        "PRICE_CHANGE_DECIDED",
        "PRICE_CHANGE_IS_OWN",
        "PRICE_CHANGE_OUTDATED",
        "CONFIG_DRAFT_CHANGED",
        "CONFIG_DRAFT_EMPTY",
        "CONFIG_DRAFT_NOT_TESTED",
        "CONFIG_DRAFT_IS_OWN",
        "CONFIG_DRAFT_IN_THE_WAY",
        "MOVEMENT_REPEATED",
        "ADJUSTMENT_EXISTS",
        "ENDPOINT_ADDRESS_REFUSED",
        "ENDPOINT_EXISTS",
        "TOO_MANY_ENDPOINTS",
        "UNKNOWN_EVENT_TYPE",
        "ENDPOINT_NOT_ENABLED",
        "ENDPOINT_NOT_DISABLED",
        "ENDPOINT_SECRET_UNREADABLE",
        "ADJUSTMENT_DECIDED",
        "OWN_ADJUSTMENT",
        "OWN_BALANCE",
        "DOMAIN_ERROR",
        "NO_SURPLUS",
        "SURPLUS_REFUND_EXISTS",
        "REFUND_NOT_REPLACEABLE",
        "BATCH_SIZE",
        "RULES_OVERLAP",
        "EXCEPTION_TAKEN",
        "ACTION_NOT_OFFERED",
        "SELF_CONFIRMATION",
        "OWN_CASE",
        "REFUND_NEEDS_SECOND_PERSON",
        "CONFIG_VERSION_IS_REVOKED",
        "CONFIG_KEYS_IN_FORCE",
        "CONFIG_KEYS_REVOKED_ALREADY",
        "CONFIG_REVOCATION_IS_OWN",
        "NOT_CONFIRMED",
        "TOO_MANY_TOPUPS",
        "ORDER_DOES_NOT_FIT",
    }
    codes = {code for code, _message in described}
    for error in all_errors():
        is_of_staff = error.__module__.startswith("reconciliation.")
        if not is_of_staff and error.code not in in_the_admin_only:
            assert error.code in codes, error


def all_errors() -> set[Any]:
    waiting, seen = [DomainError], set()
    while waiting:
        error = waiting.pop()
        seen.add(error)
        waiting += error.__subclasses__()
    return {error for error in seen if not error.__module__.startswith("tests.")}


def test_request_examples_are_taken_by_the_product(api, found, settings):
    """Nobody has these objects, so the answer is another refusal, never that of a bad request."""
    settings.RETURN_URL_ORIGINS = ["https://yourapp.com"]
    sent = 0
    admin = someone(Role.ADMIN)
    for method, path, operation in operations(found):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if path.startswith("/payment/"):
                continue
            by = someone(Role.PATIENT) if path.endswith("/topups") else admin
            place = path.format(
                user_id=by.name,
                method="wechat",
                service_type="consultation",
                order_id="0192f0c1-7a3e-7abc-8def-0123456789ab",
                refund_id="0192f0c2-1111-7abc-8def-0123456789ab",
                bulk_id="0192f0c3-2222-7abc-8def-0123456789ab",
            )
            assert examples_of(content), (method, path)
            for example in examples_of(content):
                answer = api.call(method, place, body=example, by=by)
                assert answer.status in (200, 201, 202, 404), (path, example, answer.body)
                sent += 1
    assert sent >= 8
