"""This room's examples for the API description, and the addresses that gateways call.

Those are added by hand: they are not DRF views.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from balances.api_schema import ORDER_ID, OWNER_ID
from tcmpay.common.api.schema import id_in_path, request_example, success_example
from tcmpay.common.api.schema_failures import failure_name, failure_response, failure_schema
from tcmpay.common.api.schema_parts import header_refs
from tcmpay.common.errors import BodyTooLarge, DomainError, MethodNotAllowed, ObjectNotFound

PAID_ORDER_ID = "0192f0c1-8765-7abc-8def-0123456789ab"
ORDER_IN_PATH = id_in_path("order_id", _("订单编号"), ORDER_ID)
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
ORDER_REQUESTS = [
    request_example(
        "amount",
        {
            "user_id": OWNER_ID,
            "order_type": "consultation",
            "amount": "30.00",
            "description": "图文咨询服务",
        },
        summary=_("金额由调用方定"),
    ),
    request_example(
        "service",
        {"user_id": OWNER_ID, "order_type": "consultation", "service_type": "consultation"},
        summary=_("由系统定价"),
    ),
    request_example(
        "appointment",
        {
            "user_id": OWNER_ID,
            "appointment_id": "0192f0c1-5555-7abc-8def-0123456789ab",
            "order_type": "appointment",
            "service_type": "appointment_online",
            "metadata": {"appointment_time": "2026-12-01T09:00:00+08:00"},
        },
        summary=_("为一个预约下单"),
    ),
]
TOPUP_REQUESTS = [request_example("topup", {"amount": "100.00"}, summary=_("充值 100 元"))]
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

CASHIER_REQUESTS = [
    request_example("plain", {}, summary=_("付款后留在收银台")),
    request_example(
        "page", {"return_url": "https://yourapp.com/payment/return"}, summary=_("付款后回到平台")
    ),
]
CASHIER_EXAMPLE = {
    "url": "https://pay.yourapp.com/pay/eyJvIjoiMDE5MmYwYzEtOTg3NiJ9.Q2tvJqdgKOxQ",
    "expires_at": "2024-01-20T06:34:56.000000Z",
}


def _start(name: str, summary: Any, **filled: Any) -> OpenApiExample:
    return success_example(_("支付发起成功"), PAY_EXAMPLE | filled, name=name, summary=summary)


WECHAT_JSAPI_PREPAY = {
    "appId": "wx1234567890abcdef",
    "timeStamp": "1705725296",
    "nonceStr": "593BEC0C930BF1AFEB40B4A08C8FB242",
    "package": "prepay_id=wx201410272009395522657a690389285100",
    "signType": "RSA",
    "paySign": "oR9d8PuhnIc+YZ8cBHFCwfgpaK9gd7vaRvkYD7rthRAZ…",
}
WECHAT_APP_PREPAY = {
    "appid": "wx1234567890abcdef",
    "partnerid": "1900000109",
    "prepayid": "wx201410272009395522657a690389285100",
    "package": "Sign=WXPay",
    "noncestr": "593BEC0C930BF1AFEB40B4A08C8FB242",
    "timestamp": "1705725296",
    "sign": "oR9d8PuhnIc+YZ8cBHFCwfgpaK9gd7vaRvkYD7rthRAZ…",
}
ALIPAY_APP_PREPAY = {"order_string": "app_id=2021001234567890&method=alipay.trade.app.pay&sign=…"}
PAY_EXAMPLES = [
    request_example(
        "balance", {"order_id": ORDER_ID, "payment_method": "balance"}, summary=_("余额支付")
    ),
    request_example(
        "wechat_native",
        {"order_id": ORDER_ID, "payment_method": "wechat"},
        summary=_("微信：电脑上扫码"),
    ),
    request_example(
        "wechat_mini_program",
        {
            "order_id": ORDER_ID,
            "payment_method": "wechat",
            "scene": "mini_program",
            "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        },
        summary=_("微信：小程序"),
    ),
    request_example(
        "alipay_page",
        {
            "order_id": ORDER_ID,
            "payment_method": "alipay",
            "return_url": "https://yourapp.com/payment/return",
        },
        summary=_("支付宝：电脑网页"),
    ),
    _start("balance", _("余额支付")),
    _start(
        "wechat_native",
        _("微信：电脑上扫码"),
        payment_method="wechat",
        qr_code="weixin://wxpay/bizpayurl?pr=p4lpSuKzz",
    ),
    _start(
        "wechat_jsapi",
        _("微信：微信里的网页、小程序"),
        payment_method="wechat",
        prepay_data=WECHAT_JSAPI_PREPAY,
    ),
    _start("wechat_app", _("微信：App"), payment_method="wechat", prepay_data=WECHAT_APP_PREPAY),
    _start(
        "wechat_h5",
        _("微信：手机浏览器"),
        payment_method="wechat",
        payment_url="https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=…",
    ),
    _start(
        "alipay_page",
        _("支付宝：网页"),
        payment_method="alipay",
        payment_url="https://openapi.alipay.com/gateway.do?app_id=2021001234567890&sign=…",
    ),
    _start("alipay_app", _("支付宝：App"), payment_method="alipay", prepay_data=ALIPAY_APP_PREPAY),
    _start(
        "alipay_qr",
        _("支付宝：扫码"),
        payment_method="alipay",
        qr_code="https://qr.alipay.com/bax03431ljhokirwl38f00a7",
    ),
]
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    {"type": "string", "maxLength": 255},
    OpenApiParameter.HEADER,
    description=_("手里那份结果的 ETag：订单没有变就返回 304，没有内容"),
)
NOT_MODIFIED = OpenApiResponse(description=_("订单没有变；没有内容"))
QR_EXAMPLE = OpenApiExample(
    "qr",
    summary=_("二维码"),
    value='<svg xmlns="http://www.w3.org/2000/svg" width="222" height="222">…</svg>',
    media_type="image/svg+xml",
    response_only=True,
    status_codes=["200"],
)
_WORDS = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}


def _in_form_of_gateways(code: str, message: str, text: str) -> dict[str, Any]:
    return {
        "application/json": {"schema": _WORDS, "example": {"code": code, "message": message}},
        "text/plain": {"schema": {"type": "string", "enum": [text]}},
    }


HANDLED = _in_form_of_gateways("SUCCESS", "成功", "success")
FAILED = _in_form_of_gateways("FAIL", "失败", "failure")
MOCK_EXAMPLE = {
    "out_trade_no": "ORD20240120123456",
    "trade_no": "2024012022001412345",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "30.00",
}
# The gateways' own messages: what stands in them is theirs to say.
MESSAGE = {"type": "object", "additionalProperties": True}
SUMMARY = _("支付渠道回调")
DESCRIPTION = _(
    "由微信支付和支付宝调用，用它们自己的签名，客户端不需要。返回也是它们各自的格式。"
    "没有签名的 JSON 例子只在 MOCK_CALLBACKS 打开时有效。"
)


def _refused(schemas: dict[str, Any], refusal: type[DomainError]) -> dict[str, Any]:
    """An answer in the API's own form, given before it is known whose form to speak."""
    name = failure_name("receiveCallback", refusal.http_status, [refusal])
    schemas.setdefault(name, failure_schema([refusal]))
    return failure_response({"$ref": f"#/components/schemas/{name}"}, [refusal])


def _answers(schemas: dict[str, Any]) -> dict[str, Any]:
    answers = {
        "200": {"description": _("已收到并处理"), "content": HANDLED},
        "401": {"description": _("验签失败，什么都没有变"), "content": FAILED},
        **{
            str(refusal.http_status): _refused(schemas, refusal)
            for refusal in (ObjectNotFound, MethodNotAllowed, BodyTooLarge)
        },
        "429": {"description": _("这个地址验签失败太多，什么都没有变"), "content": FAILED},
        "500": {"description": _("没有处理，什么都没有变：请再发一次"), "content": FAILED},
    }
    for status, answer in answers.items():
        answer["headers"] = header_refs("X-Request-ID", *(["Retry-After"] * (status == "429")))
    return answers


def describe_no_prepay(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """What apps are handed may be nothing (a spectacular hook): one more of its kinds, as the
    generator for Java reads null into nothing that refers to several kinds."""
    result["components"]["schemas"]["PrepayData"]["oneOf"].append({"type": "null"})
    return result


def describe_callbacks(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Add both address forms of the callback to the description (a spectacular hook)."""
    method = {"$ref": "#/components/schemas/GatewayMethod"}
    schemas = result["components"]["schemas"]
    for path, place, operation_id in (
        ("/payment/callback", "query", "receiveCallback"),
        ("/payment/callback/{method}", "path", "receiveCallbackAtPath"),
    ):
        result["paths"][path] = {
            "post": {
                "tags": ["callbacks"],
                "operationId": operation_id,
                "summary": SUMMARY,
                "description": DESCRIPTION,
                "security": [],
                "parameters": [
                    {
                        "name": "method",
                        "in": place,
                        "required": True,
                        "description": _("哪个支付渠道"),
                        "schema": method,
                    }
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": MESSAGE, "example": MOCK_EXAMPLE},
                        "application/x-www-form-urlencoded": {"schema": MESSAGE},
                    },
                },
                "responses": _answers(schemas),
            }
        }
    return result
