"""Business days for tests of closing: money that moves through the services at given moments."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from balances.services import balance_top_up
from gateways.interface import RefundReport, RefundState, TradeReport, TradeState
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from reconciliation.models import DailyClose
from reconciliation.services.closing import close_propose, close_sign
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refund_report_apply, refund_submit
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role

DAY = date(2026, 11, 24)
ONE_DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
FIRST, SECOND = (Actor(uuid.uuid4(), Role.STAFF, name) for name in ("zhang", "li"))


def patient() -> Actor:
    return Actor(uuid.uuid4(), Role.PATIENT)


def morning_after(day: date) -> datetime:
    return clock.day_start(day + ONE_DAY) + 10 * HOUR


def funded(owner: Actor, amount: str, at: datetime = NOON) -> None:
    with clock.frozen(at):
        balance_top_up(user_id=owner.id, amount=Decimal(amount), reason="x", actor=SYSTEM)


def ordered(owner: Actor, amount: str = "30.00", at: datetime = NOON, **facts) -> PaymentOrder:
    with clock.frozen(at):
        command = OrderCommand(
            user_id=owner.id, **{"order_type": "other"} | facts, amount=Decimal(amount)
        )
        return order_create(actor=Actor(uuid.uuid4(), Role.SERVICE), command=command)


def paid_from_balance(owner: Actor, amount: str = "30.00", at: datetime = NOON) -> PaymentOrder:
    order = ordered(owner, amount, at)
    with clock.frozen(at):
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    return order


def started(
    owner: Actor, amount: str = "30.00", at: datetime = NOON, method: str = "wechat", **facts
) -> PaymentTransaction:
    order = ordered(owner, amount, at, **facts)
    with clock.frozen(at):
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
    return PaymentTransaction.objects.get(order=order)


def told(attempt: PaymentTransaction, paid_at: datetime, at: datetime) -> None:
    """The gateway says at ``at`` that the attempt was paid at ``paid_at``."""
    number = attempt.out_trade_no
    report = TradeReport(number, TradeState.PAID, f"42{number}", attempt.amount, paid_at=paid_at)
    with clock.frozen(at):
        trade_report_apply(method=attempt.payment_method, report=report)
    attempt.refresh_from_db()


def paid(
    owner: Actor, amount: str = "30.00", at: datetime = NOON, method: str = "wechat", **facts
) -> PaymentTransaction:
    attempt = started(owner, amount, at, method, **facts)
    told(attempt, at, at)
    return attempt


def refund_begun(order_id: uuid.UUID, amount: str, at: datetime = NOON) -> Refund:
    """Approved; of the balance it is done."""
    order = PaymentOrder.objects.get(id=order_id)
    with clock.frozen(at):
        refund = refund_request(
            actor=Actor(order.user_id, Role.PATIENT),
            order_id=order_id,
            amount=Decimal(amount),
            reason="退号",
        )
        reviewer = Actor(uuid.uuid4(), Role.ADMIN)
        refund_review(actor=reviewer, refund_id=refund.id, is_approved=True, notes="x")
    return refund


def refund_sent(refund: Refund, at: datetime) -> None:
    """The mock gateway does it at once."""
    with clock.frozen(at):
        refund_submit(refund_id=refund.id)


def refund_told(refund: Refund, done_at: datetime, at: datetime) -> None:
    """The gateway says at ``at`` that the refund was done at ``done_at``."""
    payment = refund.transaction
    report = RefundReport(
        refund.refund_no,
        RefundState.SUCCESS,
        f"50{refund.refund_no}",
        amount=refund.refund_amount,
        out_trade_no=payment.out_trade_no or "",
        transaction_id=payment.trade_no or "",
        completed_at=done_at,
    )
    with clock.frozen(at):
        refund_report_apply(refund_id=refund.id, report=report)


def closed(day: date = DAY, at: datetime | None = None) -> DailyClose:
    with clock.frozen(at or morning_after(day)):
        close = close_propose(actor=FIRST, day=day)
        return close_sign(actor=SECOND, close_id=close.id)
