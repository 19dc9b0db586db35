"""Who approved refunds, and on whose word they are done, against the trail and the logs (E9)."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model, Q
from django.utils.translation import gettext as _

from payments.models import GatewayExchange, PaymentCallback
from payments.states import ExchangeKind, ExchangeOutcome, PaymentMethod, Verdict
from refunds.check_rows import odd_approvals, unapproved
from refunds.default_notes import DEFAULT_IDS, came_with_the_product
from refunds.models import (
    Refund,
    RefundApproval,
    RefundBatch,
    RefundBatchRow,
    RefundNote,
    RefundPolicyRule,
)
from refunds.services.batches import AUDIT_OBJECT as BATCH_OBJECT
from refunds.services.batches import ROWS, rows_digest
from refunds.services.rules import NOTE_OBJECT, RULE_OBJECT
from refunds.states import BatchOutcome, RefundCause, RefundStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_checks import digests_began, lost_objects, row_problem
from tcmpay.audit.stories import stories
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks

BATCH = 1000
# An approval and the event that tells of it are written in one unit.
ONE_UNIT = timedelta(minutes=1)
APPROVALS = frozenset({"refund_first_approval", "refund_approved"})
# Whoever sends a failed refund again says yes to it too, where more people have to by then.
APPROVING = APPROVALS | {"refund_retried"}
DONE = "success"
# No run of a batch is put off for longer.
NEXT_WITHIN = timedelta(hours=12)


def check_approvals(scope: Scope) -> Iterator[Violation]:
    """Each approval has its event in the refund's trail: the same person, words and moment."""
    approvals = RefundApproval.objects.using(scope.using)
    for odd in odd_approvals(scope, APPROVING, _tells_of):
        batch = list(approvals.filter(id__in=odd).order_by("id"))
        told = _approvals_told(scope, [approval.refund_id for approval in batch])
        for approval in batch:
            if not any(_tells_of(event, approval) for event in told[str(approval.refund_id)]):
                yield Violation(
                    "E9", Refund.AUDIT_OBJECT, str(approval.refund_id), _("审批与审计记录不一致")
                )
    yield from _approvals_gone(scope)


Told = tuple[Any, str, datetime]


def _approvals_told(scope: Scope, refund_ids: list[UUID]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    for refund_id, *event in _events(scope, refund_ids, APPROVING).values_list(
        "object_id", "actor_id", "reason", "created_at"
    ):
        found[refund_id].append((event[0], event[1], event[2]))
    return found


def _events(scope: Scope, refund_ids: list[UUID], actions: frozenset[str]) -> Any:
    return AuditEvent.objects.using(scope.using).filter(
        object_type=Refund.AUDIT_OBJECT,
        object_id__in=[str(refund_id) for refund_id in refund_ids],
        action__in=actions,
    )


def _tells_of(event: Told, approval: Any) -> bool:
    person, words, moment = event
    is_same = (person, words) == (approval.reviewer_id, approval.notes[:500])
    return is_same and abs(moment - approval.created_at) <= ONE_UNIT


def _approvals_gone(scope: Scope) -> Iterator[Violation]:
    """Whoever approved a requested refund, as its trail tells, has an approval of it."""
    for odd in unapproved(scope, APPROVALS):
        refunds = Refund.objects.using(scope.using).filter(id__in=odd, cause="requested")
        batch = list(refunds.only("id", "refund_no").order_by("id"))
        ids = [refund.id for refund in batch]
        told: dict[str, set[Any]] = defaultdict(set)
        events = _events(scope, ids, APPROVALS)
        for refund_id, person in events.values_list("object_id", "actor_id"):
            told[refund_id].add(person)
        kept: dict[str, set[Any]] = defaultdict(set)
        rows = RefundApproval.objects.using(scope.using).filter(refund_id__in=ids)
        for refund_id, person in rows.values_list("refund_id", "reviewer_id"):
            kept[str(refund_id)].add(person)
        for refund in batch:
            if not told[str(refund.id)] <= kept[str(refund.id)]:
                text = _("%(number)s: 审批人与审计记录不一致") % {"number": refund.refund_no}
                yield Violation("E9", Refund.AUDIT_OBJECT, str(refund.id), text)


def check_answers(scope: Scope) -> Iterator[Violation]:
    """What is done at a gateway was told by a verified notice or by an answer to us."""
    done = (
        Refund.objects.using(scope.using)
        .filter(status=RefundStatus.SUCCESS)
        .exclude(transaction__payment_method=PaymentMethod.BALANCE)
        .select_related("transaction")
        .only("refund_no", "external_refund_id", "cause", "transaction__out_trade_no")
    )
    if scope.since is not None:
        done = done.filter(updated_at__gte=scope.since)
    began = digests_began(scope.using)
    for batch in batches(in_chunks(done, "id"), BATCH):
        answers, notices = _answers(scope, batch, began), _notices(scope, batch)
        for refund in batch:
            number = refund.external_refund_id or ""
            told = answers[refund.id] | notices[refund.transaction.out_trade_no or ""]
            if refund.cause == RefundCause.OUTSIDE:
                told |= answers[refund.transaction_id]
            if number not in told and None not in told:
                text = _("%(number)s: 退款成功没有相符的网关通知或答复")
                text %= {"number": refund.refund_no}
                yield Violation("E9", Refund.AUDIT_OBJECT, str(refund.id), text)


def _answers(
    scope: Scope, batch: list[Refund], began: datetime | None
) -> dict[Any, set[str | None]]:
    """The gateways' numbers in the answers "success"; None where none were kept yet. Of a refund
    that was none of ours when it was asked about, they are its payment's."""
    found: dict[Any, set[str | None]] = defaultdict(set)
    answers = GatewayExchange.objects.using(scope.using).filter(
        transaction_id__in={refund.transaction_id for refund in batch},
        kind__in=(ExchangeKind.REFUND, ExchangeKind.QUERY_REFUND),
        outcome=ExchangeOutcome.ANSWERED,
        answer=DONE,
    )
    names = ("refund_id", "transaction_id", "external_id", "log_hash")
    for refund_id, payment_id, number, log_hash in answers.values_list(*names):
        is_kept = log_hash or began is None
        found[refund_id or payment_id].add(number if is_kept else None)
    return found


def _notices(scope: Scope, batch: list[Refund]) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = defaultdict(set)
    notices = PaymentCallback.objects.using(scope.using).filter(
        out_trade_no__in={refund.transaction.out_trade_no for refund in batch},
        verdict=Verdict.REFUND_NOTICE,
    )
    for number, notice in notices.values_list("out_trade_no", "refund_notice"):
        if notice and notice.get("state") == DONE:
            found[number].add(str(notice.get("refund_id", "")))
    return found


def check_batches(scope: Scope) -> Iterator[Violation]:
    """A batch and its rows are as its trail tells of them."""
    decided = RefundBatch.objects.using(scope.using).all()
    if scope.since is not None:
        # What is unfinished always: it goes on.
        decided = decided.filter(
            Q(finished_at=None) | Q(created_at__gte=scope.since) | Q(finished_at__gte=scope.since)
        )
    began = digests_began(scope.using)
    for batch in batches(in_chunks(decided, "id"), 100):
        ids = [found.id for found in batch]
        told, digests = stories(scope.using, BATCH_OBJECT, ids), _rows_told(scope, ids)
        rows: dict[UUID, list[RefundBatchRow]] = defaultdict(list)
        for row in RefundBatchRow.objects.using(scope.using).filter(batch__in=ids):
            rows[row.batch_id].append(row)
        for found in batch:
            problem = row_problem(found, told.get(str(found.id)), began)
            problem = problem or _run_problem(found)
            kept = sorted(rows[found.id], key=lambda row: (row.position, str(row.id)))
            digest = digests.get(str(found.id), "")
            if not problem and any(_is_odd(row) for row in kept):
                problem = _("等待处理的明细已有结果")
            if not problem and digest and digest != rows_digest(found, kept):
                problem = _("明细与审计记录中的摘要不符")
            if problem:
                yield Violation("E9", BATCH_OBJECT, str(found.id), problem)
    yield from lost_objects(scope, BATCH_OBJECT, RefundBatch)


def _run_problem(batch: RefundBatch) -> str:
    if (batch.finished_at is None) != (batch.next_run_at is not None):
        return _("批次的完成时间与下次处理时间不相符")
    if batch.next_run_at is not None and batch.next_run_at > clock.now() + NEXT_WITHIN:
        return _("下次处理的时间远在将来")
    return ""


def _is_odd(row: RefundBatchRow) -> bool:
    is_waiting = row.outcome == BatchOutcome.WAITING
    return is_waiting == (row.decided_at is not None) or (is_waiting and row.error_code != "")


def _rows_told(scope: Scope, ids: list[UUID]) -> dict[str, str]:
    """The newest digest of each batch's rows."""
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=BATCH_OBJECT, object_id__in=[str(key) for key in ids]
    )
    found: dict[str, str] = {}
    for batch_id, details in events.order_by("object_id", "version").values_list(
        "object_id", "details"
    ):
        found[batch_id] = details.get(ROWS, "") or found.get(batch_id, "")
    return found


def check_rules(scope: Scope) -> Iterator[Violation]:
    """The rules and notes that staff edit are as the trail says that they were left."""
    yield from _edited(scope, RefundPolicyRule, RULE_OBJECT)
    yield from _edited(scope, RefundNote, NOTE_OBJECT)
    kept = RefundNote.objects.using(scope.using).filter(id__in=DEFAULT_IDS)
    for note_id in sorted(DEFAULT_IDS - {str(key) for key in kept.values_list("id", flat=True)}):
        yield Violation("E9", NOTE_OBJECT, note_id, _("随产品提供的常用语已被删除"))


def _edited(scope: Scope, model: type[Model], object_type: str) -> Iterator[Violation]:
    began = digests_began(scope.using)
    rows = list(model._default_manager.using(scope.using).all())
    told = stories(scope.using, object_type, [row.pk for row in rows])
    for row in rows:
        story = told.get(str(row.pk))
        if story is None and isinstance(row, RefundNote) and came_with_the_product(row):
            continue
        if problem := row_problem(row, story, began):
            yield Violation("E9", object_type, str(row.pk), problem)
    yield from lost_objects(scope, object_type, model)


CHECKS = (check_approvals, check_answers, check_batches, check_rules)
