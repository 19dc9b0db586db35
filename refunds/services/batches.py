"""Deciding about several refunds at once: confirmed by one person, carried out in the background.

The batch's row is the queue. Each refund is decided by the same service as on its own page, in
one unit with its row's outcome, so a batch that was interrupted goes on where it stopped and
decides nothing twice.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F

from refunds.errors import BatchSizeWrong
from refunds.models import Refund, RefundApproval, RefundBatch, RefundBatchRow
from refunds.permissions import REVIEW_PERMISSION
from refunds.services.requests import REVIEWERS, refund_decide
from refunds.services.retries import refund_resume
from refunds.services.submission import refund_send_to_gateway
from refunds.states import BatchDecision, BatchOutcome, RefundStatus
from tcmpay.accounts.selectors import staff_actor
from tcmpay.audit.macs import row_mac
from tcmpay.audit.row_digests import row_facts
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import DomainError, Forbidden, InternalError
from tcmpay.common.sweep import by_itself, in_time

logger = logging.getLogger(__name__)

AUDIT_OBJECT = "refund_batch"
# Where the batch's trail keeps the digest of its rows.
ROWS = "rows"
RUN_TASK = "refunds.run_batch"
BATCH_MAX = 100
# Sending again needs no look at each.
RETRY_MAX = 500
# One run works this long, then hands the rest to the next: tasks are stopped after 90 seconds.
RUN_SECONDS = 45.0
# Longer than any run may take: whoever finds a batch older than this knows that its run died.
LEASE = timedelta(minutes=2)
TRIES_MAX = 3


def batch_confirm(
    *,
    actor: Actor,
    batch_id: UUID,
    refund_ids: Collection[UUID],
    decision: BatchDecision,
    notes: str,
) -> RefundBatch:
    """Record the decision about all of ``refund_ids``, oldest request first, and ring the worker.

    ``batch_id`` comes with the preview page: confirmed twice, it is still one batch.

    Raises:
        Forbidden: not a reviewer, or the id is another person's batch.
        BatchSizeWrong: none, or more than BATCH_MAX (RETRY_MAX).
    """
    if actor.role not in REVIEWERS or actor.id is None:
        raise Forbidden()
    try:
        return _confirm(actor, actor.id, batch_id, refund_ids, decision, notes)
    except IntegrityError:
        # The same page was sent twice at the same moment: the other one inserted it.
        return _own_batch(RefundBatch.objects.get(id=batch_id), actor)


@money_unit
def _confirm(
    actor: Actor,
    person: UUID,
    batch_id: UUID,
    refund_ids: Collection[UUID],
    decision: BatchDecision,
    notes: str,
) -> RefundBatch:
    found = RefundBatch.objects.filter(id=batch_id).first()
    if found is not None:
        return _own_batch(found, actor)
    refunds = list(Refund.objects.filter(id__in=refund_ids).order_by("created_at", "id"))
    most = RETRY_MAX if decision == BatchDecision.RETRY else BATCH_MAX
    if not 1 <= len(refunds) <= most:
        raise BatchSizeWrong(count=len(refunds))
    now = clock.now()
    batch = RefundBatch(
        id=batch_id,
        decision=decision,
        notes=notes,
        created_by=person,
        created_at=now,
        next_run_at=now,
    )
    batch.save(force_insert=True)
    rows = [
        RefundBatchRow(batch=batch, refund=refund, position=position)
        for position, refund in enumerate(refunds, start=1)
    ]
    RefundBatchRow.objects.bulk_create(rows)
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=batch.id,
        action="refund_batch_confirmed",
        actor=actor,
        reason=notes,
        to_state="open",
        details={
            "decision": str(decision),
            "count": len(refunds),
            "amount": str(sum(refund.refund_amount for refund in refunds)),
            ROWS: rows_digest(batch, rows),
        },
        row=batch,
    )
    ring(RUN_TASK, str(batch.id))
    return batch


def _own_batch(batch: RefundBatch, actor: Actor) -> RefundBatch:
    if batch.created_by != actor.id:
        raise Forbidden()
    return batch


def batch_run(*, batch_id: UUID) -> int:
    """Decide about the rows that wait; returns how many were. Safe to call again any time."""
    batch = _claim(batch_id)
    if batch is None:
        return 0
    # Whoever lost the permission since confirming decides nothing any more.
    actor = staff_actor(batch.created_by, REVIEW_PERMISSION)
    waiting = batch.rows.filter(outcome=BatchOutcome.WAITING).order_by("position")
    done = 0
    for row_id in in_time(list(waiting.values_list("id", flat=True)), seconds=RUN_SECONDS):
        _run_row(actor, batch, row_id)
        done += 1
    if batch.rows.filter(outcome=BatchOutcome.WAITING).exists():
        _hand_on(batch)
    else:
        _finish(batch.id)
    return done


def _claim(batch_id: UUID) -> RefundBatch | None:
    """The batch, for this run alone; None when it is done or another run holds it."""
    now = clock.now()
    claimed = RefundBatch.objects.filter(
        id=batch_id, finished_at=None, next_run_at__lte=now
    ).update(next_run_at=now + LEASE)
    return RefundBatch.objects.get(id=batch_id) if claimed == 1 else None


def _hand_on(batch: RefundBatch) -> None:
    RefundBatch.objects.filter(id=batch.id, finished_at=None).update(next_run_at=clock.now())
    ring(RUN_TASK, str(batch.id))


def _run_row(actor: Actor | None, batch: RefundBatch, row_id: UUID) -> None:
    if actor is None:
        _refuse(row_id, Forbidden.code)
        return
    tries = _count_try(row_id)
    if tries > TRIES_MAX:
        _refuse(row_id, InternalError.code)
    if not 1 <= tries <= TRIES_MAX:
        return
    # A broken one waits for the next run.
    with by_itself(logger, "refund_batch_row_failed", row=str(row_id)):
        try:
            refund = _decide_row(actor, batch, row_id)
        except DomainError as error:
            _refuse(row_id, error.code)
            return
        if refund is not None and refund.status == RefundStatus.PROCESSING:
            refund_send_to_gateway(refund.id)


def _count_try(row_id: UUID) -> int:
    """How many there are with this one; 0 when another run was here before, whose row stays as
    the trail tells of it."""
    mine = RefundBatchRow.objects.filter(id=row_id, outcome=BatchOutcome.WAITING)
    is_mine = mine.update(tries=F("tries") + 1) == 1
    return RefundBatchRow.objects.get(id=row_id).tries if is_mine else 0


@money_unit
def _decide_row(actor: Actor, batch: RefundBatch, row_id: UUID) -> Refund | None:
    """The decision and its outcome in one commit; None when another run was here before.

    The row is locked before the order: nobody locks it the other way round.
    """
    row = RefundBatchRow.objects.select_for_update().get(id=row_id)
    if row.outcome != BatchOutcome.WAITING:
        return None
    if batch.decision == BatchDecision.RETRY:
        refund = refund_resume(actor=actor, refund_id=row.refund_id, reason=batch.notes)
        columns_write(row, outcome=BatchOutcome.DONE, decided_at=clock.now())
        return refund
    is_approved = batch.decision == BatchDecision.APPROVE
    refund = refund_decide(
        actor=actor,
        refund_id=row.refund_id,
        is_approved=is_approved,
        notes=batch.notes,
        # How many there were when the person confirmed the batch.
        approvals_seen=RefundApproval.objects.filter(
            refund_id=row.refund_id, created_at__lte=batch.created_at
        ).count(),
    )
    is_half = is_approved and refund.status == RefundStatus.PENDING
    outcome = BatchOutcome.FIRST_APPROVAL if is_half else BatchOutcome.DONE
    columns_write(row, outcome=outcome, decided_at=clock.now())
    return refund


def _refuse(row_id: UUID, code: str) -> None:
    RefundBatchRow.objects.filter(id=row_id, outcome=BatchOutcome.WAITING).update(
        outcome=BatchOutcome.REFUSED, error_code=code, decided_at=clock.now()
    )


@money_unit
def _finish(batch_id: UUID) -> None:
    batch = RefundBatch.objects.select_for_update().get(id=batch_id)
    if batch.finished_at is not None:
        return
    columns_write(batch, finished_at=clock.now(), next_run_at=None)
    rows = list(batch.rows.order_by("position"))
    outcomes = [row.outcome for row in rows]
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=batch.id,
        action="refund_batch_finished",
        actor=SYSTEM,
        from_state="open",
        to_state="finished",
        details={
            **{outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
            ROWS: rows_digest(batch, rows),
        },
        row=batch,
    )


def rows_digest(batch: RefundBatch, rows: Sequence[RefundBatchRow]) -> str:
    """The digest of a batch's rows in their order, for its trail: which refunds they are, and of
    a finished batch what became of each.
    """
    facts = [row_facts(row) if batch.finished_at else [row.refund_id, row.position] for row in rows]
    ids = [row.pk for row in rows]
    return row_mac(AUDIT_OBJECT, batch.pk, {"ids": ids, ROWS: facts})


def batches_sweep() -> int:
    """Ring for every unfinished batch that no run holds; returns how many."""
    due = RefundBatch.objects.filter(next_run_at__lte=clock.now(), finished_at=None)
    ids = list(due.order_by("next_run_at").values_list("id", flat=True)[:BATCH_MAX])
    for batch_id in ids:
        ring(RUN_TASK, str(batch_id))
    return len(ids)
