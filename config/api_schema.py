"""How the OpenAPI description shows this room's refusals and examples."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from tcmpay.common.api.schema import FailureSchema

PRICE_EXAMPLE = {
    "id": "0198c5f0-6f2e-7cc3-a2b1-0d4f5a6b7c8d",
    "service_type": "consultation",
    "service_name": "图文咨询",
    "price": "20.00",
    "discount_price": None,
    "is_active": True,
    "effective_date": "2024-01-01",
    "expiry_date": None,
    "description": "",
    "created_at": "2026-11-24T02:00:00.000000Z",
    "updated_at": "2026-11-24T02:00:00.000000Z",
}
CONFIG_EXAMPLE = [
    {
        "config_key": "app_id",
        "config_value": "wx1234567890abcdef",
        "is_encrypted": False,
        "description": "应用 AppID（公众号、小程序或 App）",
        "updated_at": "2026-11-24T02:00:00.000000Z",
    },
    {
        "config_key": "api_key",
        "config_value": "********",
        "is_encrypted": True,
        "description": "API 密钥",
        "updated_at": "2026-11-24T02:00:00.000000Z",
    },
]
_REFUSALS: dict[int, tuple[str, str]] = {
    400: ("VALIDATION_ERROR", "请求参数有误，请检查后重试"),
    401: ("UNAUTHENTICATED", "未授权"),
    403: ("FORBIDDEN", "禁止访问"),
    404: ("NOT_FOUND", "资源不存在"),
    409: (
        "PRICE_CHANGE_NEEDS_SECOND_PERSON",
        "价格变动超过上限，请在管理后台提交，由第二人确认",
    ),
    415: ("UNSUPPORTED_MEDIA_TYPE", "请使用 Content-Type: application/json"),
    429: ("RATE_LIMITED", "请求过于频繁，请稍后重试"),
}


def success_example(message: str, data: Any) -> OpenApiExample:
    body = {"success": True, "message": message, "data": data}
    return OpenApiExample(message, value=body, response_only=True, status_codes=["200"])


def request_example(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


def refusals(*statuses: int, **messages: str) -> dict[int, OpenApiResponse]:
    """The failure answers of these statuses; ``s404="…"`` gives one another message."""
    return {status: _refusal(status, messages.get(f"s{status}")) for status in statuses}


def _refusal(status: int, message: str | None) -> OpenApiResponse:
    code, usual = _REFUSALS[status]
    body: dict[str, Any] = {
        "success": False,
        "message": message or usual,
        "code": code,
        "request_id": "5b1f0c9a7e3d4f6a",
    }
    if status == 400:
        body["errors"] = {"price": ["该字段是必填项。"]}
    return OpenApiResponse(FailureSchema, examples=[OpenApiExample(code, value=body)])
