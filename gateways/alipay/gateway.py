"""Alipay OpenAPI v2 as a Gateway. Protocol facts: gateways/alipay fact sheet, by section."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import IO, Any

from gateways.alipay import bills
from gateways.alipay.configuration import AlipayConfig
from gateways.alipay.wire import (
    TRADE_NOTIFICATION,
    AlipayWire,
    read_form,
    verify_notification,
)
from gateways.breaker import CallLimiter
from gateways.configuration import key_mark
from gateways.errors import (
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
    read_moment,
    read_text,
    read_yuan,
    shanghai_wall_clock,
    yuan_text,
)
from gateways.transport import Transport, transport_to

SUBJECT_CHARACTERS_MAX = 256
_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_SUBJECT_FORBIDDEN = str.maketrans("/=&", "   ")

# Method and product code (section 6; the SDK's QUICK_WAP_PAY is not the documented one).
_PRODUCTS: Mapping[Scene, tuple[str, str]] = {
    Scene.PAGE: ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
    Scene.WAP: ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
    Scene.APP: ("alipay.trade.app.pay", "QUICK_MSECURITY_PAY"),
    Scene.QR: ("alipay.trade.precreate", "FACE_TO_FACE_PAYMENT"),
}
_RETURNING_SCENES = frozenset({Scene.PAGE, Scene.WAP})
_TRADE_STATES: Mapping[str, TradeState] = {
    "WAIT_BUYER_PAY": TradeState.UNPAID,
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    "TRADE_CLOSED": TradeState.CLOSED,
}
_REFUND_STATES: Mapping[str, RefundState] = {
    "": RefundState.NOT_FOUND,  # never received, or failed, or asked too early: not an error
    "REFUND_SUCCESS": RefundState.SUCCESS,
    "REFUND_PROCESSING": RefundState.PROCESSING,
}
# What a refused close was in truth; a wrong status may be either, so it is asked for.
_CLOSE_REFUSALS: Mapping[str, CloseState] = {
    "ACQ.TRADE_NOT_EXIST": CloseState.NOT_FOUND,
    "ACQ.TRADE_HAS_CLOSE": CloseState.CLOSED,
    "ACQ.TRADE_HAS_SUCCESS": CloseState.ALREADY_PAID,
}
_CLOSE_WRONG_STATUS = frozenset({"ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID"})
_CLOSED_AS: Mapping[TradeState, CloseState] = {
    TradeState.PAID: CloseState.ALREADY_PAID,
    TradeState.CLOSED: CloseState.CLOSED,
}

_BILL_TYPES = {"trade": "trade", "fund": "signcustomer"}


class AlipayGateway:
    method = "alipay"
    is_mock = False
    scenes: tuple[Scene, ...] = (Scene.PAGE, Scene.WAP, Scene.APP, Scene.QR)

    def __init__(
        self,
        config: AlipayConfig,
        *,
        limiter: CallLimiter | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
        keep_certificate: Callable[[str], None] = lambda pem: None,
    ) -> None:
        self._config = config
        self._limiter = limiter or CallLimiter()
        self._transport = transport or transport_to(config.gateway_url)
        self._clock = clock
        self._wire = AlipayWire(config, self._transport, keep=keep_certificate, clock=clock)

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._transport.clock_skew_seconds

    # -- payments ------------------------------------------------------------------------------

    def prepare_payment(self, request: PaymentRequest) -> dict[str, Any]:
        """Section 6. time_expire is absolute: page.pay's relative timeout would begin anew with
        every showing of the page."""
        _require_number(request.out_trade_no)
        if request.scene not in _PRODUCTS:
            raise not_sent("scene not supported")
        biz_content = {
            "out_trade_no": request.out_trade_no,
            "total_amount": yuan_text(request.amount),
            "subject": _subject(request),
            "product_code": _PRODUCTS[request.scene][1],
            "time_expire": shanghai_wall_clock(request.expires_at),
        }
        prepared = {
            "scene": str(request.scene),
            "app_id": self._config.app_id,
            "notify_url": self._config.notify_url,
            "return_url": "",
            "biz_content": biz_content,
        }
        return dict(self.with_return_url(prepared, request.return_url))

    def with_return_url(self, prepared: Json, return_url: str) -> Json:
        """A public parameter, signed anew with every address (section 2), and of wap the quit_url,
        where its payer is led who gives up; the rest of the trade stays as it was first shown."""
        scene = Scene(prepared["scene"])
        if scene not in _RETURNING_SCENES:
            return prepared
        address = return_url or self._config.return_url
        biz_content = {
            name: value for name, value in prepared["biz_content"].items() if name != "quit_url"
        }
        if scene is Scene.WAP and address:
            biz_content["quit_url"] = address
        return {**prepared, "return_url": address, "biz_content": biz_content}

    def create_payment(self, prepared: Json) -> PaymentStart:
        """Page, wap and app are only signed (the payer's client sends them); qr is a call."""
        scene = Scene(prepared["scene"])
        method = _PRODUCTS[scene][0]
        public = {name: prepared[name] for name in ("notify_url", "return_url") if prepared[name]}
        if scene is Scene.QR:
            answer = self._call(method, prepared["biz_content"], **public)
            with reading_answer():
                code = read_text(answer, "qr_code", is_required=True)
            return PaymentStart(qr_code=code, raw=answer)
        signed = self._wire.signed(method, prepared["biz_content"], **public)
        if scene is Scene.APP:
            return PaymentStart(prepay_data={"order_string": signed})
        return PaymentStart(payment_url=f"{self._config.gateway_url}?{signed}")

    def query_payment(self, out_trade_no: str) -> TradeReport:
        """Section 7. NOT_FOUND is also what an order is before its buyer opens the cashier."""
        _require_number(out_trade_no)
        try:
            answer = self._call("alipay.trade.query", {"out_trade_no": out_trade_no})
        except GatewayRejected as error:
            if error.reason != RejectReason.NOT_FOUND:
                raise
            return TradeReport(out_trade_no, TradeState.NOT_FOUND, raw={"code": error.code})
        with reading_answer():
            report = _trade_report(answer, "send_pay_date")
        _require_same(report.out_trade_no, out_trade_no)
        return report

    def close_payment(self, out_trade_no: str) -> CloseState:
        _require_number(out_trade_no)
        try:
            self._call("alipay.trade.close", {"out_trade_no": out_trade_no})
        except GatewayRejected as error:
            if error.code in _CLOSE_WRONG_STATUS:
                return self._state_instead_of_close(out_trade_no, error)
            if error.code not in _CLOSE_REFUSALS:
                raise
            return _CLOSE_REFUSALS[error.code]
        return CloseState.CLOSED

    def cancel_payment(self, out_trade_no: str) -> None:
        """Make a code useless that nobody was shown: a face-to-face trade is closed, or can never
        come into being. One that was paid would be given back: never for an order (section 7)."""
        _require_number(out_trade_no)
        self._call("alipay.trade.cancel", {"out_trade_no": out_trade_no})

    # -- refunds -------------------------------------------------------------------------------

    def refund(self, request: RefundRequest) -> RefundReport:
        """Section 8: only fund_change Y proves that money moved with this very call.

        N or none means a repetition, or not yet: the refund query tells which. Asked so soon it
        may miss a refund that still succeeds, so that "not found" there is reported as
        processing; ask again later.
        """
        biz_content = {
            **_refund_subject(request),
            "refund_amount": yuan_text(request.refund_amount),
            "refund_reason": plain_text(request.reason, characters_max=SUBJECT_CHARACTERS_MAX),
        }
        answer = self._call("alipay.trade.refund", biz_content)
        _require_same(answer.get("out_trade_no", request.out_trade_no), request.out_trade_no)
        if answer.get("fund_change") != "Y":
            return self._refund_in_doubt(request)
        with reading_answer():
            return RefundReport(
                out_refund_no=request.out_refund_no,
                state=RefundState.SUCCESS,
                out_trade_no=request.out_trade_no,
                transaction_id=read_text(answer, "trade_no"),
                refunded_total=_amount(answer, "refund_fee", is_required=False),
                completed_at=read_moment(answer.get("gmt_refund_pay")),
                raw=answer,
            )

    def query_refund(self, request: RefundRequest) -> RefundReport:
        biz_content = {**_refund_subject(request), "query_options": ["gmt_refund_pay"]}
        try:
            answer = self._call("alipay.trade.fastpay.refund.query", biz_content)
        except GatewayRejected as error:
            if error.reason != RejectReason.NOT_FOUND:
                raise
            return RefundReport(request.out_refund_no, RefundState.NOT_FOUND)
        _require_same(answer.get("out_request_no", request.out_refund_no), request.out_refund_no)
        with reading_answer():
            return _queried_refund(answer, request)

    # -- callbacks -----------------------------------------------------------------------------

    def parse_callback(self, request: CallbackRequest) -> CallbackNotice:
        with reading_callback():
            return self._notice(request)

    @staticmethod
    def answer_callback(
        *, is_handled: bool, message: str = "", status: int | None = None
    ) -> CallbackAnswer:
        """Exactly seven letters (section 9): anything else asks for another delivery."""
        if is_handled:
            return CallbackAnswer(200, "text/plain", "success")
        return CallbackAnswer(status or 500, "text/plain", "failure")

    # -- bills ---------------------------------------------------------------------------------

    def download_bill(self, day: date) -> OpenedBill | None:
        return self._bill("trade", day)

    def download_fund_bill(self, day: date) -> OpenedBill | None:
        try:
            return self._bill("fund", day)
        except GatewayRejected as error:
            if error.reason == RejectReason.CONFIGURATION and "permission" in error.code.lower():
                error.reason = RejectReason.NOT_OFFERED
            raise

    def _bill(self, bill_type: str, day: date) -> OpenedBill | None:
        """Section 10. The file itself comes outside the limiter: its host is another one, whose
        faults must not open the circuit that payments stand behind."""
        try:
            answer = self._call(
                "alipay.data.dataservice.bill.downloadurl.query",
                {"bill_type": _BILL_TYPES[bill_type], "bill_date": day.isoformat()},
            )
        except GatewayRejected as error:
            bills.require_certain(day, datetime.fromtimestamp(self._clock(), UTC), error)
            return None
        with reading_answer():
            url = read_text(answer, "bill_download_url", is_required=True)
            return bills.fetch_bill(bill_type, url, self._download)

    # -- inside --------------------------------------------------------------------------------

    def _call(self, method: str, biz_content: Mapping[str, Any], **public: str) -> dict[str, Any]:
        return self._limiter.run(lambda: self._wire.call(method, biz_content, **public))

    def _download(self, url: str, sink: IO[bytes]) -> int:
        # The file is unsigned: its only protection is TLS, which a stand-in alone may go without.
        if not url.startswith("https://") and self._config.gateway_url.startswith("https://"):
            raise Malformed("bill_download_url")
        return self._transport.download(url, sink)

    def _state_instead_of_close(self, out_trade_no: str, error: GatewayRejected) -> CloseState:
        state = self.query_payment(out_trade_no).state
        if state not in _CLOSED_AS:
            raise error
        return _CLOSED_AS[state]

    def _refund_in_doubt(self, request: RefundRequest) -> RefundReport:
        try:
            report = self.query_refund(request)
        except GatewayRejected as error:
            # The query was refused, not the refund.
            raise GatewayUnknown(error.message, code=error.code) from error
        if report.state is RefundState.SUCCESS:
            return report
        return RefundReport(
            request.out_refund_no,
            RefundState.PROCESSING,
            out_trade_no=request.out_trade_no,
            raw=report.raw,
        )

    def _notice(self, request: CallbackRequest) -> CallbackNotice:
        """Section 9. There is no freshness rule: re-sends come for 25 hours."""
        fields = read_form(request.body, request.content_type)
        verifier = verify_notification(fields, self._wire.public_keys)
        if not fields.get("notify_id"):
            # What the payer's browser brings back from the cashier carries the same signature.
            raise GatewayUntrusted("not a notification", code="NOT_A_NOTICE")
        is_trade = fields.get("notify_type") == TRADE_NOTIFICATION
        self._require_addressed_to_us(fields, is_trade=is_trade)
        is_refund = is_trade and _is_refund(fields)
        status = fields.get("trade_status", "")
        is_known = is_trade and status in _TRADE_STATES
        return CallbackNotice(
            notice_id=fields.get("notify_id", ""),
            event=status or fields.get("notify_type", ""),
            trade=_trade_report(fields, "gmt_payment") if is_known and not is_refund else None,
            refund=_notified_refund(fields) if is_refund else None,
            key_mark=key_mark(verifier),
        )

    def _require_addressed_to_us(self, fields: Mapping[str, str], *, is_trade: bool) -> None:
        if (is_trade or "app_id" in fields) and fields.get("app_id") != self._config.app_id:
            raise GatewayUntrusted("another application", code="FOREIGN")
        # The documented keys name no seller; where one is configured it must be the one.
        if is_trade and self._config.seller_id not in ("", fields.get("seller_id")):
            raise GatewayUntrusted("another seller", code="FOREIGN")


def _require_number(number: str) -> None:
    if not _NUMBER.fullmatch(number):
        raise not_sent("number not acceptable to the gateway")


def _require_same(said: object, asked: str) -> None:
    """Answers are signed without the question: a replayed one could be about something else."""
    if said != asked:
        raise GatewayUnknown("answer about another trade", code="OTHER_SUBJECT")


def _subject(request: PaymentRequest) -> str:
    text = request.description.translate(_SUBJECT_FORBIDDEN)
    return plain_text(text, characters_max=SUBJECT_CHARACTERS_MAX) or request.out_trade_no


def _refund_subject(request: RefundRequest) -> dict[str, str]:
    _require_number(request.out_refund_no)
    subject = {"out_trade_no": request.out_trade_no, "out_request_no": request.out_refund_no}
    return {**subject, "trade_no": request.transaction_id} if request.transaction_id else subject


def _trade_report(trade: Mapping[str, Any], paid_at_name: str) -> TradeReport:
    """TRADE_CLOSED is both "never paid" and "paid, all refunded": the time of payment tells (7).

    Answers call that time ``send_pay_date``, notices ``gmt_payment``.
    """
    paid_at = read_moment(trade.get(paid_at_name))
    status = read_text(trade, "trade_status", is_required=True)
    if status not in _TRADE_STATES:
        raise Malformed(f"unknown status {status!r}")
    is_refunded_whole = status == "TRADE_CLOSED" and paid_at is not None
    state = TradeState.PAID if is_refunded_whole else _TRADE_STATES[status]
    return TradeReport(
        out_trade_no=read_text(trade, "out_trade_no", is_required=True),
        state=state,
        transaction_id=read_text(trade, "trade_no", is_required=state is TradeState.PAID),
        amount=_amount(trade, "total_amount", is_required=state is TradeState.PAID),
        paid_at=paid_at,
        app_id=read_text(trade, "app_id"),
        merchant_id=read_text(trade, "seller_id"),
        has_refunds=is_refunded_whole,
        is_refundable=status not in ("TRADE_FINISHED", "TRADE_CLOSED"),
        raw=trade,
    )


def _is_refund(fields: Mapping[str, str]) -> bool:
    """Refunds notify on the payment's address, with the payment's TRADE_SUCCESS (section 9)."""
    has_amount = bool(fields.get("refund_fee")) and read_yuan(fields["refund_fee"]) > 0
    return has_amount or bool(fields.get("gmt_refund"))


def _notified_refund(fields: Mapping[str, str]) -> RefundReport:
    """refund_fee is the trade's refunded total, so the amount of this refund stays open. A refund
    that was asked for without a number goes by the trade's (section 8)."""
    out_trade_no = read_text(fields, "out_trade_no", is_required=True)
    return RefundReport(
        out_refund_no=read_text(fields, "out_biz_no") or out_trade_no,
        state=RefundState.SUCCESS,
        out_trade_no=out_trade_no,
        transaction_id=read_text(fields, "trade_no"),
        total_amount=_amount(fields, "total_amount", is_required=False),
        refunded_total=_amount(fields, "refund_fee", is_required=False),
        completed_at=read_moment(fields.get("gmt_refund")),
        app_id=read_text(fields, "app_id"),
        merchant_id=read_text(fields, "seller_id"),
        raw=fields,
    )


def _queried_refund(answer: Mapping[str, Any], request: RefundRequest) -> RefundReport:
    status = read_text(answer, "refund_status")
    if status not in _REFUND_STATES:
        raise Malformed(f"unknown status {status!r}")
    return RefundReport(
        out_refund_no=request.out_refund_no,
        state=_REFUND_STATES[status],
        out_trade_no=read_text(answer, "out_trade_no") or request.out_trade_no,
        transaction_id=read_text(answer, "trade_no"),
        amount=_amount(answer, "refund_amount", is_required=False),
        total_amount=_amount(answer, "total_amount", is_required=False),
        completed_at=read_moment(answer.get("gmt_refund_pay")),
        raw=answer,
    )


def _amount(fields: Mapping[str, Any], name: str, *, is_required: bool) -> Decimal | None:
    if not is_required and not fields.get(name):
        return None
    return read_yuan(fields.get(name))
