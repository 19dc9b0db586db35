"""The cases about one refund: opened, settled, and what writing one off means for its money."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Sum
from django.utils.translation import gettext as _

from payments.given_back import given_back_otherwise
from payments.models import PaymentTransaction
from payments.services.exceptions import (
    exception_open,
    exception_settle,
    locked_first,
)
from payments.services.refund_money import RefundExceedsPayment, refund_reserve
from payments.states import ExceptionKind
from refunds.errors import MoneyGivenBack, RefundExceedsPaid
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.actor import Actor
from tcmpay.common.money import ZERO, Money


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


def given_back_since(refund: Refund) -> datetime | None:
    """Since when there is such a case; it stays so until the end of the caller's unit."""
    case = locked_first(given_back_otherwise(refund.id, refund.transaction_id))
    return case.write_off_at if case is not None else None


def is_handled_otherwise() -> Exists:
    """The condition for refunds of which there is such a case."""
    return Exists(given_back_otherwise(OuterRef("pk"), OuterRef("transaction_id")))


def given_back_amounts(payments: Iterable[UUID]) -> Mapping[UUID, Money]:
    """What (yuan) of these payments went back by another way, for failed refunds that hold nothing
    of them any more; payments without such money are not in it."""
    failed = Refund.objects.filter(
        is_handled_otherwise(), transaction_id__in=list(payments), status=RefundStatus.FAILED
    )
    sums = failed.order_by().values("transaction_id").annotate(amount=Sum("refund_amount"))
    return dict(sums.values_list("transaction_id", "amount"))


def given_back_amount(payment: PaymentTransaction) -> Money:
    return given_back_amounts([payment.id]).get(payment.id, ZERO)


def left_of(payment: PaymentTransaction) -> Money:
    """What (yuan) of the payment may be asked back: refunds hold it not, nor did it go back by
    another way."""
    return max(payment.amount - payment.refund_reserved - given_back_amount(payment), ZERO)


def ensure_not_given_back(payment: PaymentTransaction) -> None:
    """Raises MoneyGivenBack: refunds hold of the locked payment what went back by another way since
    they were asked for."""
    available = payment.amount - given_back_amount(payment)
    if payment.refund_reserved > available:
        raise MoneyGivenBack(available=max(available, ZERO))


def left_reserve(payment: PaymentTransaction, amount: Money) -> None:
    """Hold ``amount`` (yuan) of what is left of the locked payment, for a refund that people ask
    for. Raises RefundExceedsPaid; MoneyGivenBack: it would be within what went back another way.
    """
    available = left_of(payment)
    if available < amount <= payment.amount - payment.refund_reserved:
        raise MoneyGivenBack(available=available)
    try:
        refund_reserve(payment, amount)
    except RefundExceedsPayment as error:
        raise RefundExceedsPaid(available=available) from error


def is_to_retry() -> Q:
    """The condition for failed refunds that may be sent again."""
    return Q(~is_handled_otherwise(), status=RefundStatus.FAILED)


def is_retryable(refund: Refund) -> bool:
    """Whether it may be sent again, as it stands now."""
    return Refund.objects.filter(is_to_retry(), id=refund.id).exists()
