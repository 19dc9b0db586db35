"""WeChat Pay APIv3: who may call, what is called, and signed answers.

Protocol facts: wechatpay-v3.md sections 1, 2, 9 and 10.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulator import clock, keys
from simulator.faults import Fault, answer_with_fault
from simulator.machine import Machine
from simulator.web import Request, Response, json_response
from simulator.wechat import schema
from simulator.wechat.messages import SIGNATURE_TYPE, signed_headers

CLOCK_TOLERANCE_SECONDS = 300
CLOCK_DETAIL = 268443699
BODY_MAX = 128 * 1024

NUMBERS = ("out_trade_no", "transaction_id", "out_refund_no")
# Refusals on demand: the status that each code comes with [section 11]; any other, 400.
STATUS_BY_CODE = {
    "SIGN_ERROR": 401,
    "NO_AUTH": 403, "RULE_LIMIT": 403, "TRADE_ERROR": 403, "NOT_ENOUGH": 403,
    "ACCOUNT_ERROR": 403, "OUT_TRADE_NO_USED": 403, "REQUEST_BLOCKED": 403,
    "USER_ACCOUNT_ABNORMAL": 403,
    "ORDER_NOT_EXIST": 404, "RESOURCE_NOT_EXISTS": 404, "NOT_FOUND": 404,
    "FREQUENCY_LIMITED": 429, "RATELIMIT_EXCEEDED": 429,
    "SYSTEM_ERROR": 500, "BANK_ERROR": 500, "OPENID_MISMATCH": 500,
}  # fmt: skip

AUTHORIZATION_NAMES = {"mchid", "nonce_str", "timestamp", "serial_no", "signature"}
AUTHORIZATION_PART = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')


@dataclass(eq=False)
class Refusal(Exception):
    """An error answer: HTTP status, code, message, and the number that ends the Request-ID."""

    status: int
    code: str
    message: str
    detail: int = 0
    place: dict[str, str] = field(default_factory=dict)


SYSTEM_ERROR = Refusal(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用", 268435462)
REFUSALS = {
    "error_before": SYSTEM_ERROR,
    "error_after": SYSTEM_ERROR,
    "rate_limited": Refusal(429, "FREQUENCY_LIMITED", "频率超限"),
    "not_found": Refusal(404, "RESOURCE_NOT_EXISTS", "订单不存在"),
}


def parameter_error(message: str) -> Refusal:
    return Refusal(400, "PARAM_ERROR", message)


def invalid_request(message: str, detail: int = 0) -> Refusal:
    return Refusal(400, "INVALID_REQUEST", message, detail)


def sign_error(message: str, detail: int = 0) -> Refusal:
    return Refusal(401, "SIGN_ERROR", message, detail)


@dataclass(frozen=True)
class Call:
    """A verified call, as handlers see it."""

    machine: Machine
    request: Request
    parts: dict[str, str]  # named parts of the path
    body: dict[str, Any]

    @property
    def config(self) -> dict[str, str]:
        return self.machine.keys.wechat


@dataclass(frozen=True)
class Route:
    method: str
    pattern: str
    operation: str  # the name that one-shot faults use
    handler: Callable[[Call], Response]
    body: dict[str, Any] | None = None  # the schema of the body, None: there is none
    is_signed: bool = True


def handle(machine: Machine, request: Request, routes: tuple[Route, ...]) -> Response:
    """Answer one call of the API; errors are told in WeChat's own form."""
    signer = None
    try:
        route, parts = find_route(routes, request)
        signer = machine.wechat_signer(request.header("Wechatpay-Serial"))
        authenticate(machine, request)
        if signer is None:
            raise parameter_error("Wechatpay-Serial 不是可用的平台公钥或证书")
        check_headers(request)
        call = Call(machine, request, parts, parsed_body(route, request))
    except Refusal as refusal:
        # Those who are not known get no signature; nor do they need one [section 2].
        return error_answer(refusal, None if refusal.status == 401 else signer)

    def act() -> Response:
        try:
            answer = route.handler(call)
        except Refusal as refusal:
            return error_answer(refusal, signer)
        return signed(answer, signer) if route.is_signed else answer

    def refuse(fault: Fault) -> Response:
        if fault.kind != "refused":
            return error_answer(REFUSALS[fault.kind], signer)
        status = fault.status or STATUS_BY_CODE.get(fault.code, 400)
        is_signed = status != 401 if fault.signed is None else fault.signed
        refusal = Refusal(status, fault.code, fault.message)
        return error_answer(refusal, signer if is_signed else None)

    # The numbers by which a call names a payment or a refund.
    numbers = [*call.parts.values(), *(call.body.get(name, "") for name in NUMBERS)]
    fault = machine.faults.draw(route.operation, numbers)
    return answer_with_fault(
        fault, act, refuse=refuse, corrupt=corrupt, pause=machine.stopping.wait
    )


def find_route(routes: tuple[Route, ...], request: Request) -> tuple[Route, dict[str, str]]:
    for route in routes:
        match = re.fullmatch(route.pattern, request.path)
        if match and route.method == request.method:
            return route, {name: unquote(part) for name, part in match.groupdict().items()}
    raise Refusal(404, "NOT_FOUND", "接口不存在")


def authenticate(machine: Machine, request: Request) -> None:
    """The signature covers method, path with query, time stamp, nonce and raw body.

    Raises:
        Refusal: 401 SIGN_ERROR, as strictly as the real gateway.
    """
    given = parse_authorization(request.header("Authorization"))
    config, stamp, nonce = machine.keys.wechat, given["timestamp"], given["nonce_str"]
    if given["mchid"] != config["mchid"]:
        raise sign_error("商户号与签名不匹配")
    if given["serial_no"] != config["merchant_serial_no"]:
        raise sign_error("商户证书序列号有误")
    if not stamp.isascii() or not stamp.isdigit():
        raise sign_error("时间戳有误")
    if abs(clock.now() - int(stamp[:12])) >= CLOCK_TOLERANCE_SECONDS:
        message = "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
        raise sign_error(message, CLOCK_DETAIL)
    if not re.fullmatch(r"[\x21-\x7e]{1,32}", nonce):
        raise sign_error("nonce_str 有误")
    head = f"{request.method}\n{request.target}\n{stamp}\n{nonce}\n"
    text = head.encode() + request.body + b"\n"
    if not keys.verify(machine.keys.public("wechat_merchant"), text, given["signature"]):
        raise sign_error("签名错误，请检查后再试")
    # A stale time stamp is refused after 300 s either way.
    if not machine.nonces.add(nonce, seconds=2 * CLOCK_TOLERANCE_SECONDS):
        raise sign_error("nonce_str 重复")


def parse_authorization(text: str) -> dict[str, str]:
    """The five parts, each exactly once, in any order."""
    scheme, _, rest = text.partition(" ")
    parts = [AUTHORIZATION_PART.fullmatch(part) for part in rest.split(",")]
    found = [(part[1], part[2]) for part in parts if part]
    names = dict(found)
    is_complete = len(found) == len(parts) == len(names) and set(names) == AUTHORIZATION_NAMES
    if scheme != SIGNATURE_TYPE or not is_complete:
        raise sign_error("Http头Authorization不符合格式")
    return names


def check_headers(request: Request) -> None:
    """Accept and User-Agent are required, and the body says that it is JSON."""
    if not request.header("User-Agent") or not request.header("Accept"):
        raise parameter_error("Http头缺少Accept或User-Agent")
    kind = request.header("Content-Type").partition(";")[0].strip().lower()
    if request.method == "POST" and kind != "application/json":
        raise parameter_error("Http头Content-Type应为application/json")


def parsed_body(route: Route, request: Request) -> dict[str, Any]:
    if route.body is None:
        return {}
    if len(request.body) > BODY_MAX:
        raise parameter_error("请求体过大")
    try:
        body = schema.parse(request.body)
        schema.check(route.body, body)
    except schema.Invalid as invalid:
        message = f"{invalid.where} {invalid.issue}".strip()
        place = {"location": "body", "field": invalid.where, "issue": invalid.issue}
        raise Refusal(400, "PARAM_ERROR", message, invalid.detail, place) from invalid
    return body


def request_id(detail: int) -> str:
    """It ends in the detailed error code [section 2]."""
    return f"{secrets.token_hex(12).upper()}-{detail}"


def signed(answer: Response, signer: keys.Signer) -> Response:
    answer.headers |= signed_headers(signer, answer.body)
    answer.headers.setdefault("Request-ID", request_id(0))
    return answer


def error_answer(refusal: Refusal, signer: keys.Signer | None) -> Response:
    body: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.place:
        body["detail"] = refusal.place
    answer = json_response(body, refusal.status)
    answer.headers["Request-ID"] = request_id(refusal.detail)
    return signed(answer, signer) if signer else answer


def corrupt(answer: Response) -> Response:
    """A signature of the right form that proves nothing."""
    if signature := answer.headers.get("Wechatpay-Signature"):
        flipped = "B" if signature[0] == "A" else "A"
        answer.headers["Wechatpay-Signature"] = flipped + signature[1:]
    return answer
