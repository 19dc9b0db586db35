"""What a request body of WeChat Pay may hold; everything else is refused.

JSON types are strict, null and unknown fields are refused, text is limited to characters of one to
three bytes [wechatpay-v3.md sections 1, 3, 6 and 12].
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jsonschema import FormatChecker

from simulator.schema import fields, first_error
from simulator.web import wrong_notify_url

UNKNOWN_FIELD = 270924358
PARAMETER = 268435461
INTEGER_MAX = 2**63 - 1
RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})", re.ASCII)

# What is wrong, by the keyword of the schema that says so, and by the type that it wants.
ISSUES = {
    "required": "缺少必填字段", "additionalProperties": "存在未定义的字段",
    "minLength": "长度不能小于 {}", "maxLength": "长度不能超过 {}", "minimum": "不能小于 {}",
    "maximum": "不能大于 {}", "minItems": "不能少于 {} 项", "maxItems": "不能超过 {} 项",
    "pattern": "格式不正确", "enum": "取值不正确", "object": "应为对象", "array": "应为数组",
    "string": "应为字符串", "integer": "应为整数", "boolean": "应为布尔值",
}  # fmt: skip
formats = FormatChecker(())


@dataclass(eq=False)
class Invalid(Exception):
    """A body that is refused; ``detail`` is the number at the end of the Request-ID."""

    issue: str
    where: str = ""
    detail: int = PARAMETER


def parse(body: bytes) -> dict[str, Any]:
    """Strict JSON: UTF-8, one value for a name, no floats, an object outside.

    Raises:
        Invalid: it is not.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(  # int takes neither 1.0 nor NaN
            text, object_pairs_hook=single_names, parse_float=int, parse_constant=int
        )
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Invalid(f"请求体不是合法的JSON：{error}"[:120]) from error
    if not isinstance(value, dict):
        raise Invalid("请求体必须是JSON对象")
    return value


def single_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("duplicate name")
    return names


def check(schema: dict[str, Any], value: Any) -> None:
    """Raises Invalid with the place of a difference."""
    error = first_error(schema, value, formats)
    if error is None:
        return
    place = [str(part) for part in error.absolute_path]
    wanted = error.validator_value
    keyword = wanted if error.validator == "type" else error.validator
    issue = ISSUES[keyword].format(wanted) if keyword in ISSUES else str(error.cause)
    if error.validator == "required":
        place.append(min(set(wanted) - set(error.instance)))
    if error.validator == "additionalProperties":
        unknown = min(set(error.instance) - set(error.schema["properties"]))
        raise Invalid(f"{issue} {unknown}"[:100], "/" + "/".join(place), UNKNOWN_FIELD)
    raise Invalid(issue, "/" + "/".join(place))


def wrong_text(value: str) -> str:
    is_wide = any(ord(sign) > 0xFFFF or 0xD800 <= ord(sign) <= 0xDFFF for sign in value)
    return "只支持 1 至 3 字节的 UTF-8 字符" if is_wide else ""


def wrong_time(value: str) -> str:
    """Seconds and an offset are needed, fractions are refused."""
    if not RFC3339.fullmatch(value):
        return "时间格式应为 yyyy-MM-DDTHH:mm:ss+TIMEZONE"
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "时间不存在"
    return ""


def add_format(name: str, wrong: Callable[[str], str]) -> None:
    def is_right(value: object) -> bool:
        if isinstance(value, str) and (issue := wrong(value)):
            raise ValueError(issue)
        return True

    formats.checks(name, ValueError)(is_right)


add_format("text", wrong_text)
add_format("time", wrong_time)
add_format("notify_url", wrong_notify_url)


def text(most: int, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most, "format": kind} | more


def one_of(*values: str) -> dict[str, Any]:
    return {"enum": [*values]}


def whole(least: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": INTEGER_MAX}


def many(item: dict[str, Any], most: int = 100) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": most}


BOOLEAN = {"type": "boolean"}
OUT_TRADE_NO = text(32, pattern=r"^[0-9A-Za-z_\-|*]{6,32}\Z")
OUT_REFUND_NO = text(64, pattern=r"^[0-9A-Za-z_\-|*@]{1,64}\Z")
CLIENT_IP = text(45, pattern=r"^[0-9A-Fa-f.:]{3,45}\Z")

GOODS = fields(
    "merchant_goods_id quantity unit_price",
    merchant_goods_id=text(32), wechatpay_goods_id=text(32), goods_name=text(256),
    quantity=whole(1), unit_price=whole(0),
)  # fmt: skip
SCENE = {
    "payer_client_ip": text(45),
    "device_id": text(32),
    "store_info": fields("id", id=text(32), name=text(256), area_code=text(32), address=text(512)),
}
H5_INFO = fields(
    "type", type=one_of("iOS", "Android", "Wap"), app_name=text(64), app_url=text(128),
    bundle_id=text(128), package_name=text(128),
)  # fmt: skip
REQUIRED = "appid mchid description out_trade_no notify_url amount"
ORDER = {
    "appid": text(32),
    "mchid": text(32),
    "description": text(127),
    "out_trade_no": OUT_TRADE_NO,
    "time_expire": text(64, "time"),
    "attach": text(128),
    "notify_url": text(255, "notify_url"),
    "goods_tag": text(32),
    "support_fapiao": BOOLEAN,
    "limit_pay": many(text(32)),
    "amount": fields("total", total=whole(1), currency=one_of("CNY")),
    "detail": fields(cost_price=whole(0), invoice_id=text(32), goods_detail=many(GOODS, 6000)),
    "scene_info": fields(**SCENE),
    "settle_info": fields(profit_sharing=BOOLEAN),
}
H5_SCENE = SCENE | {"payer_client_ip": CLIENT_IP, "h5_info": H5_INFO}
PREPAY = {
    "native": fields(REQUIRED, **ORDER),
    "app": fields(REQUIRED, **ORDER),
    "jsapi": fields(f"{REQUIRED} payer", **ORDER, payer=fields("openid", openid=text(128))),
    "h5": fields(
        f"{REQUIRED} scene_info",
        **ORDER | {"scene_info": fields("payer_client_ip h5_info", **H5_SCENE)},
    ),
}
CLOSE = fields("mchid", mchid=text(32))
ECHO = fields(
    "echo_message", echo_message=text(1024), encrypted_echo_message=text(1024),
    notify_url=text(255, "notify_url"),
)  # fmt: skip
REFUND_AMOUNT = fields(
    "refund total currency",
    **{
        "refund": whole(1),
        "total": whole(1),
        "currency": one_of("CNY"),
        "from": many(
            fields("account amount", account=one_of("AVAILABLE", "UNAVAILABLE"), amount=whole(1))
        ),
    },
)
REFUND_GOODS = fields(
    "merchant_goods_id unit_price refund_amount refund_quantity",
    merchant_goods_id=text(32), wechatpay_goods_id=text(32), goods_name=text(256),
    unit_price=whole(0), refund_amount=whole(0), refund_quantity=whole(1),
)  # fmt: skip
REFUND = fields(
    "out_refund_no amount",
    transaction_id=text(32), out_trade_no=text(32), out_refund_no=OUT_REFUND_NO, reason=text(80),
    notify_url=text(256, "notify_url"), funds_account=one_of("AVAILABLE"), amount=REFUND_AMOUNT,
    goods_detail=many(REFUND_GOODS),
)  # fmt: skip
ABNORMAL_REFUND = fields(
    "out_refund_no type",
    out_refund_no=OUT_REFUND_NO, type=one_of("USER_BANK_CARD", "MERCHANT_BANK_CARD"),
    bank_type=text(16), bank_account=text(1024), real_name=text(1024),
)  # fmt: skip
