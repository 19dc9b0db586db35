"""Asking a gateway about the money of a case, and applying it where the answer proves it."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError
from django.utils.translation import gettext as _

from gateways.errors import GatewayError
from gateways.interface import TradeReport, TradeState
from payments.channels import Channel, channel_for_new_attempt
from payments.errors import (
    ActionNotOffered,
    ExceptionClosed,
    GatewayDown,
    NotConfirmedByGateway,
    OrderDoesNotFit,
    OrderNotFound,
)
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import attempt_check
from payments.services.exceptions import (
    ensure_not_own_order,
    exception_begin,
    exception_end,
    exception_refusal_note,
)
from payments.services.exchanges import Question, answer_keep
from payments.services.orders import order_lock
from payments.services.settlement import settle
from payments.states import (
    ExceptionAction,
    ExceptionKind,
    ExceptionOutcome,
    ExchangeKind,
    OrderStatus,
    TransactionStatus,
    TransactionType,
    Verdict,
)
from tcmpay.audit.transitions import Cause, row_insert
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import DomainError
from tcmpay.common.ids import new_number

# What of an attempt answers each kind of case.
ANSWERED_BY = {
    ExceptionKind.WRONG_AMOUNT: frozenset({TransactionStatus.SUCCESS}),
    ExceptionKind.STUCK_PAYMENT: frozenset({TransactionStatus.SUCCESS, TransactionStatus.FAILED}),
}


def exception_query(*, actor: Actor, exception_id: UUID, reason: str) -> PaymentException:
    """Ask the gateway about the case's attempt now and apply what it proves; return the case.

    The case ends when the answer settles it, and stays open otherwise.
    Raises what exception_begin raises, and GatewayDown.
    """
    case = exception_begin(
        actor=actor, exception_id=exception_id, action=ExceptionAction.QUERY, reason=reason
    )
    if case.transaction_id is None:
        raise ActionNotOffered()
    try:
        attempt_check(case.transaction_id)
    except GatewayError as error:
        raise GatewayDown() from error
    return _end_if_answered(case.id, case.transaction_id, actor)


@money_unit
def _end_if_answered(exception_id: UUID, attempt_id: UUID, actor: Actor) -> PaymentException:
    case, attempt = _lock_case_of(exception_id, attempt_id)
    answers = ANSWERED_BY.get(ExceptionKind(case.kind), frozenset())
    if case.closed_at is None and attempt.status in answers:
        text = _("网关查询已有结果：%(state)s") % {"state": attempt.get_status_display()}
        exception_end(case, actor, text, ExceptionOutcome.MATCHED)
    return case


def _lock_case_of(
    exception_id: UUID, attempt_id: UUID
) -> tuple[PaymentException, PaymentTransaction]:
    """The case after its order, as everywhere: order, attempt, case."""
    order_lock(PaymentTransaction.objects.values_list("order_id", flat=True).get(id=attempt_id))
    attempt = PaymentTransaction.objects.select_for_update().get(id=attempt_id)
    return PaymentException.objects.select_for_update().get(id=exception_id), attempt


def exception_match(
    *, actor: Actor, exception_id: UUID, order_no: str, reason: str
) -> PaymentException:
    """Give money of an unknown number to a pending order, when the gateway confirms both.

    The gateway is asked under the case's number. Only a verified answer "paid", with the same
    number, trade and amount as the case and the order's amount, applies the money. What was
    refused is in the case's trail, with the order that was named.

    Raises:
        What exception_begin raises; OwnCase: also where the named order is one's own, or made by
            oneself; OrderNotFound; OrderDoesNotFit: not pending, other amount.
        NotConfirmedByGateway: not paid, or another trade or amount. GatewayDown.
    """
    order = PaymentOrder.objects.filter(order_no=order_no.strip().upper()).first()
    if order is None:
        raise OrderNotFound()
    ensure_not_own_order(actor, order)
    case = exception_begin(
        actor=actor,
        exception_id=exception_id,
        action=ExceptionAction.MATCH,
        reason=reason,
        order=order.order_no,
    )
    try:
        return _match(actor, case, order, reason)
    except DomainError as refusal:
        text = _("没有匹配到订单 %(number)s：%(reason)s")
        exception_refusal_note(
            actor=actor,
            exception_id=case.id,
            action=ExceptionAction.MATCH,
            text=text % {"number": order.order_no, "reason": refusal.text},
            order=order.order_no,
            code=refusal.code,
        )
        raise


def _match(
    actor: Actor, case: PaymentException, order: PaymentOrder, reason: str
) -> PaymentException:
    if order.status != OrderStatus.PENDING or order.amount != case.amount:
        raise OrderDoesNotFit(status=order.status)
    channel = channel_for_new_attempt(case.payment_method)
    asked_at = clock.now()
    try:
        report = channel.gateway.query_payment(case.out_trade_no)
    except GatewayError as error:
        raise GatewayDown() from error
    _ensure_confirmed(report, case)
    return _apply(actor, case.id, order.id, channel, report, asked_at, reason)


def _ensure_confirmed(report: TradeReport, case: PaymentException) -> None:
    is_confirmed = (
        report.state is TradeState.PAID
        and report.out_trade_no == case.out_trade_no
        and report.transaction_id == case.external_transaction_id
        and report.amount == case.amount
    )
    if not is_confirmed:
        raise NotConfirmedByGateway(state=report.state)


@money_unit
def _apply(
    actor: Actor,
    exception_id: UUID,
    order_id: UUID,
    channel: Channel,
    report: TradeReport,
    asked_at: datetime,
    reason: str,
) -> PaymentException:
    order = order_lock(order_id)
    is_known = PaymentTransaction.objects.filter(
        payment_method=channel.gateway.method,
        out_trade_no=report.out_trade_no,
        transaction_type=TransactionType.PAYMENT,
    ).exists()
    if is_known:
        raise ActionNotOffered()
    attempt = _insert_attempt(actor, order, channel, report, reason)
    settlement = settle(
        method=attempt.payment_method, report=report, is_mock=channel.gateway.is_mock
    )
    case = PaymentException.objects.select_for_update().get(id=exception_id)
    if case.closed_at is not None:
        raise ExceptionClosed(closed_by=case.closed_by)
    # Under the order's lock: it was pending and the money was applied, or nothing is written.
    if settlement.verdict is not Verdict.APPLIED:
        raise OrderDoesNotFit(verdict=settlement.verdict)
    columns_write(case, order=order, transaction=attempt)
    # A bill's case has no notice: this answer is what the booking rests on.
    answer_keep(Question(ExchangeKind.QUERY, attempt), report, asked_at=asked_at)
    text = _("已匹配到订单 %(number)s：%(reason)s") % {"number": order.order_no, "reason": reason}
    exception_end(case, actor, text, ExceptionOutcome.MATCHED)
    return case


def _insert_attempt(
    actor: Actor, order: PaymentOrder, channel: Channel, report: TradeReport, reason: str
) -> PaymentTransaction:
    """The attempt that the money belongs to, as if we had begun it: pending, then settled."""
    now = clock.now()
    attempt = PaymentTransaction(
        transaction_no=new_number("TXN", now),
        order=order,
        payment_method=channel.gateway.method,
        amount=order.amount,
        out_trade_no=report.out_trade_no,
        is_mock=channel.gateway.is_mock,
        config_version_id=channel.config_version_id,
        initiated_at=now,
        gateway_expires_at=order.expire_time,
        next_check_at=now,
    )
    details = {"out_trade_no": report.out_trade_no}
    cause = Cause(actor=actor, action="payment_matched", reason=reason, details=details)
    try:
        row_insert(attempt, cause)
    except IntegrityError as error:
        # Matched to another order at the same moment: the unit is rolled back as a whole.
        raise ActionNotOffered() from error
    return attempt
