"""What a request body of WeChat Pay may hold; everything else is refused.

JSON types are strict, null and unknown fields are refused, text is limited to characters of one to
three bytes [wechatpay-v3.md sections 1, 3, 6 and 12].
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

UNKNOWN_FIELD = 270924358
PARAMETER = 268435461
INTEGER_MAX = 2**63 - 1


class Invalid(Exception):
    """A body that is refused; ``detail`` is the number at the end of the Request-ID."""

    def __init__(self, issue: str, where: str = "", detail: int = PARAMETER) -> None:
        super().__init__(issue)
        self.issue = issue
        self.where = where
        self.detail = detail


@dataclass(frozen=True)
class Text:
    most: int
    required: bool = False
    pattern: str = ""
    check: Callable[[str], str] | None = None  # returns what is wrong, or ""


@dataclass(frozen=True)
class Integer:
    least: int = 0
    required: bool = False


@dataclass(frozen=True)
class Boolean:
    required: bool = False


@dataclass(frozen=True)
class Array:
    item: Any
    most: int = 100
    required: bool = False


@dataclass(frozen=True)
class Object:
    fields: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False


def parse(body: bytes) -> dict[str, Any]:
    """Strict JSON: UTF-8, one value for a name, no floats, an object outside.

    Raises:
        Invalid: it is not.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=single_names,
            parse_float=no_float,
            parse_constant=no_float,
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


def no_float(text: str) -> Any:
    raise ValueError(f"not an integer: {text}")


def check(spec: Any, value: Any, where: str = "") -> None:
    """Compare a value with its rule.

    Raises:
        Invalid: with the place of the first difference.
    """
    CHECKS[type(spec)](spec, value, where or "/")


def check_object(spec: Object, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise Invalid("应为对象", where)
    for name in value:
        if name not in spec.fields:
            raise Invalid(f"存在未定义的字段 {name}"[:100], where, UNKNOWN_FIELD)
    for name, rule in spec.fields.items():
        place = f"{where.rstrip('/')}/{name}"
        if name in value:
            check(rule, value[name], place)
        elif rule.required:
            raise Invalid("缺少必填字段", place)


def check_array(spec: Array, value: Any, where: str) -> None:
    if not isinstance(value, list) or not 1 <= len(value) <= spec.most:
        raise Invalid(f"应为 1 至 {spec.most} 项的数组", where)
    for number, item in enumerate(value):
        check(spec.item, item, f"{where}/{number}")


def check_integer(spec: Integer, value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("应为整数", where)
    if not spec.least <= value <= INTEGER_MAX:
        raise Invalid(f"不能小于 {spec.least}", where)


def check_boolean(spec: Boolean, value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise Invalid("应为布尔值", where)


def check_text(spec: Text, value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise Invalid("应为字符串", where)
    if any(ord(sign) > 0xFFFF or 0xD800 <= ord(sign) <= 0xDFFF for sign in value):
        raise Invalid("只支持 1 至 3 字节的 UTF-8 字符", where)
    if not 1 <= len(value) <= spec.most:
        raise Invalid(f"长度应为 1 至 {spec.most}", where)
    if spec.pattern and not re.fullmatch(spec.pattern, value, re.ASCII):
        raise Invalid("格式不正确", where)
    wrong = spec.check(value) if spec.check else ""
    if wrong:
        raise Invalid(wrong, where)


CHECKS: dict[type, Callable[[Any, Any, str], None]] = {
    Object: check_object,
    Array: check_array,
    Integer: check_integer,
    Boolean: check_boolean,
    Text: check_text,
}

RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})", re.ASCII)


def wrong_time(value: str) -> str:
    """Seconds and an offset are needed, fractions are refused."""
    if not RFC3339.fullmatch(value):
        return "时间格式应为 yyyy-MM-DDTHH:mm:ss+TIMEZONE"
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "时间不存在"
    return ""


def wrong_notify_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return "回调地址不正确"
    if parts.scheme not in ("http", "https") or not host or not value.isascii():
        return "回调地址必须是 http(s) 绝对地址"
    if "?" in value or "#" in value:
        return "回调地址不能携带参数"
    return ""


def wrong_client_ip(value: str) -> str:
    return "" if re.fullmatch(r"[0-9A-Fa-f.:]{3,45}", value) else "终端 IP 格式不正确"


OUT_TRADE_NO = r"[0-9A-Za-z_\-|*]{6,32}"
OUT_REFUND_NO = r"[0-9A-Za-z_\-|*@]{1,64}"

GOODS = Object(
    {
        "merchant_goods_id": Text(32, required=True),
        "wechatpay_goods_id": Text(32),
        "goods_name": Text(256),
        "quantity": Integer(1, required=True),
        "unit_price": Integer(0, required=True),
    }
)
STORE_INFO = Object(
    {
        "id": Text(32, required=True),
        "name": Text(256),
        "area_code": Text(32),
        "address": Text(512),
    }
)
SCENE = {"payer_client_ip": Text(45), "device_id": Text(32), "store_info": STORE_INFO}
H5_INFO = Object(
    {
        "type": Text(32, required=True, pattern="iOS|Android|Wap"),
        "app_name": Text(64),
        "app_url": Text(128),
        "bundle_id": Text(128),
        "package_name": Text(128),
    },
    required=True,
)
ORDER = {
    "appid": Text(32, required=True),
    "mchid": Text(32, required=True),
    "description": Text(127, required=True),
    "out_trade_no": Text(32, required=True, pattern=OUT_TRADE_NO),
    "time_expire": Text(64, check=wrong_time),
    "attach": Text(128),
    "notify_url": Text(255, required=True, check=wrong_notify_url),
    "goods_tag": Text(32),
    "support_fapiao": Boolean(),
    "limit_pay": Array(Text(32)),
    "amount": Object(
        {"total": Integer(1, required=True), "currency": Text(16, pattern="CNY")}, required=True
    ),
    "detail": Object(
        {"cost_price": Integer(0), "invoice_id": Text(32), "goods_detail": Array(GOODS, 6000)}
    ),
    "scene_info": Object(SCENE),
    "settle_info": Object({"profit_sharing": Boolean()}),
}
PREPAY = {
    "native": Object(ORDER),
    "app": Object(ORDER),
    "jsapi": Object(ORDER | {"payer": Object({"openid": Text(128, required=True)}, required=True)}),
    "h5": Object(
        ORDER
        | {
            "scene_info": Object(
                SCENE
                | {
                    "payer_client_ip": Text(45, required=True, check=wrong_client_ip),
                    "h5_info": H5_INFO,
                },
                required=True,
            )
        }
    ),
}
CLOSE = Object({"mchid": Text(32, required=True)})
ECHO = Object(
    {
        "echo_message": Text(1024, required=True),
        "encrypted_echo_message": Text(1024),
        "notify_url": Text(255, check=wrong_notify_url),
    }
)
REFUND = Object(
    {
        "transaction_id": Text(32),
        "out_trade_no": Text(32),
        "out_refund_no": Text(64, required=True, pattern=OUT_REFUND_NO),
        "reason": Text(80),
        "notify_url": Text(256, check=wrong_notify_url),
        "funds_account": Text(32, pattern="AVAILABLE"),
        "amount": Object(
            {
                "refund": Integer(1, required=True),
                "total": Integer(1, required=True),
                "currency": Text(16, required=True, pattern="CNY"),
                "from": Array(
                    Object(
                        {
                            "account": Text(32, required=True, pattern="AVAILABLE|UNAVAILABLE"),
                            "amount": Integer(1, required=True),
                        }
                    )
                ),
            },
            required=True,
        ),
        "goods_detail": Array(
            Object(
                {
                    "merchant_goods_id": Text(32, required=True),
                    "wechatpay_goods_id": Text(32),
                    "goods_name": Text(256),
                    "unit_price": Integer(0, required=True),
                    "refund_amount": Integer(0, required=True),
                    "refund_quantity": Integer(1, required=True),
                }
            )
        ),
    }
)
ABNORMAL_REFUND = Object(
    {
        "out_refund_no": Text(64, required=True, pattern=OUT_REFUND_NO),
        "type": Text(32, required=True, pattern="USER_BANK_CARD|MERCHANT_BANK_CARD"),
        "bank_type": Text(16),
        "bank_account": Text(1024),
        "real_name": Text(1024),
    }
)
