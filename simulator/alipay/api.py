"""Alipay's gateway.do: parameters, signature rules, envelope (alipay.md sections 1 to 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator import clock, keys
from simulator.alipay.messages import node_text, request_text
from simulator.faults import answer_with_fault
from simulator.machine import Machine
from simulator.web import Request, Response

# How far is too far is not documented; eight hours (UTC sent for GMT+8) certainly is.
CLOCK_TOLERANCE_SECONDS = 900
BUYER_TOLERANCE_SECONDS = 15 * clock.DAY_SECONDS
OPERATIONS = {
    "fastpay.refund.query": "query_refund",
    "open.app.alipaycert.download": "certificate",
}
BUYER_METHODS = ("alipay.trade.page.pay", "alipay.trade.wap.pay", "alipay.trade.app.pay")
REQUIRED = ("app_id", "method", "charset", "sign_type", "timestamp", "version", "sign")
LIMITS = {
    "app_id": 32, "method": 128, "format": 40, "charset": 10, "sign_type": 10, "sign": 344,
    "timestamp": 19, "version": 3, "notify_url": 256, "return_url": 256, "app_auth_token": 40,
}  # fmt: skip
NUMBERS = ("out_trade_no", "trade_no", "out_request_no")
# Refusals on demand: msg, sub_code unless one is ordered, and whether the answer is signed: what
# is refused before it reaches the business is not [section 5].
REFUSALS = {
    "20000": ("Service Currently Unavailable", "isp.unknow-error", False),
    "20001": ("Insufficient Token Permissions", "aop.invalid-auth-token", False),
    "40001": ("Missing Required Arguments", "isv.missing-method", False),
    "40002": ("Invalid Arguments", "isv.invalid-signature", False),
    "40003": ("Insufficient Conditions", "isv.insufficient-conditions", True),
    "40004": ("Business Failed", "ACQ.INVALID_PARAMETER", True),
    "40005": ("Call Limited", "isv.call-limited", False),
    "40006": ("Insufficient Permissions", "isv.insufficient-isv-permissions", True),
}
ERROR_NODE = "error_response"
CERTIFICATE_DOWNLOAD = "alipay.open.app.alipaycert.download"


class GatewayError(Exception):
    """The call never reached the business: answered without a signature."""

    def __init__(self, code: str, msg: str, sub_code: str, sub_msg: str, node: str = "") -> None:
        super().__init__(sub_msg)
        self.answer = {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg}
        self.node = node or ERROR_NODE


class BusinessError(Exception):
    """40004: signed like a success."""

    def __init__(self, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_msg)
        self.answer = {
            "code": "40004",
            "msg": "Business Failed",
            "sub_code": sub_code,
            "sub_msg": sub_msg,
        }


@dataclass(frozen=True)
class Call:
    """A verified call. ``content`` is biz_content."""

    machine: Machine
    parameters: dict[str, str]
    content: dict[str, Any]

    @property
    def method(self) -> str:
        return self.parameters["method"]

    @property
    def is_by_certificate(self) -> bool:
        return "app_cert_sn" in self.parameters

    def text(self, name: str, most: int, *, required: bool = False) -> str:
        """One text (or number, as it was written) of biz_content."""
        value = self.content.get(name, "")
        if not isinstance(value, str):
            raise invalid(f"{name} 应为字符串")
        if required and not value:
            raise invalid(f"缺少 {name}")
        if len(value) > most:
            raise invalid(f"{name} 超过 {most} 个字符")
        return value


def invalid(message: str) -> BusinessError:
    return BusinessError("ACQ.INVALID_PARAMETER", f"参数无效：{message}")


def wrong_parameter(sub_code: str, sub_msg: str, node: str = "") -> GatewayError:
    return GatewayError("40002", "Invalid Arguments", sub_code, sub_msg, node)


def node_name(method: str) -> str:
    return f"{method.replace('.', '_')}_response"


def operation_of(method: str) -> str:
    """alipay.trade.query is alipay.query to the fault switches."""
    short = method.removeprefix("alipay.").removeprefix("trade.")
    return "alipay." + OPERATIONS.get(short, short)


Handler = Callable[[Call], dict[str, Any]]


def handle(machine: Machine, request: Request, methods: dict[str, Handler]) -> Response:
    """Answer one API call."""
    try:
        call = verified_call(machine, request, methods)
    except GatewayError as error:
        return envelope(error.node, error.answer)
    node = node_name(call.method)
    signer = answer_signer(machine, call)

    def deed() -> Response:
        try:
            answer = {"code": "10000", "msg": "Success"} | methods[call.method](call)
        except BusinessError as error:
            answer = error.answer
        except GatewayError as error:
            return envelope(node, error.answer)
        return envelope(node, answer, signer)

    def failing(code: str, msg: str, sub_code: str, sub_msg: str) -> Callable[[], Response]:
        answer = {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg}
        return lambda: envelope(node, answer)

    fault = machine.faults.draw(operation_of(call.method), numbers_of(call))

    def refused() -> Response:
        if fault is None:
            raise LookupError("refused without an order")
        told = fault.refusal
        msg, sub_code, is_signed = REFUSALS.get(told.code, REFUSALS["40004"])
        if told.is_signed is not None:
            is_signed = told.is_signed
        answer = {
            "code": told.code,
            "msg": msg,
            "sub_code": told.sub_code or sub_code,
            "sub_msg": told.message,
        }
        return envelope(node, answer, signer if is_signed else None)

    unavailable = failing("20000", "Service Currently Unavailable", "isp.unknow-error", "系统繁忙")
    return answer_with_fault(
        fault,
        deed,
        refusals={
            "error_before": unavailable,
            "error_after": unavailable,
            "not_found": unavailable,
            "rate_limited": failing("40005", "Call Limited", "isv.call-limited", "调用次数超限"),
            "refused": refused,
        },
        spoil=spoil,
        pause=machine.stopping.wait,
    )


def numbers_of(call: Call) -> list[str]:
    """The numbers by which a call names a payment or a refund."""
    return [str(call.content.get(name, "")) for name in NUMBERS]


def verified_call(machine: Machine, request: Request, known: dict[str, Any]) -> Call:
    """Read and verify a call, whichever way its parameters came.

    Raises:
        GatewayError: as the gateway would say it.
    """
    try:
        pairs = [*request.query_pairs, *(request.form_pairs if request.method == "POST" else [])]
    except ValueError as error:
        raise wrong_parameter("isv.invalid-parameter", "参数不是合法的表单") from error
    return call_of(machine, pairs, known)


def call_of(machine: Machine, pairs: list[tuple[str, str]], known: dict[str, Any]) -> Call:
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise wrong_parameter("isv.invalid-parameter", "参数重复")
    method = parameters.get("method", "")
    if method and method not in known:
        raise wrong_parameter("isv.invalid-method", "不存在的方法名")
    check_public(machine, parameters)
    check_signature(machine, parameters, node_name(method))
    return Call(machine, parameters, biz_content(parameters, node_name(method)))


def check_public(machine: Machine, parameters: dict[str, str]) -> None:
    for name in REQUIRED:
        if not parameters.get(name):
            sub_code = f"isv.missing-{name.replace('_', '-')}"
            raise GatewayError("40001", "Missing Required Arguments", sub_code, f"缺少参数 {name}")
    for name, most in LIMITS.items():
        if len(parameters.get(name, "")) > most:
            raise wrong_parameter("isv.invalid-parameter", f"{name} 超过 {most} 个字符")
    if parameters["app_id"] != machine.keys.alipay["app_id"]:
        raise wrong_parameter("isv.invalid-app-id", "无效的AppID参数")
    if parameters["sign_type"] != "RSA2":
        raise wrong_parameter("isv.invalid-signature-type", "无效的签名类型")
    if parameters["charset"].lower() not in ("utf-8", "utf8"):
        raise wrong_parameter("isv.invalid-charset", "本模拟网关只支持 utf-8")
    if parameters["version"] != "1.0":
        raise wrong_parameter("isv.invalid-version", "无效的版本号")
    if parameters.get("format", "JSON").upper() != "JSON":
        raise wrong_parameter("isv.invalid-format", "无效的数据格式")
    try:
        moment = clock.from_wall(parameters["timestamp"])
    except ValueError:
        moment = 0.0
    is_complete = len(parameters["timestamp"]) == 19
    # An address for a browser may be opened long after it was made [section 11].
    is_for_buyer = parameters["method"] in BUYER_METHODS
    oldest = BUYER_TOLERANCE_SECONDS if is_for_buyer else CLOCK_TOLERANCE_SECONDS
    if not is_complete or not -CLOCK_TOLERANCE_SECONDS <= clock.now() - moment <= oldest:
        raise wrong_parameter("isv.invalid-timestamp", "非法的时间戳参数（应为 GMT+8 当前时间）")


def check_signature(machine: Machine, parameters: dict[str, str], node: str) -> None:
    """Rule 1; in certificate mode the two serial numbers must be right as well."""
    ring = machine.keys
    app_sn = parameters.get("app_cert_sn")
    root_sn = parameters.get("alipay_root_cert_sn")
    if (app_sn, root_sn) != (None, None):
        expected = keys.alipay_sn(ring.certificates["alipay_app"])
        expected_root = keys.alipay_sn(ring.certificates["alipay_root"])
        if (app_sn, root_sn) != (expected, expected_root):
            raise wrong_parameter("isv.invalid-app-cert-sn", "证书序列号有误", node)
    public = ring.public("alipay_app")
    if not keys.verify(public, request_text(parameters), parameters["sign"]):
        raise wrong_parameter(
            "isv.invalid-signature",
            "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配",
            node,
        )


def biz_content(parameters: dict[str, str], node: str) -> dict[str, Any]:
    """Numbers stay as they were written, so that 0.30000000000000004 is seen for what it is."""
    try:
        content = json.loads(parameters.get("biz_content") or "{}", parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise wrong_parameter(
            "isv.invalid-parameter", "biz_content 不是合法的JSON", node
        ) from error
    if not isinstance(content, dict):
        raise wrong_parameter("isv.invalid-parameter", "biz_content 应为JSON对象", node)
    return content


def answer_signer(machine: Machine, call: Call) -> keys.AlipaySigner | None:
    """Answers to calls in certificate mode name the certificate that verifies them.

    The one that hands certificates out carries no signature: nobody could verify it yet.
    """
    if call.method == CERTIFICATE_DOWNLOAD:
        return None
    if call.is_by_certificate:
        return machine.alipay_signer()
    return keys.AlipaySigner("", machine.keys.private["alipay"])


def envelope(
    node: str, answer: dict[str, Any], signer: keys.AlipaySigner | None = None
) -> Response:
    """The signature covers the node's text exactly as it is sent."""
    text = node_text(answer)
    rest = ""
    if signer and signer.certificate_sn:
        rest += f',"alipay_cert_sn":"{signer.certificate_sn}"'
    if signer:
        rest += f',"sign":"{keys.sign(signer.key, text.encode())}"'
    body = f'{{"{node}":{text}{rest}}}'
    return Response(200, body.encode(), "text/html;charset=utf-8")


def spoil(answer: Response) -> Response:
    def flipped(match: re.Match[bytes]) -> bytes:
        return match[1] + (b"B" if match[2] == b"A" else b"A")

    answer.body = re.sub(rb'("sign":")(.)', flipped, answer.body)
    return answer
