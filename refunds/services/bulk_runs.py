"""Carrying out a bulk that two people agreed to: row by row, in chunks, resumable at any point.

Each row is locked, its refund asked for and approved, and its outcome written in one commit, so a
run that was killed goes on where it stopped and refunds nothing twice. What a gateway then says of
a refund goes the usual way of refunds.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.utils.translation import gettext as _

from refunds.errors import OrderInAnotherBulk, OrderNotRefundable
from refunds.models import Refund, RefundBulk, RefundBulkRow
from refunds.permissions import REQUEST_PERMISSION, REVIEW_PERMISSION
from refunds.services.bulks import RUN_TASK, bulk_finish, bulk_halt, bulk_lock
from refunds.services.requests import refund_ask, refund_decide
from refunds.services.submission import refund_send_to_gateway
from refunds.states import BulkOutcome, BulkStatus, RefundStatus
from tcmpay.accounts.selectors import staff_actor
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import DomainError, InternalError
from tcmpay.common.second_person import is_somebody_else
from tcmpay.common.sweep import by_itself, in_time

logger = logging.getLogger(__name__)

# One run carries out so many, or works so long, then hands on: other tasks get their turn between.
CHUNK_ROWS = 100
RUN_SECONDS = 45.0
# Longer than any run may take: whoever finds a bulk older than this knows that its run died.
LEASE = timedelta(minutes=2)
TRIES_MAX = 3
SWEEP_MAX = 20


def bulk_run(*, bulk_id: UUID) -> int:
    """Carry out the next chunk of rows; returns how many. Safe to call again at any time."""
    bulk = _claim(bulk_id)
    if bulk is None:
        return 0
    people = _people(bulk)
    if people is None:
        _pause(bulk.id)
        return 0
    waiting = bulk.rows.filter(outcome=BulkOutcome.WAITING).order_by("position")
    ids = list(waiting.values_list("id", flat=True)[:CHUNK_ROWS])
    done = 0
    for row_id in in_time(ids, seconds=RUN_SECONDS):
        if not _runs(bulk.id):
            break
        _run_row(people, bulk, row_id)
        done += 1
    if waiting.exists():
        _hand_on(bulk)
    else:
        _finish(bulk.id)
    return done


def _claim(bulk_id: UUID) -> RefundBulk | None:
    now = clock.now()
    due = RefundBulk.objects.filter(id=bulk_id, status=BulkStatus.RUNNING, next_run_at__lte=now)
    is_claimed = due.update(next_run_at=now + LEASE) == 1
    return RefundBulk.objects.get(id=bulk_id) if is_claimed else None


def _runs(bulk_id: UUID) -> bool:
    return RefundBulk.objects.filter(id=bulk_id, status=BulkStatus.RUNNING).exists()


def _hand_on(bulk: RefundBulk) -> None:
    running = RefundBulk.objects.filter(id=bulk.id, status=BulkStatus.RUNNING)
    if running.update(next_run_at=clock.now()):
        ring(RUN_TASK, str(bulk.id))


def _people(bulk: RefundBulk) -> tuple[Actor, Actor] | None:
    """Who asked and who agreed; None where one of them may not any more."""
    maker = _person(bulk.requested_by, bulk.requested_role, REQUEST_PERMISSION)
    approver = _person(bulk.decided_by, bulk.decided_role, REVIEW_PERMISSION)
    return (maker, approver) if maker and approver else None


def _person(person: UUID | None, role: str, permission: str) -> Actor | None:
    if role == Role.STAFF:
        return staff_actor(person, permission)
    # An admin of the platform, whose rights its tokens tell: they told them when it was asked.
    return Actor(person, Role(role)) if person is not None else None


@money_unit
def _pause(bulk_id: UUID) -> None:
    """A right that was lost may come back: no row is refused for it."""
    bulk = bulk_lock(bulk_id)
    if bulk.status == BulkStatus.RUNNING:
        text = _("申请人或复核人已停用或没有权限，自动暂停；恢复后可以继续执行，也可以结束")
        bulk_halt(bulk, SYSTEM, text)


def _run_row(people: tuple[Actor, Actor], bulk: RefundBulk, row_id: UUID) -> None:
    tries = _count_try(row_id)
    if tries > TRIES_MAX:
        _refuse(row_id, InternalError.code)
    if not 1 <= tries <= TRIES_MAX:
        return
    # A broken one waits for the next run.
    with by_itself(logger, "refund_bulk_row_failed", row=str(row_id)):
        try:
            refund = _carry_out(*people, bulk, row_id)
        except DomainError as error:
            _refuse(row_id, error.code)
            return
        if refund is not None and refund.status == RefundStatus.PROCESSING:
            refund_send_to_gateway(refund.id)


def _count_try(row_id: UUID) -> int:
    """How many there are with this one; 0 when another run was here before, whose row stays as
    the trail tells of it."""
    mine = RefundBulkRow.objects.filter(id=row_id, outcome=BulkOutcome.WAITING)
    is_mine = mine.update(tries=F("tries") + 1) == 1
    return RefundBulkRow.objects.get(id=row_id).tries if is_mine else 0


@money_unit
def _carry_out(maker: Actor, approver: Actor, bulk: RefundBulk, row_id: UUID) -> Refund | None:
    """The refund and the row's outcome in one commit; None when another run was here before, or
    the bulk runs no more.

    The row is locked before the order: nobody locks it the other way round.
    """
    row = RefundBulkRow.objects.select_for_update().get(id=row_id)
    if row.outcome != BulkOutcome.WAITING or not _runs(bulk.id):
        return None
    if row.order_id is None or row.amount is None:
        raise OrderNotRefundable()
    if row.held_order is None:
        raise OrderInAnotherBulk()
    refund = refund_ask(actor=maker, order_id=row.order_id, amount=row.amount, reason=row.reason)
    # Their own money, or their own request as the platform's admin: it waits for somebody else.
    if is_somebody_else(approver, refund.requested_by, refund.user_id):
        refund = refund_decide(
            actor=approver,
            refund_id=refund.id,
            is_approved=True,
            notes=bulk.decision_notes,
            approvals_seen=0,
        )
    is_waiting = refund.status == RefundStatus.PENDING
    columns_write(
        row,
        refund=refund,
        outcome=BulkOutcome.ASKED if is_waiting else BulkOutcome.APPROVED,
        held_order=None,
        decided_at=clock.now(),
    )
    return refund


def _refuse(row_id: UUID, code: str) -> None:
    RefundBulkRow.objects.filter(id=row_id, outcome=BulkOutcome.WAITING).update(
        outcome=BulkOutcome.REFUSED, held_order=None, error_code=code, decided_at=clock.now()
    )


@money_unit
def _finish(bulk_id: UUID) -> None:
    bulk = bulk_lock(bulk_id)
    if bulk.status == BulkStatus.RUNNING:
        bulk_finish(bulk, SYSTEM)


def bulks_sweep() -> int:
    """Ring for every running bulk that no run holds; returns how many."""
    due = RefundBulk.objects.filter(status=BulkStatus.RUNNING, next_run_at__lte=clock.now())
    ids = list(due.order_by("next_run_at").values_list("id", flat=True)[:SWEEP_MAX])
    for bulk_id in ids:
        ring(RUN_TASK, str(bulk_id))
    return len(ids)
