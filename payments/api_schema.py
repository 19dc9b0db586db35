"""This room's examples for the API description, and the addresses that gateways call.

Those are added by hand: they are not DRF views.
"""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from balances.api_schema import ORDER_ID, OWNER_ID
from gateways.interface import GATEWAY_METHODS
from tcmpay.common.api.schema import failure_example, request_example, success_example
from tcmpay.common.errors import BodyTooLarge, DomainError, MethodNotAllowed, ObjectNotFound

ORDER_NO = "ORD20240120123456A1B2C3D4E5"
ORDER_EXAMPLE = {
    "id": ORDER_ID,
    "order_no": ORDER_NO,
    "user_id": OWNER_ID,
    "appointment_id": None,
    "order_type": "consultation",
    "amount": "30.00",
    "currency": "CNY",
    "status": "pending",
    "payment_method": None,
    "payment_time": None,
    "expire_time": "2024-01-20T06:34:56.000000Z",
    "description": "图文咨询服务",
    "metadata": None,
    "service_type": "",
    "refunded_amount": "0.00",
    "refundable_amount": "0.00",
    "version": 1,
    "created_at": "2024-01-20T04:34:56.000000Z",
    "updated_at": "2024-01-20T04:34:56.000000Z",
}
ORDER_PAGE_EXAMPLE = {"orders": [ORDER_EXAMPLE], "total": 1, "page": 1, "page_size": 20}
ORDER_REQUEST = {
    "user_id": OWNER_ID,
    "appointment_id": "0192f0c1-5555-7abc-8def-0123456789ab",
    "order_type": "consultation",
    "amount": "30.00",
    "description": "图文咨询服务",
}
PRICED_ORDER_REQUEST = {
    "user_id": OWNER_ID,
    "order_type": "consultation",
    "service_type": "consultation",
}
TOPUP_REQUEST = {"amount": "100.00"}
TOPUP_EXAMPLE = ORDER_EXAMPLE | {
    "order_type": "topup",
    "amount": "100.00",
    "description": "余额充值",
}
PAY_EXAMPLE = {
    "order_id": ORDER_ID,
    "order_no": ORDER_NO,
    "payment_method": "balance",
    "payment_url": None,
    "qr_code": None,
    "prepay_data": None,
}
WECHAT_PAY_EXAMPLE = PAY_EXAMPLE | {
    "payment_method": "wechat",
    "qr_code": "weixin://wxpay/bizpayurl?pr=p4lpSuKzz",
}
ALIPAY_PAY_EXAMPLE = PAY_EXAMPLE | {
    "payment_method": "alipay",
    "payment_url": "https://openapi.alipay.com/gateway.do?app_id=2021001234567890&sign=…",
}

CASHIER_REQUEST = {"return_url": "https://yourapp.com/payment/return"}
CASHIER_EXAMPLE = {
    "url": "https://pay.yourapp.com/pay/eyJvIjoiMDE5MmYwYzE…",
    "expires_at": "2024-01-20T06:34:56.000000Z",
}
PAY_EXAMPLES = [
    request_example("余额支付", {"order_id": ORDER_ID, "payment_method": "balance"}),
    request_example(
        "微信支付（小程序）",
        {
            "order_id": ORDER_ID,
            "payment_method": "wechat",
            "scene": "mini_program",
            "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        },
    ),
    request_example(
        "支付宝",
        {
            "order_id": ORDER_ID,
            "payment_method": "alipay",
            "return_url": "https://yourapp.com/payment/return",
        },
    ),
    success_example("支付发起成功", PAY_EXAMPLE, name="余额支付"),
    success_example("支付发起成功", WECHAT_PAY_EXAMPLE, name="微信支付"),
    success_example("支付发起成功", ALIPAY_PAY_EXAMPLE, name="支付宝"),
]
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="ETag of the answer in hand: 304 without a body while the order is what it was",
)
NOT_MODIFIED = OpenApiResponse(description="the order is what it was; no body")
QR_EXAMPLE = OpenApiExample(
    "二维码",
    value='<svg xmlns="http://www.w3.org/2000/svg" width="222" height="222">…</svg>',
    media_type="image/svg+xml",
    response_only=True,
    status_codes=["200"],
)
FAILED_BODIES: dict[str, dict[str, Any]] = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        },
        "example": {"code": "FAIL", "message": "失败"},
    },
    "text/plain": {"schema": {"type": "string", "enum": ["failure"]}},
}
HANDLED_BODIES = {
    "application/json": {
        **FAILED_BODIES["application/json"],
        "example": {"code": "SUCCESS", "message": "成功"},
    },
    "text/plain": {"schema": {"type": "string", "enum": ["success"]}},
}
OUR_FORM = {"$ref": "#/components/schemas/FailureSchema"}


def _refused(refusal: type[DomainError]) -> dict[str, Any]:
    """An answer in the API's own form, given before it is known whose form to speak."""
    body = {"schema": OUR_FORM, "example": failure_example(refusal)}
    return {"description": refusal.code, "content": {"application/json": body}}


def _answers() -> dict[str, Any]:
    return {
        "200": {"description": "handled", "content": HANDLED_BODIES},
        "401": {
            "description": "could not be verified; nothing changed",
            "content": FAILED_BODIES,
        },
        **{
            str(refusal.http_status): _refused(refusal)
            for refusal in (ObjectNotFound, MethodNotAllowed, BodyTooLarge)
        },
        "429": {
            "description": "too many of this address could not be verified; nothing changed",
            "headers": {
                "Retry-After": {
                    "description": "seconds to wait",
                    "schema": {"type": "integer"},
                }
            },
            "content": FAILED_BODIES,
        },
        "500": {
            "description": "not handled, nothing changed: send it again",
            "content": FAILED_BODIES,
        },
    }


MOCK_EXAMPLE = {
    "out_trade_no": "ORD20240120123456",
    "trade_no": "2024012022001412345",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "30.00",
}
METHOD = {"type": "string", "enum": list(GATEWAY_METHODS)}


def describe_callbacks(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Add both address forms of the callback to the description (a spectacular hook)."""
    for path, place in (("/payment/callback", "query"), ("/payment/callback/{method}", "path")):
        result["paths"][path] = {
            "post": {
                "tags": ["callback"],
                "operationId": f"payment_callback_by_{place}",
                "summary": "支付渠道回调",
                "description": (
                    "Called by the gateways, signed in their own way. The unsigned JSON example "
                    "works only where MOCK_CALLBACKS is on."
                ),
                "security": [{}],
                "parameters": [{"name": "method", "in": place, "required": True, "schema": METHOD}],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"type": "object"}, "example": MOCK_EXAMPLE},
                        "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
                    }
                },
                "responses": _answers(),
            }
        }
    return result
