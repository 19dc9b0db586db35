"""The texts of the answers: Chinese by default, English on request, the same code in both."""

import re
from typing import Any

import pytest

from tests.api.kit import Answer

CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
UNKNOWN = "00000000-0000-7000-8000-000000000000"

# (method, path, body, status, message), in an order in which each succeeds.
SUCCESSES: list[tuple[str, str, str, Any, int, str]] = [
    (
        "POST", "orders", "patient",
        {"user_id": "{patient}", "order_type": "consultation", "amount": "1.00"},
        201, "订单创建成功",
    ),
    ("GET", "orders", "patient", None, 200, "获取订单列表成功"),
    ("GET", "orders/{pending}", "patient", None, 200, "获取订单成功"),
    ("POST", "orders/{pending}/cashier", "patient", {}, 200, "收银台地址已生成"),
    ("POST", "orders/{pending}/sync", "patient", None, 200, "订单状态已同步"),
    (
        "POST", "pay", "patient",
        {"order_id": "{pending}", "payment_method": "wechat"}, 200, "支付发起成功",
    ),
    ("PUT", "orders/{pending}/cancel", "patient", None, 200, "订单取消成功"),
    (
        "POST", "refunds", "patient",
        {"order_id": "{paid}", "refund_amount": "1.00", "refund_reason": "x"},
        201, "退款申请创建成功",
    ),
    ("GET", "refunds", "patient", None, 200, "获取退款列表成功"),
    ("GET", "refunds/{refund}", "patient", None, 200, "获取退款记录成功"),
    (
        "PUT", "admin/refunds/{refund}/review", "admin",
        {"approved": True, "review_notes": "同意退款"}, 200, "退款审核完成",
    ),
    ("PUT", "refunds/{refund2}/withdraw", "patient", None, 200, "退款申请已撤回"),
    ("GET", "balance/{patient}", "patient", None, 200, "获取余额成功"),
    ("GET", "balance/{patient}/transactions", "patient", None, 200, "获取余额变动记录成功"),
    ("GET", "prices", "patient", None, 200, "获取价格配置列表成功"),
    ("GET", "prices/consultation", "patient", None, 200, "获取价格配置成功"),
    ("PUT", "admin/prices/consultation", "admin", {"price": "21.00"}, 200, "价格配置更新成功"),
    ("GET", "events", "admin", None, 200, "获取事件列表成功"),
    ("GET", "statistics", "patient", None, 200, "获取支付统计成功"),
    (
        "PUT", "admin/config/wechat", "admin",
        {"config_key": "app_id", "config_value": "wx1"}, 200, "支付配置更新成功",
    ),
    ("GET", "admin/config/alipay", "admin", None, 200, "获取支付配置成功"),
]  # fmt: skip
REFUSALS: list[tuple[str, str, str, Any, int, str, str]] = [
    ("GET", "orders", "", None, 401, "UNAUTHENTICATED", "未授权"),
    ("GET", "admin/config/wechat", "patient", None, 403, "FORBIDDEN", "禁止访问"),
    ("GET", f"orders/{UNKNOWN}", "patient", None, 404, "NOT_FOUND", "订单不存在"),
    ("GET", f"refunds/{UNKNOWN}", "patient", None, 404, "NOT_FOUND", "退款记录不存在"),
    ("GET", "prices/nothing", "patient", None, 404, "NOT_FOUND", "价格配置不存在"),
    (
        "PUT", "orders/{paid}/cancel", "patient", None,
        400, "ORDER_NOT_CANCELLABLE", "只能取消待支付的订单",
    ),
    (
        "POST", "pay", "patient", {"order_id": "{paid}", "payment_method": "balance"},
        400, "ORDER_NOT_PAYABLE", "订单状态不正确",
    ),
    (
        "POST", "pay", "patient", {"order_id": "{dear}", "payment_method": "balance"},
        400, "INSUFFICIENT_BALANCE", "余额不足",
    ),
    (
        "POST", "pay", "patient", {"order_id": "{pending}", "payment_method": "cash"},
        400, "UNSUPPORTED_METHOD", "不支持的支付方式",
    ),
    (
        "POST", "refunds", "patient",
        {"order_id": "{pending}", "refund_amount": "1.00", "refund_reason": "x"},
        400, "ORDER_NOT_REFUNDABLE", "只能退款已支付的订单",
    ),
    (
        "POST", "refunds", "patient",
        {"order_id": "{paid}", "refund_amount": "99.00", "refund_reason": "x"},
        400, "REFUND_EXCEEDS_PAID", "退款金额不能大于可退金额",
    ),
]  # fmt: skip


@pytest.fixture
def ask(api, story, rich_patient, admin):
    """Send one row of a table, its {names} filled in."""
    paid = story.paid_from_balance(rich_patient)
    names = {
        "patient": rich_patient.name,
        "pending": story.order(rich_patient)["id"],
        "dear": story.order(rich_patient, "1000.00")["id"],
        "paid": paid["id"],
        "refund": story.refund(paid, rich_patient, "1.00")["id"],
        "refund2": story.refund(paid, rich_patient, "1.00")["id"],
    }
    people = {"patient": rich_patient, "admin": admin, "": None}

    def fill(value: Any) -> Any:
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text) if isinstance(value, str) else value
        return value

    def send(method: str, path: str, by: str, body: Any, **more: Any) -> Answer:
        if body is not None:
            more["body"] = {name: fill(value) for name, value in body.items()}
        return api.call(method, fill(path), by=people[by], **more)

    return send


@pytest.mark.parametrize(
    ("method", "path", "by", "body", "status", "message"), SUCCESSES, ids=lambda x: str(x)[:40]
)
@pytest.mark.parametrize("language", ["", "zh", "zh-CN,zh;q=0.9,en;q=0.8", "en", "en-GB"])
def test_each_success_has_its_text(ask, method, path, by, body, status, message, language):
    answer = ask(method, path, by, body, headers={"Accept-Language": language})
    answer.accepted(status)
    if language.startswith("en"):
        assert not CHINESE.search(answer.message), answer.message
    else:
        assert answer.message == message


@pytest.mark.parametrize(
    ("method", "path", "by", "body", "status", "code", "message"),
    REFUSALS,
    ids=lambda x: str(x)[:40],
)
@pytest.mark.parametrize("language", ["", "zh-CN", "en"])
def test_each_refusal_has_its_text_and_one_code(
    ask, method, path, by, body, status, code, message, language
):
    answer = ask(method, path, by, body, headers={"Accept-Language": language})
    answer.refused(status, code)
    if language == "en":
        assert not CHINESE.search(answer.message), answer.message
    else:
        assert answer.message == message


def test_a_validation_error_explains_itself_in_the_same_language(ask):
    body = {"user_id": "x", "order_type": "y", "amount": "0", "metadata": [], "z": 1}
    for sent in (body, {name: body[name] for name in body if name != "z"}):
        chinese = ask("POST", "orders", "patient", sent)
        english = ask("POST", "orders", "patient", sent, headers={"Accept-Language": "en"})
        assert set(english.invalid().errors) == set(chinese.invalid().errors)
        for name, texts in english.errors.items():
            assert not any(CHINESE.search(text) for text in texts), (name, texts)
            assert all(CHINESE.search(text) for text in chinese.errors[name]), name
