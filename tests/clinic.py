"""Orders, refunds and cases as tests of the desks need them, made through the services."""

import uuid
from decimal import Decimal
from typing import Any

from balances.services import balance_top_up
from gateways.interface import TradeReport, TradeState
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from refunds.models import Refund
from refunds.services.requests import refund_request
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role


def patient() -> Actor:
    return Actor(uuid.uuid4(), Role.PATIENT)


def staff_actor_of(person: Any) -> Actor:
    return Actor(person.pk, Role.STAFF, person.username)


def new_order(owner: Actor, amount: str = "30.00", **more: Any) -> PaymentOrder:
    command = OrderCommand(
        user_id=owner.id,
        order_type=more.pop("order_type", "appointment"),
        amount=Decimal(amount),
        **more,
    )
    return order_create(actor=owner, command=command)


def paid_order(owner: Actor | None = None, amount: str = "30.00", **more: Any) -> PaymentOrder:
    """Paid from the balance."""
    owner = owner or patient()
    balance_top_up(user_id=owner.id, amount=Decimal(amount), reason="充值", actor=SYSTEM)
    order = new_order(owner, amount, **more)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    order.refresh_from_db()
    return order


def waiting_refund(
    amount: str = "30.00", reason: str = "预约时间冲突", asker: Actor | None = None, **more: Any
) -> Refund:
    """Asked for by the owner, or by ``asker``; waiting for review."""
    order = paid_order(amount=more.pop("paid", amount), **more)
    return refund_request(
        actor=asker or Actor(order.user_id, Role.PATIENT),
        order_id=order.id,
        amount=Decimal(amount),
        reason=reason,
    )


def report_paid(attempt: PaymentTransaction, amount: str = "", trade_no: str = "") -> None:
    """What a gateway's verified message about ``attempt`` does."""
    report = TradeReport(
        out_trade_no=attempt.out_trade_no or "",
        state=TradeState.PAID,
        transaction_id=trade_no or f"4200{attempt.transaction_no}",
        amount=Decimal(amount) if amount else attempt.amount,
        paid_at=clock.now(),
    )
    trade_report_apply(method=attempt.payment_method, report=report, is_mock=attempt.is_mock)


def started_attempt(method: str = "wechat", amount: str = "30.00") -> PaymentTransaction:
    """At the mock gateway; needs MOCK_CALLBACKS."""
    owner = patient()
    order = new_order(owner, amount)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
    return PaymentTransaction.objects.get(order=order)


def late_case(amount: str = "30.00") -> PaymentException:
    """Money that came after its order was cancelled."""
    attempt = started_attempt(amount=amount)
    owner = Actor(attempt.order.user_id, Role.PATIENT)
    order_cancel(actor=owner, order_id=attempt.order_id)
    report_paid(attempt)
    return PaymentException.objects.get(transaction=attempt)


def unknown_case(amount: str = "30.00") -> PaymentException:
    """Money under a number that we don't know."""
    number = "ORD20260101000000ABCDEF"
    report = TradeReport(
        out_trade_no=number,
        state=TradeState.PAID,
        transaction_id="42000009",
        amount=Decimal(amount),
        paid_at=clock.now(),
    )
    trade_report_apply(method="wechat", report=report)
    return PaymentException.objects.get(out_trade_no=number)


def wrong_amount_case() -> PaymentException:
    attempt = started_attempt()
    report_paid(attempt, amount="29.00")
    return PaymentException.objects.get(transaction=attempt)
