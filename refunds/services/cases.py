"""What staff do about the refunds behind a case of the exceptions desk."""

from uuid import UUID

from payments.errors import ActionNotOffered
from payments.given_back import REFUND_KINDS
from payments.models import PaymentException
from payments.services.exceptions import exception_begin, write_off_decide
from payments.states import EXCEPTION_ACTIONS, ExceptionAction
from refunds.errors import RefundNotFound
from refunds.models import Refund
from refunds.services.give_back import give_back_write_off
from refunds.services.retries import refund_ask_again, refund_retry
from refunds.services.states import refund_lock
from refunds.services.surplus import surplus_return
from refunds.states import SURPLUS_CAUSES, RefundStatus
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.fields import as_uuid_or_text


def case_refund(case: PaymentException) -> Refund | None:
    """The refund that the case is about, or that already gives its surplus money back."""
    if ExceptionAction.REFUND in EXCEPTION_ACTIONS.get(case.kind, ()):
        surplus = Refund.objects.filter(
            transaction_id=case.transaction_id, cause__in=SURPLUS_CAUSES
        )
        return surplus.order_by("-created_at").first()
    return Refund.objects.filter(id=as_uuid_or_text(case.subject)).first()


def case_give_back(*, actor: Actor, exception_id: UUID, reason: str) -> Refund:
    """Give the case's surplus money back to the payer; the case ends when the money is there.

    A refund of it that failed before is sent again with its number.
    Raises what exception_begin and surplus_return raise.
    """
    case = exception_begin(
        actor=actor, exception_id=exception_id, action=ExceptionAction.REFUND, reason=reason
    )
    if case.transaction_id is None:
        raise ActionNotOffered()
    failed = case_refund(case)
    if failed is not None and failed.status == RefundStatus.FAILED:
        return refund_retry(actor=actor, refund_id=failed.id, reason=reason)
    return surplus_return(actor=actor, transaction_id=case.transaction_id, reason=reason)


def case_retry(*, actor: Actor, exception_id: UUID, reason: str) -> Refund:
    """Send the case's failed refund again, or ask about one that has no result: same number.

    Raises what exception_begin and refund_retry raise, and RefundNotFound.
    """
    case = exception_begin(
        actor=actor, exception_id=exception_id, action=ExceptionAction.RETRY, reason=reason
    )
    refund = case_refund(case)
    if refund is None:
        raise RefundNotFound()
    if refund.status == RefundStatus.FAILED:
        return refund_retry(actor=actor, refund_id=refund.id, reason=reason)
    return refund_ask_again(actor=actor, refund_id=refund.id, reason=reason)


@money_unit
def case_write_off_decide(
    *, actor: Actor, exception_id: UUID, is_confirmed: bool, notes: str
) -> PaymentException:
    """The second person's word about a write-off that somebody asked for.

    Confirmed, a case of a top-up's refund says that its money is with the payer by another way, so
    that it leaves the balance in the same unit.
    Raises what write_off_decide raises. WriteOffBeyondBalance: less is available than went back
    another way. BalanceUnderReview.
    """
    case = PaymentException.objects.filter(id=exception_id, kind__in=REFUND_KINDS).first()
    refund = case_refund(case) if case is not None else None
    locked = refund_lock(refund.id) if refund is not None else None
    decided = write_off_decide(
        actor=actor, exception_id=exception_id, is_confirmed=is_confirmed, notes=notes
    )
    if locked is not None and is_confirmed:
        give_back_write_off(locked, actor)
    return decided
