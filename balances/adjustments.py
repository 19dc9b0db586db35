"""Corrections of a balance by hand, by two people. Nothing else writes their table.

An adjustment is locked before the account, as a refund is. Executed, it has exactly one ledger
entry: the entry's fact is the adjustment, and a fact moves money once.
"""

from uuid import UUID

from django.utils.translation import gettext as _

from balances.errors import (
    AdjustmentDecided,
    AdjustmentExists,
    AdjustmentNotFound,
    OwnAdjustment,
    OwnBalance,
)
from balances.models import (
    AdjustmentStatus,
    BalanceAdjustment,
    BalanceTransaction,
    Direction,
    RelatedType,
)
from balances.services import Related, balance_credit, balance_debit
from tcmpay.audit.transitions import Cause, row_change, row_insert
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import Money, format_money
from tcmpay.common.second_person import ensure_not_one_of


@money_unit
def adjustment_request(
    *,
    actor: Actor,
    request_id: UUID,
    user_id: UUID,
    direction: Direction,
    amount: Money,
    reason: str,
) -> BalanceAdjustment:
    """Ask for ``amount`` (yuan) to be added to or taken from a user's balance; nothing moves yet.

    ``request_id`` becomes its id: the same form sent twice asks once.
    Raises OwnBalance, AdjustmentExists.
    """
    ensure_not_one_of(actor, user_id, error=OwnBalance)
    if BalanceAdjustment.objects.filter(id=request_id).exists():
        raise AdjustmentExists()
    adjustment = BalanceAdjustment(
        id=request_id,
        user_id=user_id,
        direction=direction,
        amount=amount,
        reason=reason,
        requested_by=actor.id,
        created_at=clock.now(),
    )
    row_insert(adjustment, _cause(actor, adjustment, "adjustment_requested", reason))
    return adjustment


@money_unit
def adjustment_approve(*, actor: Actor, adjustment_id: UUID, notes: str) -> BalanceTransaction:
    """Move the money that somebody else asked to move, and write its ledger entry.

    Raises:
        AdjustmentNotFound, AdjustmentDecided, OwnAdjustment, OwnBalance.
        InsufficientBalance, BalanceLimit, BalanceUnderReview: nothing is written, it goes on
            waiting.
    """
    adjustment = _lock(adjustment_id)
    _ensure_may_decide(actor, adjustment)
    move = balance_credit if adjustment.direction == Direction.CREDIT else balance_debit
    entry = move(
        user_id=adjustment.user_id,
        amount=adjustment.amount,
        related=Related(RelatedType.ADJUSTMENT, adjustment.id),
        description=_("人工调整：%(reason)s") % {"reason": adjustment.reason},
        actor=actor,
    )
    _decide(actor, adjustment, AdjustmentStatus.APPROVED, notes, entry=str(entry.id))
    return entry


@money_unit
def adjustment_reject(*, actor: Actor, adjustment_id: UUID, notes: str) -> None:
    """Raises AdjustmentNotFound, AdjustmentDecided, OwnAdjustment, OwnBalance."""
    adjustment = _lock(adjustment_id)
    _ensure_may_decide(actor, adjustment)
    _decide(actor, adjustment, AdjustmentStatus.REJECTED, notes)


@money_unit
def adjustment_withdraw(*, actor: Actor, adjustment_id: UUID, notes: str = "") -> None:
    """Taken back by whoever asked.

    Raises AdjustmentNotFound (also for others), AdjustmentDecided.
    """
    adjustment = _lock(adjustment_id)
    adjustment.ensure_may_withdraw(actor, decided=AdjustmentDecided, others=AdjustmentNotFound)
    _decide(actor, adjustment, AdjustmentStatus.WITHDRAWN, notes)


def _lock(adjustment_id: UUID) -> BalanceAdjustment:
    found = BalanceAdjustment.objects.select_for_update().filter(id=adjustment_id).first()
    if found is None:
        raise AdjustmentNotFound()
    return found


def _ensure_may_decide(actor: Actor, adjustment: BalanceAdjustment) -> None:
    adjustment.ensure_may_answer(actor, decided=AdjustmentDecided, own=OwnAdjustment)
    ensure_not_one_of(actor, adjustment.user_id, error=OwnBalance)


def _decide(
    actor: Actor,
    adjustment: BalanceAdjustment,
    status: AdjustmentStatus,
    notes: str,
    **details: str,
) -> None:
    cause = _cause(actor, adjustment, f"adjustment_{status}", notes, **details)
    row_change(adjustment, cause, status=status, **adjustment.answering(actor, notes))


def _cause(
    actor: Actor, adjustment: BalanceAdjustment, action: str, reason: str, **details: str
) -> Cause:
    told = {
        "user_id": str(adjustment.user_id),
        "direction": str(adjustment.direction),
        "amount": format_money(adjustment.amount),
        **details,
    }
    return Cause(actor=actor, action=action, reason=reason, details=told)
