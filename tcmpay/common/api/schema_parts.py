"""What the operations of the API description share: headers, tags, names of enumerations."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

Schema = dict[str, Any]
Text = str | Promise

# What is wrong with which field of a request.
FIELD_ERRORS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
    "description": _("字段 → 说明文字；没有单个字段可指时不出现"),
}
_SECONDS: Schema = {"type": "integer", "minimum": 0}
HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": _("这次请求的编号：请求自带合格的就用它，否则新生成；报告问题时请附上"),
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    },
    "RateLimit-Limit": {
        "description": _("最接近用完的那个上限：每分钟多少次"),
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Remaining": {
        "description": _("这一分钟还剩多少次"),
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Reset": {"description": _("多少秒后进入下一分钟"), "schema": _SECONDS},
    "Retry-After": {"description": _("请等多少秒再试"), "schema": _SECONDS},
    "WWW-Authenticate": {
        "description": _("需要哪种凭证"),
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": _("true 表示这是同一个幂等键第一次请求的结果，没有再做一遍"),
        "schema": {"type": "string", "enum": ["true"]},
    },
    "X-Total-Count": {
        "description": _("所有页一共多少行"),
        "schema": {"type": "integer", "minimum": 0},
    },
    "ETag": {
        "description": _("这份结果的标记：下次放在 If-None-Match 里"),
        "schema": {"type": "string"},
    },
    "Deprecation": {
        "description": _("从哪一刻起不再推荐这个接口（RFC 9745）"),
        "schema": {"type": "string"},
    },
    "Sunset": {
        "description": _("到哪一刻为止还能用这个接口（RFC 8594）"),
        "schema": {"type": "string"},
    },
    "Link": {
        "description": _(
            "第一页、上一页、下一页和最后一页的地址（RFC 8288，rel 为 first、prev、next、last）"
        ),
        "schema": {"type": "string"},
    },
}
ALWAYS = ("X-Request-ID",)
LIMITED = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

INTRODUCTION = _(
    "中医远程诊疗平台的支付接口：订单、支付、退款、余额、价格与配置。\n\n"
    '* **返回格式**：成功是 `{"success": true, "message", "data"}`，失败是 '
    '`{"success": false, "message", "code", "request_id"}`。程序按 `code` 判断，它不随语言变化；'
    "`message` 给人看，默认中文，请求头 `Accept-Language: en` 时为英文。\n"
    "* **令牌**：`Authorization: Bearer <JWT>`，由平台签发，含 `sub`（用户 UUID）、`role`"
    "（patient、doctor、admin、service）、`exp`、`iat`。患者和医生只看得到自己的。\n"
    "* **金额**：人民币元，恰好两位小数的字符串，如 `30.00`；请用十进制数计算，不要用浮点数。\n"
    "* **时间**：ISO 8601，UTC，以 `Z` 结尾；业务日按北京时间。\n"
    "* **幂等**：创建订单、支付、申请退款都接受请求头 `Idempotency-Key`：每个意图一个新键，"
    "重试时用同一个键，不会做两遍。\n"
    "* **支付凭据**：客户端 SDK 或返回页说成功都不算，请查询订单，或调用同步接口。\n"
    "* **新增**：以后可能增加字段和枚举值；遇到不认识的请忽略，不要报错。"
)

# In the order of the pages of the documentation. The names stay the same in every language:
# generators name modules by them.
TAGS = {
    "orders": _("订单：创建、查询、取消、向网关同步"),
    "payments": _("支付：用余额付清，或在微信支付、支付宝发起支付"),
    "refunds": _("退款：申请、查询、撤回、审核"),
    "balances": _("用户的余额和变动记录"),
    "prices": _("服务价格：读取是公开的，修改只限管理员"),
    "events": _("事件：平台的后端据此得知每一次状态变化"),
    "statistics": _("一段时间内的笔数与金额"),
    "gateway-config": _("支付渠道的配置：只限管理员，机密只显示掩码"),
    "callbacks": _("支付渠道的回调：由微信支付和支付宝调用，客户端不需要"),
    "health": _("服务是否存活、能否服务"),
}


def header_refs(*names: str) -> dict[str, Schema]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def describe_shared(result: Schema, **_kwargs: Any) -> Schema:
    """Add what operations refer to (a spectacular hook)."""
    result["info"]["description"] = INTRODUCTION
    result["servers"] = [{"url": "/", "description": str(_("提供这份描述的服务"))}]
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    result["components"]["headers"] = _headers_of(result)
    schemas = result["components"]["schemas"]
    schemas["FieldErrors"] = FIELD_ERRORS
    schemas["TokenProblem"] = enum_values("TokenProblem")
    return result


def _headers_of(result: Schema) -> Schema:
    """Those that an answer carries: what nothing refers to would only be in the way."""
    answers = [
        *result["components"].get("responses", {}).values(),
        *(
            answer
            for item in result["paths"].values()
            for operation in item.values()
            for answer in operation["responses"].values()
        ),
    ]
    used = {name for answer in answers for name in answer.get("headers", {})}
    return {name: header for name, header in HEADERS.items() if name in used}


Choices = Sequence[tuple[str, Text]]


def _choices(name: str) -> Choices:
    """(value, meaning) of each: a table of choices, or values that need no words."""
    table = import_string(settings.API_ENUMERATIONS[name])
    if isinstance(table, tuple):
        return table
    return table.choices if hasattr(table, "choices") else [(str(one), "") for one in table]


@cache
def _enum_names() -> dict[tuple[str, ...], str]:
    """Values → the name of their enumeration, from the code's own tables."""
    return {
        tuple(value for value, _meaning in _choices(name)): name
        for name in settings.API_ENUMERATIONS
    }


def enum_name(values: tuple[str, ...]) -> str | None:
    """What the description calls an enumeration of ``values``; None for one without a name."""
    return _enum_names().get(values)


def enum_values(name: str) -> Schema:
    """The enumeration ``name`` with the meaning of each value, in the running language."""
    choices = _choices(name)
    schema: Schema = {"type": "string", "enum": [value for value, _meaning in choices]}
    if meanings := [f"* `{value}` - {meaning}" for value, meaning in choices if meaning]:
        schema["description"] = "\n".join(meanings)
    return schema
