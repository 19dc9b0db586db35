"""The demonstration gateway and the guide's unsigned callbacks."""

import json
from datetime import date
from decimal import Decimal

import pytest

from gateways.errors import GatewayRejected, GatewayUntrusted
from gateways.interface import (
    GATEWAY_METHODS,
    CallbackRequest,
    CloseState,
    RefundState,
    Scene,
    TradeState,
)
from gateways.mock import MockGateway
from gateways.tests.kit import NOW, payment_request, refund_request

GOOD = {
    "out_trade_no": "ORD20261124100000A1",
    "trade_no": "mock-trade-number",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "30.00",
}


def callback(content: object) -> CallbackRequest:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return CallbackRequest({}, body, "application/json", NOW)


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_every_scene_gives_something_to_pay_with_and_the_same_again(method):
    gateway = MockGateway(method)
    for scene in gateway.scenes:
        prepared = gateway.prepare_payment(payment_request(scene))
        start = gateway.create_payment(json.loads(json.dumps(prepared)))
        assert start.payment_url or start.qr_code or start.prepay_data
        assert start == gateway.create_payment(prepared)


def test_the_default_scenes_are_those_of_the_real_ones():
    assert MockGateway("wechat").scenes[0] is Scene.NATIVE
    assert MockGateway("alipay").scenes[0] is Scene.PAGE


def test_another_methods_scene_is_refused():
    with pytest.raises(GatewayRejected):
        MockGateway("alipay").prepare_payment(payment_request(Scene.NATIVE))


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_its_fixed_answers(method):
    gateway = MockGateway(method)
    assert gateway.is_mock
    assert gateway.query_payment("X").state is TradeState.UNPAID
    assert gateway.close_payment("X") is CloseState.CLOSED
    refund = gateway.refund(refund_request())
    assert (refund.state, refund.refund_id) == (RefundState.SUCCESS, "MOCKRFD20261124100500B2")
    assert gateway.query_refund(refund_request()) == refund
    assert gateway.download_bill(date(2026, 11, 23)) is None
    assert gateway.download_fund_bill(date(2026, 11, 23)) is None


@pytest.mark.parametrize("method", GATEWAY_METHODS)
def test_the_guides_callback(method):
    trade = MockGateway(method).parse_callback(callback(GOOD)).trade
    assert (trade.state, trade.amount) == (TradeState.PAID, Decimal("30.00"))
    assert trade.transaction_id == "mock-trade-number"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"out_trade_no": "A", "out_trade_no": "B"}',
        [],
        {},
        {**GOOD, "out_trade_no": ""},
        {**GOOD, "out_trade_no": 5},
        {**GOOD, "out_trade_no": "A\x00"},
        {**GOOD, "trade_no": None},
        {**GOOD, "trade_no": "<b>"},
        {**GOOD, "trade_status": "PAID"},
        *(
            {**GOOD, "total_amount": amount}
            for amount in (
                30,
                30.0,
                True,
                None,
                "",
                "-1",
                "+1",
                "1e2",
                "1.000",
                "NaN",
                "３０",
                " 30",
                "30\n",
                "1_0",
                "9" * 5000,
            )
        ),
    ],
    ids=lambda content: repr(content)[:60],
)
def test_malformed_callbacks(content):
    with pytest.raises(GatewayUntrusted):
        MockGateway("alipay").parse_callback(callback(content))


@pytest.mark.parametrize(
    ("method", "is_handled", "status", "body"),
    [
        ("wechat", True, 200, {"code": "SUCCESS", "message": "成功"}),
        ("wechat", False, 500, {"code": "FAIL", "message": "失败"}),
        ("alipay", True, 200, "success"),
        ("alipay", False, 500, "failure"),
    ],
)
def test_answers(method, is_handled, status, body):
    answer = MockGateway(method).answer_callback(is_handled=is_handled)
    assert answer.status == status
    assert (json.loads(answer.body) if method == "wechat" else answer.body) == body
