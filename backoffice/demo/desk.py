"""What the demo's desks have to do: rules, requests that wait, and cases of money."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from django.db.transaction import atomic

from gateways.interface import CallbackNotice, CallbackRequest, TradeReport, TradeState
from payments.models import PaymentOrder
from payments.services.callbacks import Incoming, callback_handle
from refunds.models import RefundPolicyRule
from refunds.services.requests import refund_request
from refunds.services.rules import rule_save
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.money import Money

# Order type, hours before the appointment from and to, percentage, why.
RULES = (
    ("appointment", 24, None, 100, "提前一天以上取消，全额退款"),
    ("appointment", 2, 24, 80, "当天取消，退八成"),
    ("appointment", 0, 2, 50, "两小时内取消，退一半"),
    ("appointment", None, 0, 0, "预约时间已过，不退"),
    ("", None, None, 100, "其他服务，未提供前全额退款"),
)
# Hours until the appointment, amount asked for, reason.
REQUESTS = (
    (30, "50.00", "临时出差，无法就诊"),
    (5, "50.00", "身体已好转，取消预约"),
    (1, "25.00", "路上堵车，赶不到"),
)
# (yuan)
PRICE = Decimal("50.00")


def seed_desk(order_of: Callable[..., PaymentOrder], patient: uuid.UUID) -> None:
    """``order_of(patient, amount, metadata)`` makes a paid order of ``amount`` yuan."""
    for order_type, hours_from, hours_to, percentage, description in RULES:
        rule = RefundPolicyRule(
            order_type=order_type,
            hours_from=hours_from,
            hours_to=hours_to,
            percentage=percentage,
            description=description,
        )
        with atomic():
            rule_save(actor=SYSTEM, rule=rule)
    for hours, amount, reason in REQUESTS:
        appointment = (clock.now() + timedelta(hours=hours)).isoformat()
        order = order_of(patient, PRICE, {"appointment_time": appointment})
        refund_request(
            actor=Actor(id=patient, role=Role.PATIENT),
            order_id=order.id,
            amount=Decimal(amount),
            reason=reason,
        )
    notice_of_payment("wechat", "SHOP20261101000017", "DEMO4200002026110100017", Decimal("68.00"))


def notice_of_payment(method: str, number: str, trade_no: str, amount: Money) -> None:
    """What a mock gateway's message about a payment (yuan) does."""
    report = TradeReport(number, TradeState.PAID, trade_no, amount, paid_at=clock.now())
    told = {"out_trade_no": number, "trade_no": trade_no, "total_amount": str(amount)}
    body = json.dumps(told | {"trade_status": "TRADE_SUCCESS"}).encode()
    callback_handle(
        incoming=Incoming(method, CallbackRequest({}, body, "application/json", clock.now())),
        notice=CallbackNotice("", "mock", trade=report),
        is_mock=True,
    )
