"""A payment by a gateway, its refunds in every state, and a gateway that says what a test wants."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from django.db import connection

from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import (
    CallbackNotice,
    CallbackRequest,
    RefundReport,
    RefundRequest,
    RefundState,
    TradeReport,
    TradeState,
)
from gateways.mock import MockGateway
from payments.models import (
    PaymentCallback,
    PaymentException,
    PaymentOrder,
    PaymentTransaction,
)
from payments.services.attempts import PayCommand, pay
from payments.services.callbacks import Incoming, callback_handle
from payments.services.endings import order_cancel
from payments.services.exceptions import exception_write_off_ask
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from refunds.models import Refund
from refunds.services.cases import case_write_off_decide
from refunds.services.numbers import gateway_refund_no
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.submission import refund_report_apply, refunds_sweep
from refunds.tasks import sweep
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

BEGUN_AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
ALL, SOME = Decimal("30.00"), Decimal("10.00")
OWNER = Actor(uuid.uuid4(), Role.PATIENT)
REVIEWER = Actor(uuid.uuid4(), Role.ADMIN)
PLATFORM = Actor(uuid.uuid4(), Role.SERVICE)
WANG = Actor(uuid.uuid4(), Role.STAFF, "王")


@dataclass
class Answers:
    """What the gateway answers to a refund and to a question about one, and how often asked."""

    refund: Callable[[RefundRequest], RefundReport]
    query: Callable[[RefundRequest], RefundReport]
    questions: int = 0


@contextmanager
def gateway_answers(answers: Answers) -> Iterator[None]:
    def query(_gateway: MockGateway, request: RefundRequest) -> RefundReport:
        answers.questions += 1
        return answers.query(request)

    with (
        patch.object(MockGateway, "refund", lambda _gateway, request: answers.refund(request)),
        patch.object(MockGateway, "query_refund", query),
    ):
        yield


@contextmanager
def ends_before_the_first_write(refund: Refund) -> Iterator[None]:
    """``refund`` fails after whoever works inside has read, and before anything is written."""
    ended: list[Refund] = []

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "next_check_at" in sql and not ended:
            ended.append(refund)
            Refund.objects.filter(id=refund.id).update(
                status="failed", next_check_at=None, short_since=None
            )
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield
    assert ended


def says(state: RefundState, **other: Any) -> Callable[[RefundRequest], RefundReport]:
    """An answer in which everything but ``other`` is ours."""

    def answer(request: RefundRequest) -> RefundReport:
        facts: dict[str, Any] = {
            "refund_id": f"G{request.out_refund_no}",
            "out_trade_no": request.out_trade_no,
            "transaction_id": request.transaction_id,
            "amount": SOME,
            "total_amount": ALL,
        } | other
        return RefundReport(request.out_refund_no, state, **facts)

    return answer


def says_nothing(request: RefundRequest) -> RefundReport:
    """There is no such refund; Alipay says so, too, when it is asked too early."""
    return RefundReport(request.out_refund_no, RefundState.NOT_FOUND)


def fails(error: Exception) -> Callable[[RefundRequest], RefundReport]:
    def answer(_request: RefundRequest) -> RefundReport:
        raise error

    return answer


FORBIDDEN = fails(
    GatewayRejected("no permission", code="NO_AUTH", reason=RejectReason.CONFIGURATION)
)
NO_ANSWER = fails(GatewayUnknown("timeout", code="TIMEOUT"))


@dataclass
class Gateway:
    """What it says to a refund and to a question; it counts the refunds that it is sent."""

    refund: Callable[[RefundRequest], RefundReport] = FORBIDDEN
    query: Callable[[RefundRequest], RefundReport] = says_nothing
    sendings: int = field(default=0)

    def sweep_at(self, *seconds: float) -> None:
        def counted(request):
            self.sendings += 1
            return self.refund(request)

        with gateway_answers(Answers(counted, self.query)):
            for second in seconds:
                with clock.frozen(BEGUN_AT + timedelta(seconds=second)):
                    sweep()


def write_off(case: PaymentException, *, is_confirmed: bool = True) -> None:
    """Money that staff say went back another way; WANG asks, REVIEWER confirms."""
    exception_write_off_ask(actor=WANG, exception_id=case.id, reason="已用余额调整还给用户")
    if is_confirmed:
        case_write_off_decide(
            actor=REVIEWER, exception_id=case.id, is_confirmed=True, notes="已核对"
        )


def started(method: str) -> PaymentTransaction:
    command = OrderCommand(user_id=OWNER.id, order_type="other", amount=ALL)
    order = order_create(actor=PLATFORM, command=command)
    pay(actor=OWNER, command=PayCommand(order_id=order.id, payment_method=method))
    return PaymentTransaction.objects.get(order=order)


def paid(method: str) -> PaymentTransaction:
    attempt = started(method)
    trade_report_apply(method=method, report=trade(attempt))
    return PaymentTransaction.objects.get(id=attempt.id)


def trade(attempt: PaymentTransaction, **other: Any) -> TradeReport:
    number = attempt.out_trade_no or ""
    facts: dict[str, Any] = {
        "transaction_id": f"T{number}",
        "amount": attempt.amount,
        "state": TradeState.PAID,
    }
    return TradeReport(number, **facts | other)


def paid_late(method: str) -> PaymentTransaction:
    attempt = started(method)
    order_cancel(actor=OWNER, order_id=attempt.order_id)
    trade_report_apply(method=method, report=trade(attempt))
    return PaymentTransaction.objects.get(id=attempt.id)


# --- a refund of ours in every state -------------------------------------------------------------


def pending(payment: PaymentTransaction) -> Refund:
    return refund_request(actor=OWNER, order_id=payment.order_id, amount=SOME, reason="退号")


def reviewed(payment: PaymentTransaction, *, is_approved: bool) -> Refund:
    refund = pending(payment)
    refund_review(actor=REVIEWER, refund_id=refund.id, is_approved=is_approved, notes="x")
    return refund


def unsent(payment: PaymentTransaction) -> Refund:
    return reviewed(payment, is_approved=True)


def sent(payment: PaymentTransaction) -> Refund:
    return _swept(payment, Answers(says(RefundState.PROCESSING), says(RefundState.PROCESSING)))


def done(payment: PaymentTransaction) -> Refund:
    return _swept(payment, Answers(says(RefundState.SUCCESS), says(RefundState.SUCCESS)))


def failed(payment: PaymentTransaction) -> Refund:
    refusal = GatewayRejected("no", code="TRADE_ERROR", reason=RejectReason.OTHER)
    refund = _swept(payment, Answers(fails(refusal), says_nothing), times=3)
    assert refund.status == "failed"
    return refund


def _swept(payment: PaymentTransaction, answers: Answers, times: int = 1) -> Refund:
    refund = unsent(payment)
    with gateway_answers(answers):
        for minutes in range(times):
            with clock.frozen(clock.now() + timedelta(minutes=5 * minutes)):
                refunds_sweep()
    refund.refresh_from_db()
    return refund


def closed(payment: PaymentTransaction) -> Refund:
    """Closed by the gateway: sent again, it would go by another number."""
    refund = sent(payment)
    report = RefundReport(refund.refund_no, RefundState.CLOSED, amount=SOME)
    refund_report_apply(refund_id=refund.id, report=report)
    refund.refresh_from_db()
    assert gateway_refund_no(refund) == f"{refund.refund_no}R2"
    return refund


def rejected(payment: PaymentTransaction) -> Refund:
    return reviewed(payment, is_approved=False)


def withdrawn(payment: PaymentTransaction) -> Refund:
    refund = pending(payment)
    refund_withdraw(actor=OWNER, refund_id=refund.id)
    return refund


# --- a notice ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """Every row about money, to be compared with a later look."""

    rows: list[Any] = field(default_factory=lambda: _money_rows())


def _money_rows() -> list[Any]:
    models = (PaymentOrder, PaymentTransaction, Refund)
    return [list(model.objects.order_by("pk").values()) for model in models]


def noticed(
    payment: PaymentTransaction, out_refund_no: str, state: RefundState, **other: Any
) -> PaymentCallback:
    """A verified notice as this payment's gateway sends it; ``other`` is what differs."""
    is_alipay = payment.payment_method == "alipay"
    facts: dict[str, Any] = {
        "refund_id": "" if is_alipay else f"G{out_refund_no}",
        "out_trade_no": payment.out_trade_no or "",
        "transaction_id": payment.trade_no or f"T{payment.out_trade_no}",
        "amount": None if is_alipay else SOME,
        "total_amount": ALL,
        "refunded_total": SOME if is_alipay else None,
    } | other
    report = RefundReport(out_refund_no, state, **facts)
    request = CallbackRequest({}, uuid.uuid4().bytes, "application/json", clock.now())
    return callback_handle(
        incoming=Incoming(payment.payment_method, request),
        notice=CallbackNotice("", "REFUND", refund=report),
        is_mock=False,
    )
