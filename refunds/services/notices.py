"""Refund notices of the gateways: of our refunds, and of refunds made in the merchant console."""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from gateways.errors import GatewayError
from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.booking import booking_of
from payments.channels import refund_channel_of
from payments.models import PaymentCallback, PaymentTransaction
from payments.services.attempts import attempt_check
from payments.services.callbacks import refund_notice_taken, refund_notices_waiting
from payments.services.exceptions import exception_open
from payments.services.orders import order_lock
from payments.services.refund_money import (
    RefundExceedsPayment,
    payment_lock,
    refund_reserve,
    refund_transaction_begin,
)
from payments.states import ExceptionKind, TransactionStatus, TransactionType
from refunds.models import Refund
from refunds.selectors import refunded_total
from refunds.services.requests import refund_insert
from refunds.services.states import refund_transition
from refunds.services.submission import refund_finish, refund_report_apply
from refunds.states import RefundCause, RefundStatus
from tcmpay.common.actor import gateway_actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

BATCH = 200
# The number that we gave the gateway: the refund's own, and from the second generation a suffix.
_OUR_NUMBER = re.compile(r"(?P<refund_no>RFD[0-9A-Z]{24})(?:R(?P<generation>[0-9]+))?", re.ASCII)


def notices_take() -> int:
    """Apply every waiting refund notice, oldest first; returns how many were taken."""
    taken = 0
    waiting: set[tuple[str, str]] = set()
    for callback in refund_notices_waiting()[:BATCH]:
        told = (callback.payment_method, (callback.refund_notice or {}).get("out_refund_no", ""))
        try:
            # Told again while the first one waits for room: one of them is enough.
            is_taken = told in waiting or _take(callback)
        except GatewayError as error:
            # Stays waiting: the next sweep asks again.
            logger.warning("refund_notice_waits", extra={"error": str(error)})
        except Exception:
            # One broken notice must not hold up the others; its row stays waiting.
            logger.exception("refund_notice_failed", extra={"callback": str(callback.id)})
        else:
            if is_taken:
                refund_notice_taken(callback.id)
                taken += 1
            else:
                waiting.add(told)
    return taken


def _take(callback: PaymentCallback) -> bool:
    """Apply one notice; False when it has to wait for room in its payment."""
    report = _report(callback.refund_notice or {})
    refund = _our_refund(report.out_refund_no)
    if refund is not None:
        refund_report_apply(refund_id=refund.id, report=report)
        return True
    payment = PaymentTransaction.objects.filter(
        payment_method=callback.payment_method,
        out_trade_no=report.out_trade_no,
        transaction_type=TransactionType.PAYMENT,
    ).first()
    if payment is None or report.state is not RefundState.SUCCESS:
        return True
    return _outside_refund(payment, report)


def _report(notice: Mapping[str, Any]) -> RefundReport:
    amount, completed_at = notice.get("amount"), notice.get("completed_at")
    return RefundReport(
        out_refund_no=notice.get("out_refund_no", ""),
        state=RefundState(notice.get("state", RefundState.NOT_FOUND)),
        refund_id=notice.get("refund_id", ""),
        out_trade_no=notice.get("out_trade_no", ""),
        transaction_id=notice.get("transaction_id", ""),
        amount=Decimal(amount) if amount else None,
        completed_at=datetime.fromisoformat(completed_at) if completed_at else None,
        raw=dict(notice),
    )


def _our_refund(out_refund_no: str) -> Refund | None:
    """The refund that the number belongs to, if it is the number that it goes by now.

    A notice about an earlier, closed generation says nothing about the running one.
    """
    match = _OUR_NUMBER.fullmatch(out_refund_no)
    if match is None:
        return None
    refund = Refund.objects.filter(refund_no=match["refund_no"]).first()
    if refund is None or refund.number_generation != int(match["generation"] or 1):
        return None
    return refund


def _outside_refund(payment: PaymentTransaction, report: RefundReport) -> bool:
    """Record a refund that staff made in the merchant console, so that we can't give it again.

    False when it has to wait for room in the payment.
    """
    if payment.status != TransactionStatus.SUCCESS:
        attempt_check(payment.id)  # the refund's notice overtook the payment's
    amount = report.amount or _asked_amount(payment, report)
    if amount is None:
        return True
    return _record_outside(payment.id, payment.order_id, report, amount)


def _asked_amount(payment: PaymentTransaction, report: RefundReport) -> Money | None:
    """Alipay's notices tell only the running total: the refund itself is asked for."""
    asked = refund_channel_of(payment).query_refund(
        RefundRequest(
            out_trade_no=payment.out_trade_no or "",
            transaction_id=payment.trade_no or "",
            out_refund_no=report.out_refund_no,
            refund_amount=payment.amount,
            total_amount=payment.amount,
            reason="",
        )
    )
    return asked.amount


@money_unit
def _record_outside(
    transaction_id: UUID, order_id: UUID, report: RefundReport, amount: Money
) -> bool:
    order = order_lock(order_id)
    payment = payment_lock(transaction_id)
    actor = gateway_actor(payment.payment_method)
    if _is_recorded(payment, report):
        return True
    exception_open(
        ExceptionKind.OUTSIDE_REFUND,
        method=payment.payment_method,
        fact=f"{payment.out_trade_no}:{report.out_refund_no}",
        attempt=payment,
        out_trade_no=payment.out_trade_no or "",
        external_transaction_id=payment.trade_no or "",
        amount=amount,
        reason=_("商户平台退款 %(number)s") % {"number": report.out_refund_no[:64]},
    )
    try:
        refund_reserve(payment, amount)
    except RefundExceedsPayment:
        # A request of ours holds what went back already: the gateway will refuse that one, or
        # staff decide about it, and then there is room. What went back beyond the payment itself
        # never finds any: the open case is all that can be said.
        return refunded_total(payment.id) + amount > payment.amount
    refund = refund_insert(
        order=order,
        payment=payment,
        amount=amount,
        reason=_("商户平台直接退款"),
        cause=RefundCause.OUTSIDE,
        actor=actor,
    )
    refund_transition(
        refund,
        RefundStatus.PROCESSING,
        actor=actor,
        action="refund_outside",
        approvals_needed=0,
    )
    refund_transaction_begin(payment=payment, refund_id=refund.id, amount=amount, actor=actor)
    refund_finish(
        refund,
        payment,
        booking_of(order, report.completed_at),
        actor=actor,
        external_id=report.refund_id,
        response=dict(report.raw),
    )
    return True


def _is_recorded(payment: PaymentTransaction, report: RefundReport) -> bool:
    """Whether this console refund is among the locked payment's refunds already."""
    known = Refund.objects.filter(transaction=payment, cause=RefundCause.OUTSIDE)
    return any(
        (refund.refund_response or {}).get("out_refund_no") == report.out_refund_no
        for refund in known
    )
