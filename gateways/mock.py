"""A gateway for demonstrations without keys: nothing leaves the process, nothing is remembered.

It speaks the guide's unsigned JSON callbacks ("Mock External Payment"), so it must never be
reachable where money is real; who may use it is decided by the configuration, not here.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from gateways.errors import not_sent, reading_callback
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
from gateways.registry import PROVIDERS
from gateways.texts import Malformed, plain_text, read_json_object, read_text, yuan_text

_TRADE_STATES: Mapping[str, TradeState] = {
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    "TRADE_CLOSED": TradeState.CLOSED,
    "WAIT_BUYER_PAY": TradeState.UNPAID,
}
_AMOUNT = re.compile(r"[0-9]{1,8}(\.[0-9]{1,2})?", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_TRADE_NO = re.compile(r"[0-9A-Za-z_.:-]{1,64}", re.ASCII)

# What the real gateway's apps are handed, with nothing in it that a real app would take.
MOCK_JSAPI = {
    "appId": "mock",
    "timeStamp": "0",
    "nonceStr": "mock",
    "package": "",
    "signType": "RSA",
    "paySign": "mock",
}
MOCK_APP = {
    "appid": "mock",
    "partnerid": "mock",
    "prepayid": "",
    "package": "Sign=WXPay",
    "noncestr": "mock",
    "timestamp": "0",
    "sign": "mock",
}


class MockGateway:
    is_mock = True
    clock_skew_seconds: float | None = None  # there is no other clock

    def __init__(self, method: str) -> None:
        self.method = method
        self._real = PROVIDERS[method].gateway
        self.scenes = self._real.scenes

    def prepare_payment(self, request: PaymentRequest) -> dict[str, Any]:
        if request.scene not in self.scenes:
            raise not_sent("scene not supported")
        return {
            "mock": True,
            "scene": str(request.scene),
            "out_trade_no": request.out_trade_no,
            "total_amount": yuan_text(request.amount),
            "description": plain_text(request.description, characters_max=127),
        }

    def with_return_url(self, prepared: Json, return_url: str) -> Json:
        return prepared

    def create_payment(self, prepared: Json) -> PaymentStart:
        """The same for the same attempt, in the shape that the real gateway gives the scene."""
        number, scene = prepared["out_trade_no"], Scene(prepared["scene"])
        address = f"https://mock.invalid/{self.method}/{scene}/{number}"
        raw = {"mock": True}
        if scene is Scene.NATIVE:
            return PaymentStart(qr_code=f"weixin://wxpay/bizpayurl?pr=MOCK{number}", raw=raw)
        if scene is Scene.QR:
            return PaymentStart(qr_code=address, raw=raw)
        if scene in (Scene.H5, Scene.PAGE, Scene.WAP):
            return PaymentStart(payment_url=address, raw=raw)
        if self.method == "alipay":
            return PaymentStart(prepay_data={"order_string": f"mock={number}"}, raw=raw)
        prepay_id = f"mock{number}"
        if scene is Scene.APP:
            fields = MOCK_APP | {"prepayid": prepay_id}
        else:
            fields = MOCK_JSAPI | {"package": f"prepay_id={prepay_id}"}
        return PaymentStart(prepay_id=prepay_id, prepay_data=fields, raw=raw)

    def query_payment(self, out_trade_no: str) -> TradeReport:
        return TradeReport(out_trade_no, TradeState.UNPAID, raw={"mock": True})

    def close_payment(self, out_trade_no: str) -> CloseState:
        return CloseState.CLOSED

    def refund(self, request: RefundRequest) -> RefundReport:
        return RefundReport(
            request.out_refund_no,
            RefundState.SUCCESS,
            refund_id=f"MOCK{request.out_refund_no}",
            out_trade_no=request.out_trade_no,
            transaction_id=request.transaction_id,
            amount=request.refund_amount,
            raw={"mock": True},
        )

    def query_refund(self, request: RefundRequest) -> RefundReport:
        return self.refund(request)

    def parse_callback(self, request: CallbackRequest) -> CallbackNotice:
        """The guide's JSON; unsigned, so GatewayUntrusted here only means malformed."""
        with reading_callback():
            trade = _trade(read_json_object(request.body))
        return CallbackNotice(notice_id="", event="mock", trade=trade)

    def answer_callback(
        self, *, is_handled: bool, message: str = "", status: int | None = None
    ) -> CallbackAnswer:
        return self._real.answer_callback(is_handled=is_handled, message=message, status=status)

    def download_bill(self, day: date) -> OpenedBill | None:
        return None

    def download_fund_bill(self, day: date) -> OpenedBill | None:
        return None


def _trade(fields: Mapping[str, Any]) -> TradeReport:
    status = read_text(fields, "trade_status", is_required=True)
    if status not in _TRADE_STATES:
        raise Malformed("trade_status")
    return TradeReport(
        out_trade_no=_matching(_NUMBER, fields, "out_trade_no"),
        state=_TRADE_STATES[status],
        transaction_id=_matching(_TRADE_NO, fields, "trade_no"),
        amount=Decimal(_matching(_AMOUNT, fields, "total_amount")).quantize(Decimal("0.01")),
        raw=fields,
    )


def _matching(pattern: re.Pattern[str], fields: Mapping[str, Any], name: str) -> str:
    text = read_text(fields, name, is_required=True)
    if not pattern.fullmatch(text):
        raise Malformed(name)
    return text
