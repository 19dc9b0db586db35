"""Alipay's gateway.do: parameters, signature rules, envelope (alipay.md sections 1 to 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from simulator import clock, keys
from simulator.alipay.messages import node_text, request_text
from simulator.faults import Fault, answer_with_fault
from simulator.machine import Machine
from simulator.store import Store
from simulator.web import Request, Response

# How far is too far is not documented; eight hours (UTC sent for GMT+8) certainly is.
CLOCK_TOLERANCE_SECONDS = 900
BUYER_TOLERANCE_SECONDS = 15 * clock.DAY_SECONDS
OPERATIONS = {"fastpay.refund.query": "query_refund", "open.app.alipaycert.download": "certificate"}
BUYER_METHODS = ("alipay.trade.page.pay", "alipay.trade.wap.pay", "alipay.trade.app.pay")
REQUIRED = ("app_id", "method", "charset", "sign_type", "timestamp", "version", "sign")
LIMITS = {
    "app_id": 32, "method": 128, "format": 40, "charset": 10, "sign_type": 10, "sign": 344,
    "timestamp": 19, "version": 3, "notify_url": 256, "return_url": 256, "app_auth_token": 40,
}  # fmt: skip
NUMBERS = ("out_trade_no", "trade_no", "out_request_no")
UTF8 = ("utf-8", "utf8")
# By code: msg, the usual sub_code, and whether the answer is signed: what is refused before it
# reaches the business is not [section 5].
CODES = {
    "20000": ("Service Currently Unavailable", "isp.unknow-error", False),
    "20001": ("Insufficient Token Permissions", "aop.invalid-auth-token", False),
    "40001": ("Missing Required Arguments", "isv.missing-method", False),
    "40002": ("Invalid Arguments", "isv.invalid-signature", False),
    "40003": ("Insufficient Conditions", "isv.insufficient-conditions", True),
    "40004": ("Business Failed", "ACQ.INVALID_PARAMETER", True),
    "40005": ("Call Limited", "isv.call-limited", False),
    "40006": ("Insufficient Permissions", "isv.insufficient-isv-permissions", True),
}
UNAVAILABLE = ("20000", "系统繁忙")
REFUSALS = {
    "error_before": UNAVAILABLE,
    "error_after": UNAVAILABLE,
    "not_found": UNAVAILABLE,
    "rate_limited": ("40005", "调用次数超限"),
}
ERROR_NODE = "error_response"
CERTIFICATE_DOWNLOAD = "alipay.open.app.alipaycert.download"


def error_node(code: str, sub_msg: str, sub_code: str = "") -> dict[str, str]:
    msg, usual, _ = CODES.get(code, CODES["40004"])
    return {"code": code, "msg": msg, "sub_code": sub_code or usual, "sub_msg": sub_msg}


class Refusal(Exception):
    """What is told instead of an answer."""

    def __init__(self, code: str, sub_code: str, sub_msg: str, node: str = ERROR_NODE) -> None:
        super().__init__(f"{sub_code} {sub_msg}")
        self.answer = error_node(code, sub_msg, sub_code)
        self.node = node


class GatewayError(Refusal):
    """The call never reached the business: answered without a signature."""


class BusinessError(Refusal):
    """40004: signed like a success."""

    def __init__(self, sub_code: str, sub_msg: str) -> None:
        super().__init__("40004", sub_code, sub_msg)


@dataclass(frozen=True)
class Call:
    """A verified call. ``content`` is biz_content."""

    machine: Machine
    parameters: dict[str, str]
    content: dict[str, Any]

    @property
    def store(self) -> Store:
        return self.machine.store

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


def check(is_right: object, sub_code: str, sub_msg: str) -> None:
    if not is_right:
        raise BusinessError(f"ACQ.{sub_code}", sub_msg)


def invalid(message: str) -> BusinessError:
    return BusinessError("ACQ.INVALID_PARAMETER", f"参数无效：{message}")


def wrong_parameter(sub_code: str, sub_msg: str, node: str = ERROR_NODE) -> GatewayError:
    return GatewayError("40002", f"isv.{sub_code}", sub_msg, node)


def node_name(method: str) -> str:
    return f"{method.replace('.', '_')}_response" if method else ERROR_NODE


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
    method = call.parameters["method"]
    node, signer = node_name(method), answer_signer(machine, call)

    def act() -> Response:
        try:
            answer = {"code": "10000", "msg": "Success"} | methods[method](call)
        except BusinessError as error:
            answer = error.answer
        except GatewayError as error:
            return envelope(node, error.answer)
        return envelope(node, answer, signer)

    def refuse(fault: Fault) -> Response:
        if fault.kind != "refused":
            return envelope(node, error_node(*REFUSALS[fault.kind]))
        _, _, is_signed = CODES.get(fault.code, CODES["40004"])
        is_signed = is_signed if fault.signed is None else fault.signed
        answer = error_node(fault.code, fault.message, fault.sub_code)
        return envelope(node, answer, signer if is_signed else None)

    # The numbers by which a call names a payment or a refund.
    numbers = [str(call.content.get(name, "")) for name in NUMBERS]
    fault = machine.faults.draw(operation_of(method), numbers)
    return answer_with_fault(
        fault, act, refuse=refuse, corrupt=corrupt, pause=machine.stopping.wait
    )


def verified_call(machine: Machine, request: Request, known: Container[str]) -> Call:
    """Read and verify a call, whichever way its parameters came.

    Raises:
        GatewayError: as the gateway would say it.
    """
    try:
        pairs = [*request.query_pairs, *request.form_pairs]
    except ValueError as error:
        raise wrong_parameter("invalid-parameter", "参数不是合法的表单") from error
    return call_of(machine, pairs, known)


def call_of(machine: Machine, pairs: list[tuple[str, str]], known: Container[str]) -> Call:
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise wrong_parameter("invalid-parameter", "参数重复")
    method = parameters.get("method", "")
    if method and method not in known:
        raise wrong_parameter("invalid-method", "不存在的方法名")
    check_public(machine, parameters)
    check_signature(machine, parameters, node_name(method))
    return Call(machine, parameters, biz_content(parameters, node_name(method)))


def check_public(machine: Machine, parameters: dict[str, str]) -> None:
    for name in REQUIRED:
        if not parameters.get(name):
            raise GatewayError("40001", f"isv.missing-{name.replace('_', '-')}", f"缺少参数 {name}")
    for name, most in LIMITS.items():
        if len(parameters.get(name, "")) > most:
            raise wrong_parameter("invalid-parameter", f"{name} 超过 {most} 个字符")
    for is_right, sub_code, message in (
        (parameters["app_id"] == machine.keys.alipay["app_id"], "app-id", "无效的AppID参数"),
        (parameters["sign_type"] == "RSA2", "signature-type", "无效的签名类型"),
        (parameters["charset"].lower() in UTF8, "charset", "本模拟网关只支持 utf-8"),
        (parameters["version"] == "1.0", "version", "无效的版本号"),
        (parameters.get("format", "JSON").upper() == "JSON", "format", "无效的数据格式"),
    ):
        if not is_right:
            raise wrong_parameter(f"invalid-{sub_code}", message)
    try:
        moment = clock.from_wall(parameters["timestamp"])
    except ValueError:
        moment = 0.0
    is_complete = len(parameters["timestamp"]) == 19
    # An address for a browser may be opened long after it was made [section 11].
    is_for_buyer = parameters["method"] in BUYER_METHODS
    oldest = BUYER_TOLERANCE_SECONDS if is_for_buyer else CLOCK_TOLERANCE_SECONDS
    if not is_complete or not -CLOCK_TOLERANCE_SECONDS <= clock.now() - moment <= oldest:
        raise wrong_parameter("invalid-timestamp", "非法的时间戳参数（应为 GMT+8 当前时间）")


def check_signature(machine: Machine, parameters: dict[str, str], node: str) -> None:
    """Rule 1; in certificate mode the two serial numbers must be right as well."""
    certificates = machine.keys.certificates
    serials = parameters.get("app_cert_sn"), parameters.get("alipay_root_cert_sn")
    expected = tuple(keys.alipay_sn(certificates[name]) for name in ("alipay_app", "alipay_root"))
    if serials not in ((None, None), expected):
        raise wrong_parameter("invalid-app-cert-sn", "证书序列号有误", node)
    public = machine.keys.public("alipay_app")
    if not keys.verify(public, request_text(parameters), parameters["sign"]):
        message = "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配"
        raise wrong_parameter("invalid-signature", message, node)


def biz_content(parameters: dict[str, str], node: str) -> dict[str, Any]:
    """Numbers stay as they were written, so that 0.30000000000000004 is seen for what it is."""
    text = parameters.get("biz_content") or "{}"
    try:
        content = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise wrong_parameter("invalid-parameter", "biz_content 不是合法的JSON", node) from error
    if not isinstance(content, dict):
        raise wrong_parameter("invalid-parameter", "biz_content 应为JSON对象", node)
    return content


def answer_signer(machine: Machine, call: Call) -> keys.Signer | None:
    """Answers to calls in certificate mode name the certificate that verifies them.

    The one that hands certificates out carries no signature: nobody could verify it yet.
    """
    if call.parameters["method"] == CERTIFICATE_DOWNLOAD:
        return None
    if call.is_by_certificate:
        return machine.alipay_signer()
    return keys.Signer("", machine.keys.private["alipay"])


def envelope(node: str, answer: dict[str, Any], signer: keys.Signer | None = None) -> Response:
    """The signature covers the node's text exactly as it is sent."""
    text = node_text(answer)
    rest = ""
    if signer and signer.serial:
        rest += f',"alipay_cert_sn":"{signer.serial}"'
    if signer:
        rest += f',"sign":"{keys.sign(signer.key, text.encode())}"'
    body = f'{{"{node}":{text}{rest}}}'
    return Response(200, body.encode(), "text/html;charset=utf-8")


def corrupt(answer: Response) -> Response:
    """A signature of the right form that proves nothing."""

    def flipped(match: re.Match[bytes]) -> bytes:
        return match[1] + (b"B" if match[2] == b"A" else b"A")

    answer.body = re.sub(rb'("sign":")(.)', flipped, answer.body)
    return answer
