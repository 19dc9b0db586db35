"""Whose yes a refund has, and how many more it needs: looked at again at every sending.

All refunds of one payment count together, whatever their order: otherwise a large one could be
split, or a failed one sent again beside another, on one person's word.
"""

from uuid import UUID

from django.conf import settings

from payments.models import PaymentTransaction
from refunds.errors import (
    ApprovedByYouAlready,
    ApprovedMeanwhile,
    RefundAlreadyReviewed,
    RetryNeedsSecondPerson,
    SelfReview,
)
from refunds.models import Refund, RefundApproval
from refunds.states import AUTOMATIC_CAUSES
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.money import Money
from tcmpay.common.second_person import ensure_not_one_of, is_somebody_else


def approvals_needed(reserved: Money) -> int:
    """How many people have to approve a refund while a payment's refunds are ``reserved`` (yuan):
    pending, processing and done ones together."""
    threshold = settings.REFUND_SECOND_APPROVAL_OVER
    return 2 if threshold is not None and reserved > threshold else 1


def approvals_asked(refund: Refund) -> int:
    """How many people have to approve a pending refund altogether, as it was told."""
    return refund.approvals_needed + len(_approvers(refund))


def approvals_left(refund: Refund, reserved: Money, given: int) -> int:
    """How many more people have to approve a pending refund that ``given`` have approved.

    Not fewer than it was told when it was asked for, and more where the payment's refunds have
    grown since.
    """
    return max(refund.approvals_needed, approvals_needed(reserved) - given)


def ensure_may_decide(actor: Actor, refund: Refund) -> None:
    """Raises RefundAlreadyReviewed. SelfReview: one's own request, money to oneself, or nobody
    known."""
    refund.ensure_may_answer(actor, refund.user_id, decided=RefundAlreadyReviewed, own=SelfReview)


def approval_add(
    actor: Actor,
    payment: PaymentTransaction,
    refund: Refund,
    notes: str,
    approvals_seen: int | None = None,
) -> int:
    """Count this person's yes to a locked, pending refund; returns how many are missing still.

    ``approvals_seen``: who was told "one more person after you" must not send the money as the
    last one. Raises ApprovedByYouAlready, ApprovedMeanwhile.
    """
    earlier = _approvers(refund)
    ensure_not_one_of(actor, *earlier, error=ApprovedByYouAlready)
    if approvals_seen is not None and len(earlier) != approvals_seen:
        raise ApprovedMeanwhile(by=earlier[-1] if earlier else None)
    left = approvals_left(refund, payment.refund_reserved, len(earlier)) - 1
    _insert(actor, refund, notes)
    return max(left, 0)


def ensure_approved_for_retry(
    actor: Actor, payment: PaymentTransaction, refund: Refund, reason: str
) -> None:
    """Whoever sends a failed refund again says yes to it, where the refunds of its payment have
    grown beyond what its approvals are good for; its amount is reserved again already.

    Raises SelfReview: the money would go to ``actor``. RetryNeedsSecondPerson.
    """
    ensure_not_one_of(actor, refund.user_id, error=SelfReview)
    if refund.cause in AUTOMATIC_CAUSES:
        return
    approvers = _approvers(refund)
    missing = approvals_needed(payment.refund_reserved) - len(approvers)
    if missing <= 0:
        return
    if missing > 1 or not is_somebody_else(actor, refund.requested_by, *approvers):
        raise RetryNeedsSecondPerson()
    _insert(actor, refund, reason)


def is_for_two(payment: PaymentTransaction, refund: Refund) -> bool:
    """Whether two people have to agree about a refund that is on its way: two have approved it, or
    would have to by now."""
    if refund.cause in AUTOMATIC_CAUSES:
        return False
    return approvals_needed(payment.refund_reserved) > 1 or len(_approvers(refund)) > 1


def _approvers(refund: Refund) -> list[UUID]:
    approvals = RefundApproval.objects.filter(refund=refund).order_by("created_at")
    return list(approvals.values_list("reviewer_id", flat=True))


def _insert(actor: Actor, refund: Refund, notes: str) -> None:
    approval = RefundApproval(
        refund=refund, reviewer_id=actor.id, notes=notes[:500], created_at=clock.now()
    )
    approval.save(force_insert=True)
