"""Refunds of many orders at once: asked for by one person, decided about by another.

Whoever asks names the orders and sees a verdict for each (``refunds/bulk_plan.py``); nothing is
asked of anybody's money until somebody else has agreed to the whole. Carrying it out is told in
``bulk_runs``.
"""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import IntegrityError

from refunds.bulk_plan import Plan, Planned, Wanted, plan_of
from refunds.errors import (
    BulkAlreadyDecided,
    BulkChanged,
    BulkNotFound,
    BulkNotRunning,
    BulkOfNothing,
    BulkPausedByAnother,
    OrderRepeated,
    SelfReview,
)
from refunds.models import RefundBulk, RefundBulkRow
from refunds.services.requests import REVIEWERS
from refunds.states import (
    BULK_TRANSITIONS,
    BulkOutcome,
    BulkSource,
    BulkStatus,
)
from tcmpay.audit.macs import row_mac
from tcmpay.audit.row_digests import row_facts
from tcmpay.audit.transitions import Cause, row_insert, row_told, transition
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.bell import ring
from tcmpay.common.db import money_unit
from tcmpay.common.errors import Forbidden
from tcmpay.common.ids import new_id
from tcmpay.common.money import format_money
from tcmpay.common.second_person import ensure_not_one_of, is_one_of

RUN_TASK = "refunds.run_bulk"
# Where a bulk's trail keeps the digest of its rows.
ROWS = "rows"
INSERT_CHUNK = 500


def bulk_request(
    *,
    actor: Actor,
    wanted: Sequence[Wanted],
    reason: str,
    source: BulkSource,
    source_text: str = "",
    bulk_id: UUID | None = None,
    seen: str = "",
    idempotency_key_id: UUID | None = None,
) -> RefundBulk:
    """Ask for refunds of many orders; it waits for a second person, and no refund is made yet.

    ``bulk_id`` comes with the preview page: confirmed twice, it is still one. ``seen`` is the
    digest of the plan that the person was shown, where they were shown one.

    Raises:
        Forbidden: neither admin nor staff, or the id is another person's bulk.
        BulkSizeWrong, BulkOfNothing.
        BulkChanged: the verdicts are not those of the preview any more; nothing is written.
    """
    person = _person(actor)
    key = bulk_id or new_id()
    insert = partial(
        _insert, actor, person, wanted, reason, source, source_text, key, seen, idempotency_key_id
    )
    try:
        return insert()
    except IntegrityError:
        # At the same moment the same page was sent twice, or another bulk took one of the orders:
        # now the other one is there to be seen.
        return insert()


@money_unit
def _insert(
    actor: Actor,
    person: UUID,
    wanted: Sequence[Wanted],
    reason: str,
    source: BulkSource,
    source_text: str,
    key: UUID,
    seen: str,
    idempotency_key_id: UUID | None,
) -> RefundBulk:
    found = RefundBulk.objects.filter(id=key).first()
    if found is not None:
        return _own(found, actor)
    plan = plan_of(wanted)
    if seen and seen != plan.digest:
        raise BulkChanged()
    able = len(plan.able)
    if not able:
        raise BulkOfNothing()
    bulk = RefundBulk(
        id=key,
        source=source,
        source_text=source_text[:500],
        reason=reason[:500],
        requested_by=person,
        requested_role=str(actor.role),
        created_at=clock.now(),
        rows_total=len(plan.rows),
        rows_able=able,
        amount=plan.amount,
        digest=plan.content_digest,
        idempotency_key_id=idempotency_key_id,
    )
    rows = [_row(bulk, planned, reason) for planned in plan.rows]
    details = {
        "source": str(source),
        "count": able,
        "amount": format_money(bulk.amount),
        "total": len(rows),
        ROWS: rows_digest(bulk, rows, is_over=False),
    }
    row_insert(bulk, Cause(actor=actor, action="refund_bulk_asked", reason=reason, details=details))
    RefundBulkRow.objects.bulk_create(rows, batch_size=INSERT_CHUNK)
    return bulk


def _row(bulk: RefundBulk, planned: Planned, reason: str) -> RefundBulkRow:
    is_named_again = planned.code == OrderRepeated.code
    return RefundBulkRow(
        bulk=bulk,
        position=planned.position,
        named=planned.named,
        order_id=planned.order.id if planned.order and not is_named_again else None,
        held_order=planned.order.id if planned.order and planned.is_able else None,
        amount=planned.amount,
        reason=(planned.reason or reason)[:500],
        outcome=BulkOutcome.WAITING if planned.is_able else BulkOutcome.REFUSED,
        error_code=planned.code,
        decided_at=None if planned.is_able else bulk.created_at,
    )


def _own(bulk: RefundBulk, actor: Actor) -> RefundBulk:
    if bulk.requested_by != actor.id:
        raise Forbidden()
    return bulk


def rows_digest(bulk: RefundBulk, rows: Sequence[RefundBulkRow], *, is_over: bool) -> str:
    """The digest of a bulk's rows in their order, for its trail: which orders and how much they
    ask, and of a finished one what became of each."""
    facts = [row_facts(row) if is_over else _asked(row) for row in rows]
    ids = [row.pk for row in rows]
    return row_mac(RefundBulk.AUDIT_OBJECT, bulk.pk, {"ids": ids, ROWS: facts})


def _asked(row: RefundBulkRow) -> list[object]:
    return [row.position, row.named, row.order_id, row.amount, row.reason]


# --- the second person, and whoever asked ---------------------------------------------------------


def bulk_decide(*, actor: Actor, bulk_id: UUID, is_approved: bool, notes: str) -> RefundBulk:
    """Agree to a whole bulk, which then runs, or reject it.

    Raises BulkNotFound, Forbidden, BulkAlreadyDecided. SelfReview: ``actor`` asked for it.
    """
    return (bulk_approve if is_approved else bulk_reject)(actor=actor, bulk_id=bulk_id, notes=notes)


@money_unit
def bulk_approve(*, actor: Actor, bulk_id: UUID, notes: str) -> RefundBulk:
    """Raises as ``bulk_decide``."""
    bulk = _lock_for_decision(actor, bulk_id)
    _move(bulk, BulkStatus.RUNNING, actor, "refund_bulk_approved", notes)
    return bulk


@money_unit
def bulk_reject(*, actor: Actor, bulk_id: UUID, notes: str) -> RefundBulk:
    """Raises as ``bulk_decide``."""
    bulk = _lock_for_decision(actor, bulk_id)
    _move(bulk, BulkStatus.REJECTED, actor, "refund_bulk_rejected", notes)
    return bulk


def _lock_for_decision(actor: Actor, bulk_id: UUID) -> RefundBulk:
    if actor.role not in REVIEWERS:
        raise Forbidden()
    bulk = bulk_lock(bulk_id)
    bulk.ensure_may_answer(actor, decided=BulkAlreadyDecided, own=SelfReview)
    return bulk


@money_unit
def bulk_withdraw(*, actor: Actor, bulk_id: UUID, notes: str) -> RefundBulk:
    """Take back a bulk that nobody has decided about; only whoever asked for it may.

    Raises BulkNotFound, Forbidden, BulkAlreadyDecided.
    """
    bulk = bulk_lock(bulk_id)
    bulk.ensure_may_withdraw(actor, decided=BulkAlreadyDecided, others=Forbidden)
    _move(bulk, BulkStatus.WITHDRAWN, actor, "refund_bulk_withdrawn", notes)
    return bulk


def _move(bulk: RefundBulk, to_state: BulkStatus, actor: Actor, action: str, notes: str) -> None:
    """Answer the locked, waiting bulk."""
    answer = bulk.answering(actor, notes)
    if to_state == BulkStatus.WITHDRAWN:
        answer = {}
    elif to_state == BulkStatus.RUNNING:
        answer |= {"next_run_at": clock.now()}
    if answer:
        answer |= {"decided_role": str(actor.role)}
    transition(
        bulk,
        to_state,
        table=BULK_TRANSITIONS,
        cause=Cause(actor=actor, action=action, reason=notes),
        **answer,
    )
    if to_state == BulkStatus.RUNNING:
        ring(RUN_TASK, str(bulk.id))
    else:
        bulk.rows.update(held_order=None)


# --- while it runs --------------------------------------------------------------------------------


@money_unit
def bulk_pause(*, actor: Actor, bulk_id: UUID) -> RefundBulk:
    """Carry out no further row; one that is under way ends.

    Raises Forbidden, BulkNotFound, BulkNotRunning.
    """
    bulk = _lock_in(actor, bulk_id, BulkStatus.RUNNING)
    bulk_halt(bulk, actor)
    return bulk


def bulk_halt(bulk: RefundBulk, actor: Actor, reason: str = "") -> None:
    """Pause the locked, running bulk; inside the caller's unit."""
    transition(
        bulk,
        BulkStatus.PAUSED,
        table=BULK_TRANSITIONS,
        cause=Cause(actor=actor, action="refund_bulk_paused", reason=reason),
        paused_by=actor.id,
        next_run_at=None,
    )


@money_unit
def bulk_resume(*, actor: Actor, bulk_id: UUID) -> RefundBulk:
    """Go on with a paused one where it stopped.

    Raises Forbidden, BulkNotFound, BulkNotRunning. BulkPausedByAnother: ``actor`` asked for it, and
    somebody else paused it.
    """
    bulk = _lock_in(actor, bulk_id, BulkStatus.PAUSED)
    if bulk.paused_by is not None and not is_one_of(actor, bulk.paused_by):
        ensure_not_one_of(actor, *bulk.askers, error=BulkPausedByAnother)
    transition(
        bulk,
        BulkStatus.RUNNING,
        table=BULK_TRANSITIONS,
        cause=Cause(actor=actor, action="refund_bulk_resumed"),
        paused_by=None,
        next_run_at=clock.now(),
    )
    ring(RUN_TASK, str(bulk.id))
    return bulk


@money_unit
def bulk_end(*, actor: Actor, bulk_id: UUID, notes: str) -> RefundBulk:
    """End a paused one: what was not carried out is left out.

    Raises Forbidden, BulkNotFound, BulkNotRunning.
    """
    bulk = _lock_in(actor, bulk_id, BulkStatus.PAUSED)
    bulk.rows.filter(outcome=BulkOutcome.WAITING).update(
        outcome=BulkOutcome.LEFT_OUT, held_order=None, decided_at=clock.now()
    )
    bulk_finish(bulk, actor, notes)
    return bulk


def bulk_finish(bulk: RefundBulk, actor: Actor, reason: str = "") -> None:
    """End the locked bulk, of which no row waits; inside the caller's unit."""
    rows = list(bulk.rows.order_by("position"))
    outcomes = [row.outcome for row in rows]
    transition(
        bulk,
        BulkStatus.FINISHED,
        table=BULK_TRANSITIONS,
        cause=Cause(
            actor=actor,
            action="refund_bulk_finished",
            reason=reason,
            details={
                **{outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
                ROWS: rows_digest(bulk, rows, is_over=True),
            },
        ),
        finished_at=clock.now(),
        paused_by=None,
        next_run_at=None,
    )


def bulk_lock(bulk_id: UUID) -> RefundBulk:
    """Raises BulkNotFound."""
    bulk = RefundBulk.objects.select_for_update().filter(id=bulk_id).first()
    if bulk is None:
        raise BulkNotFound()
    return bulk


def _person(actor: Actor) -> UUID:
    """Raises Forbidden: neither admin nor staff, or nobody known."""
    if actor.role not in REVIEWERS or actor.id is None:
        raise Forbidden()
    return actor.id


def _lock_in(actor: Actor, bulk_id: UUID, status: BulkStatus) -> RefundBulk:
    _person(actor)
    bulk = bulk_lock(bulk_id)
    if bulk.status != status:
        raise BulkNotRunning(status=bulk.status)
    return bulk


def same_asked_before(plan: Plan) -> RefundBulk | None:
    """The newest bulk of the same orders and amounts that was not called off; to warn whoever is
    about to send the same file again."""
    same = RefundBulk.objects.filter(digest=plan.content_digest)
    called_off = (BulkStatus.REJECTED, BulkStatus.WITHDRAWN)
    return same.exclude(status__in=called_off).order_by("-created_at").first()


@money_unit
def bulk_downloaded(*, actor: Actor, bulk_id: UUID, file_format: str) -> None:
    """Note in the trail that the file of its results was taken. Raises BulkNotFound."""
    bulk = bulk_lock(bulk_id)
    cause = Cause(actor=actor, action="refund_bulk_downloaded", details={"format": file_format})
    row_told(bulk, cause, bulk.status)
