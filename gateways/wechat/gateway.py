"""WeChat Pay APIv3 as a Gateway. Protocol facts: gateways/wechatpay-v3 fact sheet, by section."""

import ipaddress
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from gateways.breaker import CallLimiter
from gateways.configuration import key_mark
from gateways.errors import (
    GatewayError,
    GatewayRejected,
    GatewayUnknown,
    GatewayUntrusted,
    RejectReason,
    not_sent,
    reading_answer,
    reading_callback,
)
from gateways.interface import (
    CallbackAnswer,
    CallbackNotice,
    CallbackRequest,
    CloseState,
    Json,
    OpenedBill,
    PaymentRequest,
    PaymentStart,
    RefundReport,
    RefundRequest,
    RefundState,
    Scene,
    TradeReport,
    TradeState,
)
from gateways.texts import (
    Malformed,
    plain_text,
    read_json_object,
    read_moment,
    read_text,
    shanghai_rfc3339,
)
from gateways.transport import Transport, transport_to
from gateways.wechat import bills
from gateways.wechat.configuration import WechatConfig
from gateways.wechat.wire import (
    WechatApi,
    client_signature,
    code_normalised,
    decrypt_resource,
    verify_message,
)
from tcmpay.common.money import fen_to_yuan, yuan_to_fen

Result = TypeVar("Result")

DESCRIPTION_CHARACTERS_MAX = 127
REASON_BYTES_MAX = 80  # bytes in one reading of the page, characters in another: take the smaller
_OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_-]{6,32}", re.ASCII)
_OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)

_PREPAY_PATHS: Mapping[Scene, str] = {
    Scene.NATIVE: "/v3/pay/transactions/native",
    Scene.JSAPI: "/v3/pay/transactions/jsapi",
    Scene.MINI_PROGRAM: "/v3/pay/transactions/jsapi",
    Scene.H5: "/v3/pay/transactions/h5",
    Scene.APP: "/v3/pay/transactions/app",
}
# REFUND says that a refund was asked for once: the trade was paid (section 5).
_TRADE_STATES: Mapping[str, TradeState] = {
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.PAID,
    "NOTPAY": TradeState.UNPAID,
    "USERPAYING": TradeState.UNPAID,
    "PAYERROR": TradeState.UNPAID,
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
}
_REFUND_STATES: Mapping[str, RefundState] = {
    "PROCESSING": RefundState.PROCESSING,
    "SUCCESS": RefundState.SUCCESS,
    "CLOSED": RefundState.CLOSED,
    "ABNORMAL": RefundState.ABNORMAL,
}
_CLOSE_REFUSALS: Mapping[str, CloseState] = {
    RejectReason.ALREADY_PAID: CloseState.ALREADY_PAID,
    RejectReason.NOT_FOUND: CloseState.NOT_FOUND,
}
_AMOUNT_MAX_FEN = 10**13  # far above any order; keeps absurd numbers away from Decimal's limits
_TRADE_PATH = "/v3/pay/transactions/out-trade-no"
_REFUND_PATH = "/v3/refund/domestic/refunds"
_BILL_PATHS = {
    "trade": "/v3/bill/tradebill?bill_date={day}&bill_type=ALL&tar_type=GZIP",
    "fund": "/v3/bill/fundflowbill?bill_date={day}&account_type=BASIC&tar_type=GZIP",
}
_ECHO_PATH = "/v3/security/echo"
_NOT_OFFERED = (403, 404)
ECHO_EVENT = "SECURITY_ECHO.SUCCESS"
_ENCRYPTED = ("encrypt-resource", "AEAD_AES_256_GCM")


class WechatGateway:
    method = "wechat"
    is_mock = False
    scenes: tuple[Scene, ...] = (Scene.NATIVE, Scene.JSAPI, Scene.MINI_PROGRAM, Scene.H5, Scene.APP)

    def __init__(
        self,
        config: WechatConfig,
        *,
        limiter: CallLimiter | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._limiter = limiter or CallLimiter()
        self._transport = transport or transport_to(config.base_url)
        self._clock = clock
        self._api = WechatApi(config, self._transport, clock=clock)

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._transport.clock_skew_seconds

    # -- payments ------------------------------------------------------------------------------

    def prepare_payment(self, request: PaymentRequest) -> dict[str, Any]:
        """The prepay request (section 3). WeChat compares a repetition with the first request, so
        what is stored here is sent again unchanged, expiry and notify_url included."""
        _require_number(_OUT_TRADE_NO, request.out_trade_no)
        if request.scene not in _PREPAY_PATHS:
            raise not_sent("scene not supported")
        body = {
            "appid": self._config.app_id_of(request.scene),
            "mchid": self._config.mch_id,
            "description": _description(request),
            "out_trade_no": request.out_trade_no,
            "time_expire": shanghai_rfc3339(request.expires_at),
            "notify_url": self._config.notify_url,
            "amount": {"total": yuan_to_fen(request.amount), "currency": "CNY"},
            **_scene_fields(request),
        }
        return {"scene": str(request.scene), "return_url": request.return_url, "body": body}

    def with_return_url(self, prepared: Json, return_url: str) -> Json:
        """H5's address takes it as a suffix (section 4); nothing of it goes to WeChat."""
        return {**prepared, "return_url": return_url}

    def create_payment(self, prepared: Json) -> PaymentStart:
        scene = Scene(prepared["scene"])
        answer = self._call("POST", _PREPAY_PATHS[scene], prepared["body"])
        with reading_answer():
            return self._payment_start(scene, prepared, answer)

    def query_payment(self, out_trade_no: str) -> TradeReport:
        _require_number(_OUT_TRADE_NO, out_trade_no)
        try:
            answer = self._call("GET", f"{_TRADE_PATH}/{out_trade_no}?mchid={self._config.mch_id}")
        except GatewayRejected as error:
            if error.reason != RejectReason.NOT_FOUND:
                raise
            return TradeReport(out_trade_no, TradeState.NOT_FOUND, raw={"code": error.code})
        with reading_answer():
            report = _trade_report(answer)
        self._require_own(report, out_trade_no)
        return report

    def close_payment(self, out_trade_no: str) -> CloseState:
        """Section 5. A 204 is also reported for numbers that WeChat does not know."""
        _require_number(_OUT_TRADE_NO, out_trade_no)
        try:
            self._call(
                "POST", f"{_TRADE_PATH}/{out_trade_no}/close", {"mchid": self._config.mch_id}
            )
        except GatewayRejected as error:
            if code_normalised(error.code) == "ORDERCLOSED":
                return CloseState.CLOSED
            if error.reason not in _CLOSE_REFUSALS:
                raise
            return _CLOSE_REFUSALS[error.reason]
        return CloseState.CLOSED

    # -- refunds -------------------------------------------------------------------------------

    def refund(self, request: RefundRequest) -> RefundReport:
        """Section 6: idempotent by out_refund_no, as long as nothing else changes."""
        _require_number(_OUT_REFUND_NO, request.out_refund_no)
        try:
            answer = self._call("POST", _REFUND_PATH, self._refund_body(request))
        except GatewayRejected as error:
            if error.reason != RejectReason.NOT_FOUND:
                raise
            # A trade that we know to be paid and that WeChat does not find yet: later, same number.
            later = GatewayRejected(error.message, code=error.code, reason=RejectReason.TOO_SOON)
            raise later from error
        return self._own_refund(answer, request)

    def query_refund(self, request: RefundRequest) -> RefundReport:
        _require_number(_OUT_REFUND_NO, request.out_refund_no)
        try:
            answer = self._call("GET", f"{_REFUND_PATH}/{request.out_refund_no}")
        except GatewayRejected as error:
            if error.reason != RejectReason.NOT_FOUND:
                raise
            return RefundReport(request.out_refund_no, RefundState.NOT_FOUND)
        return self._own_refund(answer, request)

    # -- callbacks -----------------------------------------------------------------------------

    def parse_callback(self, request: CallbackRequest) -> CallbackNotice:
        with reading_callback():
            return self._notice(request)

    @staticmethod
    def answer_callback(
        *, is_handled: bool, message: str = "", status: int | None = None
    ) -> CallbackAnswer:
        code, text = ("SUCCESS", "成功") if is_handled else ("FAIL", message or "失败")
        body = json.dumps({"code": code, "message": text}, ensure_ascii=False)
        return CallbackAnswer(200 if is_handled else status or 500, "application/json", body)

    def has_own_app(self, scene: Scene) -> bool:
        """Whether the scene's AppID is another one than the default."""
        return self._config.app_id_of(scene) != self._config.app_id

    # -- the test of keys ----------------------------------------------------------------------

    def echo(self, message: str) -> bool:
        """Let WeChat say ``message`` again, and send a real notice of it to our address; False
        where it does not do that for this merchant (beyond.md: documented for partners).

        Raises GatewayRejected, GatewayUnknown.
        """
        body = {"echo_message": message, "notify_url": self._config.notify_url}
        try:
            answer = self._call("POST", _ECHO_PATH, body, is_key_named=True)
        except GatewayError as error:
            if error.status in _NOT_OFFERED:
                return False
            raise
        if answer.get("echo_message") != message:
            raise GatewayUnknown("another echo", code="OTHER_SUBJECT")
        return True

    # -- bills ---------------------------------------------------------------------------------

    def download_bill(self, day: date) -> OpenedBill | None:
        return self._bill("trade", day)

    def download_fund_bill(self, day: date) -> OpenedBill | None:
        try:
            return self._bill("fund", day)
        except GatewayRejected as error:
            if code_normalised(error.code) == "NOAUTH":
                error.reason = RejectReason.NOT_OFFERED
            raise

    def _bill(self, bill_type: str, day: date) -> OpenedBill | None:
        """Section 7. The file itself comes outside the limiter: a long or failing download must
        neither hold a slot nor open the circuit that payments stand behind."""
        try:
            answer = self._call("GET", _BILL_PATHS[bill_type].format(day=day.isoformat()))
        except GatewayRejected as error:
            if code_normalised(error.code) == "NOSTATEMENTEXIST":
                return None
            raise
        with reading_answer():
            return bills.fetch_bill(bill_type, answer, self._api.download)

    # -- inside --------------------------------------------------------------------------------

    def _call(
        self,
        verb: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        *,
        is_key_named: bool = False,
    ) -> dict[str, Any]:
        """One limited call; its verified body as an object (empty for a 204)."""
        body = self._limiter.run(
            lambda: self._api.request(verb, path, content, is_key_named=is_key_named)
        )
        with reading_answer():
            return read_json_object(body) if body else {}

    def _payment_start(
        self, scene: Scene, prepared: Json, answer: Mapping[str, Any]
    ) -> PaymentStart:
        if scene is Scene.NATIVE:
            return PaymentStart(qr_code=read_text(answer, "code_url", is_required=True), raw=answer)
        if scene is Scene.H5:
            address = read_text(answer, "h5_url", is_required=True)
            return PaymentStart(
                payment_url=_with_redirect(address, prepared["return_url"]), raw=answer
            )
        prepay_id = read_text(answer, "prepay_id", is_required=True)
        fields = self._client_fields(scene, prepared["body"]["appid"], prepay_id)
        return PaymentStart(prepay_id=prepay_id, prepay_data=fields, raw=answer)

    def _client_fields(self, scene: Scene, app_id: str, prepay_id: str) -> dict[str, str]:
        """What the payer's app hands to WeChat, signed by us, for the app that the prepay_id was
        made for (section 4)."""
        key = self._config.private_key
        timestamp = str(int(self._clock()))
        nonce = secrets.token_hex(16)
        if scene is Scene.APP:
            return {
                "appid": app_id,
                "partnerid": self._config.mch_id,
                "prepayid": prepay_id,
                "package": "Sign=WXPay",
                "noncestr": nonce,
                "timestamp": timestamp,
                "sign": client_signature(key, app_id, timestamp, nonce, prepay_id),
            }
        package = f"prepay_id={prepay_id}"
        fields = {
            "appId": app_id,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": client_signature(key, app_id, timestamp, nonce, package),
        }
        if scene is Scene.MINI_PROGRAM:
            del fields["appId"]  # signed, but wx.requestPayment takes it from the mini program
        return fields

    def _refund_body(self, request: RefundRequest) -> dict[str, Any]:
        """Section 6. By transaction_id where we know it: by number alone, fresh orders may not be
        found yet. Without a notify_url, notices would go where the console says."""
        body: dict[str, Any] = {
            "notify_url": self._config.notify_url,
            "out_refund_no": request.out_refund_no,
            "amount": {
                "refund": yuan_to_fen(request.refund_amount),
                "total": yuan_to_fen(request.total_amount),
                "currency": "CNY",
            },
        }
        if request.transaction_id:
            body["transaction_id"] = request.transaction_id
        else:
            body["out_trade_no"] = request.out_trade_no
        reason = plain_text(
            request.reason, characters_max=REASON_BYTES_MAX, bytes_max=REASON_BYTES_MAX
        )
        if reason:
            body["reason"] = reason
        return body

    def _own_refund(self, answer: Mapping[str, Any], request: RefundRequest) -> RefundReport:
        with reading_answer():
            report = _refund_report(answer, "status")
        if report.out_refund_no != request.out_refund_no:
            raise GatewayUnknown("answer about another refund", code="OTHER_SUBJECT")
        return report

    def _require_own(self, report: TradeReport, out_trade_no: str) -> None:
        """Answers are signed without the question: a replayed one could be about another trade."""
        is_ours = report.merchant_id == self._config.mch_id
        is_ours = is_ours and report.app_id in self._config.known_app_ids
        if not is_ours or report.out_trade_no != out_trade_no:
            raise GatewayUnknown("answer about another trade", code="OTHER_SUBJECT")

    def _notice(self, request: CallbackRequest) -> CallbackNotice:
        """Section 8: signature over the raw body, freshness, then decryption, then whose it is."""
        verifier = verify_message(
            self._config.verifiers,
            request.headers,
            request.body,
            now=request.received_at.timestamp(),
        )
        envelope = read_json_object(request.body)
        event = read_text(envelope, "event_type", is_required=True)
        resource = self._decrypted_resource(envelope)
        if event != ECHO_EVENT:  # it names no merchant: that we could decrypt it is the proof
            self._require_addressed_to_us(resource)
        is_payment = event == "TRANSACTION.SUCCESS"
        is_refund = event.startswith("REFUND.")
        if is_payment and not resource.get("appid"):
            raise Malformed("appid")
        return CallbackNotice(
            notice_id=read_text(envelope, "id"),
            event=event,
            trade=_trade_report(resource) if is_payment else None,
            refund=_refund_report(resource, "refund_status") if is_refund else None,
            echo_message=read_text(resource, "echo_message") if event == ECHO_EVENT else "",
            key_mark=key_mark(verifier),
        )

    def _decrypted_resource(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        resource = envelope.get("resource")
        if not isinstance(resource, dict):
            raise Malformed("resource")
        if (envelope.get("resource_type"), resource.get("algorithm")) != _ENCRYPTED:
            raise Malformed("resource_type")
        return read_json_object(decrypt_resource(resource, self._config.api_v3_key))

    def _require_addressed_to_us(self, resource: Mapping[str, Any]) -> None:
        if resource.get("mchid") != self._config.mch_id:
            raise GatewayUntrusted("another merchant", code="FOREIGN")
        # Refund notices carry no appid.
        if "appid" in resource and resource["appid"] not in self._config.known_app_ids:
            raise GatewayUntrusted("another application", code="FOREIGN")


def _require_number(pattern: re.Pattern[str], number: str) -> None:
    """Numbers stand in paths: only of these characters is what is signed what is sent."""
    if not pattern.fullmatch(number):
        raise not_sent("number not acceptable to the gateway")


def _description(request: PaymentRequest) -> str:
    text = plain_text(request.description, characters_max=DESCRIPTION_CHARACTERS_MAX)
    return text or request.out_trade_no  # required, and never an error of the payer's


def _scene_fields(request: PaymentRequest) -> dict[str, Any]:
    if request.scene in (Scene.JSAPI, Scene.MINI_PROGRAM):
        if not request.openid:
            raise not_sent("openid is required")
        return {"payer": {"openid": request.openid}}
    if request.scene is Scene.H5:
        try:
            address = str(ipaddress.ip_address(request.client_ip))
        except ValueError as error:
            raise not_sent("client address is required") from error
        return {"scene_info": {"payer_client_ip": address, "h5_info": {"type": "Wap"}}}
    return {}


def _with_redirect(address: str, return_url: str) -> str:
    if not return_url:
        return address
    return f"{address}{'&' if '?' in address else '?'}redirect_url={quote(return_url, safe='')}"


def _trade_report(trade: Mapping[str, Any]) -> TradeReport:
    """A query's answer or a decrypted payment notice: they have the same shape (section 8)."""
    state_name = read_text(trade, "trade_state", is_required=True)
    state = _known(_TRADE_STATES, state_name)
    is_paid = state is TradeState.PAID
    return TradeReport(
        out_trade_no=read_text(trade, "out_trade_no", is_required=True),
        state=state,
        transaction_id=read_text(trade, "transaction_id", is_required=is_paid),
        amount=_yuan(trade, "total", is_required=is_paid),
        currency=read_text(_amount(trade), "currency") or "CNY",
        paid_at=read_moment(trade.get("success_time")),
        app_id=read_text(trade, "appid"),
        merchant_id=read_text(trade, "mchid"),
        has_refunds=state_name == "REFUND",
        raw=trade,
    )


def _refund_report(refund: Mapping[str, Any], state_field: str) -> RefundReport:
    """Answers call the state ``status``, notices ``refund_status``."""
    return RefundReport(
        out_refund_no=read_text(refund, "out_refund_no", is_required=True),
        state=_known(_REFUND_STATES, read_text(refund, state_field, is_required=True)),
        refund_id=read_text(refund, "refund_id"),
        out_trade_no=read_text(refund, "out_trade_no"),
        transaction_id=read_text(refund, "transaction_id"),
        amount=_yuan(refund, "refund", is_required=True),
        total_amount=_yuan(refund, "total", is_required=False),
        completed_at=read_moment(refund.get("success_time")),
        app_id=read_text(refund, "appid"),
        merchant_id=read_text(refund, "mchid"),
        raw=refund,
    )


def _known(states: Mapping[str, Result], name: str) -> Result:
    if name not in states:
        raise Malformed(f"unknown state {name!r}")
    return states[name]


def _amount(message: Mapping[str, Any]) -> Mapping[str, Any]:
    amount = message.get("amount", {})
    if not isinstance(amount, dict):
        raise Malformed("amount")
    return amount


def _yuan(message: Mapping[str, Any], name: str, *, is_required: bool) -> Decimal | None:
    """In yuan, the sum that a message gives in fen as ``amount.<name>``."""
    amount_fen = _amount(message).get(name)
    if amount_fen is None and not is_required:
        return None
    # Exactly: true and false are numbers, too.
    if type(amount_fen) is not int or not 0 <= amount_fen <= _AMOUNT_MAX_FEN:
        raise Malformed("amount")
    return fen_to_yuan(amount_fen)
