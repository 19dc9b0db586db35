"""Going on with a refund under its number: sending a failed one again, asking about one now."""

from uuid import UUID

from refunds.errors import RefundGivenBack, RefundNotRetryable
from refunds.models import Refund
from refunds.services.approvals import ensure_approved_for_retry
from refunds.services.give_back import give_back_hold
from refunds.services.own_cases import given_back_since, left_reserve
from refunds.services.states import refund_change, refund_lock, refund_transition
from refunds.services.submission import refund_send_to_gateway
from refunds.states import RefundStatus
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit


def refund_retry(*, actor: Actor, refund_id: UUID, reason: str) -> Refund:
    """Go on with a failed refund under the same number (a suffix only after CLOSED).

    What was sent before is asked about first, and sent again only where the gateway knows nothing
    of it.
    Raises RefundNotFound, RefundGivenBack, RefundNotRetryable, RefundExceedsPaid, SelfReview,
    RetryNeedsSecondPerson, InsufficientBalance, BalanceUnderReview.
    """
    refund = _back_to_processing(actor, refund_id, reason)
    refund_send_to_gateway(refund_id)
    return refund


@money_unit
def _back_to_processing(actor: Actor, refund_id: UUID, reason: str) -> Refund:
    return refund_resume(actor=actor, refund_id=refund_id, reason=reason)


def refund_resume(*, actor: Actor, refund_id: UUID, reason: str) -> Refund:
    """``refund_retry`` inside the caller's unit: whoever calls rings the worker afterwards."""
    locked = refund_lock(refund_id)
    _order, payment, refund = locked
    if given_back_since(refund) is not None:
        raise RefundGivenBack()
    if refund.status != RefundStatus.FAILED:
        raise RefundNotRetryable(status=refund.status)
    left_reserve(payment, refund.refund_amount)
    ensure_approved_for_retry(actor, payment, refund, reason)
    give_back_hold(locked, actor)
    refund_transition(
        refund,
        RefundStatus.PROCESSING,
        actor=actor,
        action="refund_retried",
        reason=reason,
        next_check_at=clock.now(),
        submissions=0,
        error_code="",
        error_message="",
        stop_asked_by=None,
        stopped_by=None,
        stop_reason="",
    )
    return refund


def refund_ask_again(*, actor: Actor, refund_id: UUID, reason: str) -> Refund:
    """Ask about a processing refund now, under its number.

    Raises RefundNotFound, RefundNotRetryable.
    """
    refund = _due_now(actor, refund_id, reason)
    refund_send_to_gateway(refund_id)
    return refund


@money_unit
def _due_now(actor: Actor, refund_id: UUID, reason: str) -> Refund:
    _order, _payment, refund = refund_lock(refund_id)
    if refund.status != RefundStatus.PROCESSING:
        raise RefundNotRetryable(status=refund.status)
    cause = Cause(actor=actor, action="refund_asked_again", reason=reason)
    refund_change(refund, cause, next_check_at=clock.now())
    return refund
