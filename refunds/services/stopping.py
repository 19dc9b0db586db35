"""Sending a refund no more: for one that its gateway lastingly refuses (or never answers).

That alone ends nothing and frees no money: another sending may have arrived. The refund is asked
about as before, and ends as failed once the gateway says that it knows no such refund, asked after
its own delay (``submission._take_not_found``). A gateway that can't be asked leaves it as it is.
"""

from uuid import UUID

from refunds.errors import RefundNotStoppable, SelfReview, StopNeedsSecondPerson
from refunds.models import Refund
from refunds.services.approvals import is_for_two
from refunds.services.states import refund_change, refund_lock
from refunds.services.submission import refund_send_to_gateway
from refunds.states import RefundStatus
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.second_person import ensure_not_one_of, ensure_somebody_else


def refund_stop(*, actor: Actor, refund_id: UUID, reason: str) -> Refund:
    """Send a refund no more, or ask a second person to agree (then ``stopped_by`` stays empty).

    Raises RefundNotFound, RefundNotStoppable, SelfReview: the money would go to ``actor``.
    StopNeedsSecondPerson: ``actor`` asked for it, and somebody else has to agree.
    """
    refund = _stop(actor, refund_id, reason)
    if refund.stopped_by is not None:
        refund_send_to_gateway(refund_id)  # it is due: asked about now, and never sent
    return refund


@money_unit
def _stop(actor: Actor, refund_id: UUID, reason: str) -> Refund:
    _order, payment, refund = refund_lock(refund_id)
    if not is_stoppable(refund):
        raise RefundNotStoppable()
    ensure_somebody_else(actor, refund.user_id, error=SelfReview)
    two = is_for_two(payment, refund)
    asked_by = refund.stop_asked_by if two else None
    ensure_not_one_of(actor, asked_by, error=StopNeedsSecondPerson)
    if two and asked_by is None:
        cause = Cause(actor=actor, action="refund_stop_asked", reason=reason)
        refund_change(refund, cause, stop_asked_by=actor.id)
        return refund
    # It goes again no more, whatever was said of a retry.
    waits_no_more = {"short_since": None, "error_code": "", "error_message": ""}
    refund_change(
        refund,
        Cause(actor=actor, action="refund_stopped", reason=reason),
        **(waits_no_more if refund.short_since is not None else {}),
        stop_asked_by=asked_by,
        stopped_by=actor.id,
        stop_reason=reason[:500],
        submissions=0,
        next_check_at=clock.now(),
    )
    return refund


def is_stoppable(refund: Refund) -> bool:
    """Whether sending it may be stopped: what the gateway has taken on goes its way."""
    is_taken_on = refund.external_refund_id is not None
    return refund.status == RefundStatus.PROCESSING and not is_taken_on and not refund.stopped_by
