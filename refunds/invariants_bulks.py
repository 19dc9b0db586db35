"""Refunds in bulk: each row has the refund that was asked for, and the trail tells of all of it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from refunds.models import RefundBulk, RefundBulkRow
from refunds.services.bulks import ROWS, rows_digest
from refunds.states import (
    BULK_OUTCOMES_WITH_REFUND,
    UNFINISHED_BULKS,
    BulkOutcome,
    BulkStatus,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_checks import digests_began, lost_objects, row_problem
from tcmpay.audit.stories import Story, stories
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks

STUCK_AFTER = timedelta(minutes=5)
# No run of a bulk is put off for longer.
NEXT_WITHIN = timedelta(hours=12)
BATCH = 20


def check_bulks(scope: Scope) -> Iterator[Violation]:
    bulks = RefundBulk.objects.using(scope.using).all()
    if scope.since is not None:
        # What is unfinished always: it goes on.
        bulks = bulks.filter(
            Q(status__in=UNFINISHED_BULKS)
            | Q(created_at__gte=scope.since)
            | Q(decided_at__gte=scope.since)
            | Q(finished_at__gte=scope.since)
        )
    began = digests_began(scope.using)
    for some in batches(in_chunks(bulks, "id"), BATCH):
        ids = [bulk.id for bulk in some]
        told = stories(scope.using, RefundBulk.AUDIT_OBJECT, ids)
        digests = _rows_told(scope, ids)
        for bulk in some:
            rows = list(
                RefundBulkRow.objects.using(scope.using)
                .filter(bulk=bulk)
                .select_related("refund")
                .order_by("position", "id")
            )
            yield from _check_rows(bulk, rows)
            story = told.get(str(bulk.id))
            problem = row_problem(bulk, story, began) or _state_problem(bulk, story)
            problem = problem or _rows_problem(bulk, rows, digests.get(str(bulk.id), ""))
            if problem:
                yield _violation("E9", bulk, problem)
            yield from _check_run(bulk)
    yield from lost_objects(scope, RefundBulk.AUDIT_OBJECT, RefundBulk)


def _check_rows(bulk: RefundBulk, rows: list[RefundBulkRow]) -> Iterator[Violation]:
    """Nothing was refunded for a row but what it says, in the name of whoever asked."""
    for row in rows:
        refund = row.refund
        if refund is None:
            continue
        asked = (row.order_id, row.amount, row.reason, bulk.requested_by)
        made = (
            refund.order_id, refund.refund_amount, refund.refund_reason, refund.requested_by
        )  # fmt: skip
        if asked != made:
            text = _("第 %(row)d 行：退款 %(number)s 与申请的不符")
            facts = {"row": row.position, "number": refund.refund_no}
            yield _violation("R1", bulk, text % facts)


def _state_problem(bulk: RefundBulk, story: Story | None) -> str:
    if story is not None and story.state != bulk.status:
        return _("批量退款的状态与审计记录不一致")
    if (bulk.status == BulkStatus.RUNNING) != (bulk.next_run_at is not None):
        return _("批量退款的状态与下次处理时间不相符")
    if bulk.next_run_at is not None and bulk.next_run_at > clock.now() + NEXT_WITHIN:
        return _("下次处理的时间远在将来")
    return ""


def _rows_problem(bulk: RefundBulk, rows: list[RefundBulkRow], told: str) -> str:
    if any(_is_odd(row) for row in rows):
        return _("等待处理的明细已有结果")
    is_unfinished = bulk.status in UNFINISHED_BULKS
    held = [row.order_id if is_unfinished and _waits(row) else None for row in rows]
    if [row.held_order for row in rows] != held:
        return _("明细占用的订单与明细的状态不符")
    # The database says so too; the audit believes no CHECK.
    if any((row.refund_id is None) == (row.outcome in BULK_OUTCOMES_WITH_REFUND) for row in rows):
        return _("明细的结果与它的退款不相符")
    has_begun = bulk.status not in (
        BulkStatus.PENDING, BulkStatus.REJECTED, BulkStatus.WITHDRAWN
    )  # fmt: skip
    if not has_begun and any(row.refund_id for row in rows):
        return _("没有执行的批量退款有退款")
    is_over = bulk.status == BulkStatus.FINISHED
    if told and told != rows_digest(bulk, rows, is_over=is_over):
        return _("明细与审计记录中的摘要不符")
    return ""


def _waits(row: RefundBulkRow) -> bool:
    return row.outcome == BulkOutcome.WAITING


def _is_odd(row: RefundBulkRow) -> bool:
    is_waiting = _waits(row)
    return is_waiting == (row.decided_at is not None) or (is_waiting and row.error_code != "")


def _rows_told(scope: Scope, ids: list[UUID]) -> dict[str, str]:
    """The newest digest of each bulk's rows."""
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=RefundBulk.AUDIT_OBJECT, object_id__in=[str(key) for key in ids]
    )
    found: dict[str, str] = defaultdict(str)
    for bulk_id, details in events.order_by("object_id", "version").values_list(
        "object_id", "details"
    ):
        found[bulk_id] = details.get(ROWS, "") or found[bulk_id]
    return found


def _check_run(bulk: RefundBulk) -> Iterator[Violation]:
    """No running bulk lies about long past its next run (E5)."""
    late = clock.now() - STUCK_AFTER
    if bulk.status == BulkStatus.RUNNING and bulk.next_run_at and bulk.next_run_at < late:
        text = _("批量退款未完成，处理已逾期")
        yield Violation("E5", RefundBulk.AUDIT_OBJECT, str(bulk.id), text, is_unfinished=True)


def _violation(code: str, bulk: RefundBulk, message: str) -> Violation:
    return Violation(code, RefundBulk.AUDIT_OBJECT, str(bulk.id), message)


CHECKS = (check_bulks,)
