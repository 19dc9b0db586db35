"""The cases about one refund: opened, settled, and what writing one off means for its money."""

from django.utils.translation import gettext as _

from payments.models import PaymentTransaction
from payments.services.exceptions import exception_open, exception_settle, is_written_off
from payments.states import ExceptionKind
from refunds.models import Refund
from tcmpay.common.actor import Actor


def refund_case_open(
    kind: ExceptionKind,
    refund: Refund,
    payment: PaymentTransaction,
    reason: str,
    actor: Actor | None = None,
) -> bool:
    """Tell staff of the locked refund; whether they did not know. Inside the caller's unit."""
    return exception_open(
        kind,
        method=payment.payment_method,
        fact=str(refund.id),
        attempt=payment,
        out_trade_no=payment.out_trade_no or "",
        external_transaction_id=payment.trade_no or "",
        amount=refund.refund_amount,
        reason=f"{refund.refund_no}: {reason}",
        actor=actor,
    )


def refund_cases_settle(refund: Refund, payment: PaymentTransaction, actor: Actor) -> None:
    """Cases that the refund's success answers close themselves; inside the caller's unit."""
    exception_settle(
        (ExceptionKind.REFUND_ABNORMAL, refund.id),
        (ExceptionKind.REFUND_REFUSED, refund.id),
        (ExceptionKind.STUCK_REFUND, refund.id),
        (ExceptionKind.STOPPED_REFUND, refund.id),
        (ExceptionKind.LATE_PAYMENT, payment.id),
        (ExceptionKind.SECOND_PAYMENT, payment.id),
        method=payment.payment_method,
        resolution=_("已原路退回 %(number)s") % {"number": refund.refund_no},
        actor=actor,
    )


def is_given_back_otherwise(refund: Refund, payment: PaymentTransaction) -> bool:
    """Whether staff say, or ask a second person to confirm, that the money of a stopped refund
    need not go back by it any more: by then it may be with the payer by another way."""
    return is_written_off(ExceptionKind.STOPPED_REFUND, attempt=payment, fact=str(refund.id))
