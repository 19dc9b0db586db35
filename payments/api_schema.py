"""The addresses that gateways call, for the API description: they are not DRF views."""

from typing import Any

ANSWER = {
    "200": {"description": 'handled: alipay `success`, wechat `{"code":"SUCCESS"}`'},
    "401": {"description": "could not be verified; nothing changed"},
    "404": {"description": "unknown method"},
    "500": {"description": "not handled, send again; nothing changed"},
}
MOCK_EXAMPLE = {
    "out_trade_no": "ORD20240120123456",
    "trade_no": "2024012022001412345",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "30.00",
}
METHOD = {"type": "string", "enum": ["wechat", "alipay"]}


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
                "responses": ANSWER,
            }
        }
    return result
