"""Asking a gateway how a refund stands, and booking what it proves; nothing is sent."""

from dataclasses import replace
from uuid import UUID

from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.channels import refund_channel_of
from payments.models import PaymentTransaction
from payments.services.exchanges import Question, ask
from payments.states import ExchangeKind
from refunds.models import Refund
from refunds.services.agreement import disagreement
from refunds.services.numbers import gateway_refund_no
from refunds.services.outside import outside_refund, outside_refund_record
from refunds.services.submission import refund_report_apply


def refund_asked(
    payment: PaymentTransaction, out_refund_no: str, refund_id: UUID | None = None
) -> RefundReport:
    """What the gateway answers about a refund of ``payment`` now. Raises GatewayError."""
    request = RefundRequest(
        out_trade_no=payment.out_trade_no or "",
        transaction_id=payment.trade_no or "",
        out_refund_no=out_refund_no,
        refund_amount=payment.amount,
        total_amount=payment.amount,
        reason="",
    )
    return ask(
        Question(ExchangeKind.QUERY_REFUND, payment, refund_id),
        lambda: refund_channel_of(payment).query_refund(request),
    )


def refund_check(*, refund_id: UUID, out_refund_no: str = "") -> RefundState:
    """Ask about a refund of ours, by the number it goes by or a former one, and apply the answer.

    Raises GatewayError.
    """
    refund = Refund.objects.select_related("transaction").get(id=refund_id)
    number = out_refund_no or gateway_refund_no(refund)
    report = refund_asked(refund.transaction, number, refund.id)
    if report.state is not RefundState.NOT_FOUND:
        refund_report_apply(refund_id=refund_id, report=report)
    return report.state


def outside_refund_check(*, payment: PaymentTransaction, out_refund_no: str) -> RefundState:
    """Ask about a refund that was made in the merchant console, and record it where it is done.

    Raises GatewayError.
    """
    report = refund_asked(payment, out_refund_no)
    is_fitting = not disagreement(report, payment, outside_refund(payment, report))
    if report.state is RefundState.SUCCESS and report.amount is not None and is_fitting:
        # As a notice would have told it, with the number that it is known by again.
        told = {**report.raw, "out_refund_no": report.out_refund_no}
        outside_refund_record(payment, replace(report, raw=told), report.amount)
    return report.state
