"""The invariants of refunds (R1–R5, E2, E3, E5), from the database alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from balances.invariants import entries_of_nothing
from balances.models import BalanceTransaction, EntryType, RelatedType
from payments.invariants_days import wrong_days
from payments.models import PaymentException, PaymentTransaction
from payments.states import (
    REFUNDABLE_STATUSES,
    Disposition,
    ExceptionKind,
    OrderStatus,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
)
from refunds.check_rows import odd_payments, odd_refunds
from refunds.models import Refund, RefundApproval, RefundBatch
from refunds.services.approvals import approvals_needed
from refunds.services.numbers import NUMBER_TAKEN_BACK
from refunds.services.own_cases import is_handled_otherwise
from refunds.services.submission import CLOSED, HANDLED_WAIT_MAX
from refunds.states import AUTOMATIC_CAUSES, RESERVING_STATUSES, RefundStatus
from tcmpay.audit.invariants import FollowedTrail
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_checks import digests_began, row_problem
from tcmpay.audit.stories import Story, stories
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, in_chunks
from tcmpay.common.money import ZERO, Money, format_money

STUCK_AFTER = timedelta(minutes=5)
# No sweeper puts off its next question for longer.
NEXT_WITHIN = timedelta(hours=12)
HANDLED_NEXT_WITHIN = HANDLED_WAIT_MAX + timedelta(hours=1)
BATCH = 1000
# The objects whose chains are followed here, with all that they tell.
FOLLOWED = (Refund.AUDIT_OBJECT,)
APPROVED_STATUSES = frozenset({RefundStatus.PROCESSING, RefundStatus.SUCCESS, RefundStatus.FAILED})
# What refunds are compared with.
PAYMENT_FIELDS = (
    *("transaction_no", "amount", "refund_reserved", "disposition"),
    *("order__order_no", "order__amount", "order__status"),
)
# What a refund is compared with in its order and its payment.
BELONGING_FIELDS = (
    *("order__user_id", "transaction__order_id", "transaction__transaction_type"),
    *("transaction__status", "transaction__payment_method"),
)


def check_payments(scope: Scope) -> Iterator[Violation]:
    """Per payment: what refunds hold, and the order's state that follows from them (R1, R2)."""
    payments = (
        PaymentTransaction.objects.using(scope.using).select_related("order").only(*PAYMENT_FIELDS)
    )
    for odd in odd_payments(scope, _check_reserved, _check_order_state):
        batch = list(payments.filter(id__in=odd).order_by("id"))
        held: dict[UUID, list[Refund]] = defaultdict(list)
        refunds = Refund.objects.using(scope.using).filter(transaction__in=batch)
        for refund in refunds.only("transaction_id", "status", "refund_amount"):
            held[refund.transaction_id].append(refund)
        for payment in batch:
            yield from _check_reserved(payment, held[payment.id])
            if payment.disposition == Disposition.APPLIED:
                yield from _check_order_state(payment.order, held[payment.id])


def _check_reserved(payment: Any, refunds: list[Any]) -> Iterator[Violation]:
    held = _sum(refund for refund in refunds if refund.status in RESERVING_STATUSES)
    if held > payment.amount:
        yield _payment_violation("R1", payment, _("退款合计超过收到的金额"))
    if held != payment.refund_reserved:
        yield _payment_violation("R1", payment, _("已占用退款额与退款记录合计不符"))


def _check_order_state(order: Any, refunds: list[Any]) -> Iterator[Violation]:
    done = _sum(refund for refund in refunds if refund.status == RefundStatus.SUCCESS)
    expected = (
        OrderStatus.PAID
        if done == 0
        else OrderStatus.REFUNDED
        if done == order.amount
        else OrderStatus.PARTIAL_REFUNDED
    )
    if order.status != expected:
        yield Violation(
            "R2",
            "order",
            str(order.id),
            _("%(number)s: 已退 %(done)s 元，订单状态应为 %(state)s")
            % {"number": order.order_no, "done": done, "state": expected},
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What else there is about a batch of refunds, by the refund's id."""

    stories: Mapping[str, Story]
    closings: Mapping[str, int]
    money_back: Mapping[UUID | None, list[PaymentTransaction]]
    credits: Mapping[UUID, list[BalanceTransaction]]
    reviewers: Mapping[UUID, list[UUID]]


def check_refunds(scope: Scope) -> Iterator[Violation]:
    """Each refund: who gets it, what carried it out, who approved it (R1, R3–R5, E2, E3)."""
    began = digests_began(scope.using)
    trail = FollowedTrail(scope, Refund.AUDIT_OBJECT)
    rules = (_check_belonging, _check_money_back, _check_approvals)
    for odd in odd_refunds(scope, trail, *rules):
        refunds = (
            Refund.objects.using(scope.using)
            .select_related("order", "transaction")
            .only(*(field.name for field in Refund._meta.concrete_fields), *BELONGING_FIELDS)
        )
        batch = list(refunds.filter(id__in=odd).order_by("id"))
        evidence = _evidence(scope, batch)
        for refund in batch:
            yield from _check_belonging(refund)
            yield from _check_trail(refund, evidence, began)
            yield from _check_money_back(refund, evidence)
            yield from _check_approvals(refund, evidence.reviewers[refund.id])
        yield from trail.check(odd)
    yield from trail.check_rest(Refund)


def _evidence(scope: Scope, batch: list[Refund]) -> Evidence:
    ids = [refund.id for refund in batch]
    closings: dict[str, int] = defaultdict(int)
    money_back: dict[UUID | None, list[PaymentTransaction]] = defaultdict(list)
    credits: dict[UUID, list[BalanceTransaction]] = defaultdict(list)
    reviewers: dict[UUID, list[UUID]] = defaultdict(list)
    numbered = AuditEvent.objects.using(scope.using).filter(
        object_type=Refund.AUDIT_OBJECT,
        object_id__in=[str(key) for key in ids],
        action__in=("refund_failed", NUMBER_TAKEN_BACK),
    )
    for object_id, action, details in numbered.values_list("object_id", "action", "details"):
        closings[object_id] += details.get("code") == CLOSED
        closings[object_id] -= action == NUMBER_TAKEN_BACK
    repayments = PaymentTransaction.objects.using(scope.using).filter(refund_id__in=ids)
    for row in repayments.only("refund_id", "status", "amount"):
        money_back[row.refund_id].append(row)
    entries = BalanceTransaction.objects.using(scope.using).filter(
        related_type=RelatedType.REFUND, related_id__in=ids, transaction_type=EntryType.INCOME
    )
    for entry in entries.only("related_id", "user_id", "amount"):
        credits[entry.related_id].append(entry)
    approvals = RefundApproval.objects.using(scope.using).filter(refund_id__in=ids)
    for refund_id, reviewer_id in approvals.values_list("refund_id", "reviewer_id"):
        reviewers[refund_id].append(reviewer_id)
    told = stories(scope.using, Refund.AUDIT_OBJECT, ids)
    return Evidence(told, closings, money_back, credits, reviewers)


def _check_belonging(refund: Refund) -> Iterator[Violation]:
    if refund.transaction.order_id != refund.order_id:
        yield _violation("R3", refund, _("退款的支付流水不属于该订单"))
    if refund.user_id != refund.order.user_id:
        yield _violation("R3", refund, _("退款的收款人不是订单所有人"))
    payment = refund.transaction
    if (payment.transaction_type, payment.status) != (
        TransactionType.PAYMENT,
        TransactionStatus.SUCCESS,
    ):
        yield _violation("R1", refund, _("退款的支付流水不是成功的支付"))


def _check_trail(refund: Refund, evidence: Evidence, began: datetime | None) -> Iterator[Violation]:
    story = evidence.stories.get(str(refund.id))
    if story is None or story.state != refund.status:
        yield _violation("E2", refund, _("退款状态与审计记录不一致"))
    if problem := row_problem(refund, story, began):
        yield _violation("E9", refund, problem)
    if story is None:
        return
    if story.born_by != refund.requested_by:
        yield _violation("E9", refund, _("退款的申请人与审计记录不一致"))
    if story.birth.get("amount") != format_money(refund.refund_amount):
        yield _violation("R4", refund, _("退款金额与申请时不一致"))
    number = story.birth.get("refund_no")
    if number != refund.refund_no and not story.is_silent_about("refund_no"):
        yield _violation("R4", refund, _("退款单号与申请时不一致"))
    # Only the gateway's definite CLOSED lets the number that it knows grow a suffix.
    if refund.number_generation != 1 + evidence.closings[str(refund.id)]:
        yield _violation("R4", refund, _("退款编号的代次与网关关闭的次数不符"))


def _check_money_back(refund: Refund, evidence: Evidence) -> Iterator[Violation]:
    money_back = evidence.money_back[refund.id]
    credits = evidence.credits[refund.id]
    is_done = refund.status == RefundStatus.SUCCESS
    done = [row for row in money_back if row.status == TransactionStatus.SUCCESS]
    if is_done and not done:
        yield _violation("R3", refund, _("退款已完成，但没有成功的退款流水"))
    if len(money_back) > 1 or (done and not is_done):
        yield _violation("R3", refund, _("退款流水多于一条，或退款未完成而流水已成功"))
    if any(row.amount != refund.refund_amount for row in money_back):
        yield _violation("R3", refund, _("退款流水金额不符"))
    is_balance = refund.transaction.payment_method == PaymentMethod.BALANCE
    if len(credits) != (1 if is_balance and is_done else 0):
        yield _violation("R3", refund, _("余额退款应恰有一条入账流水，其他方式应没有"))
    for credit in credits:
        if credit.user_id != refund.user_id or credit.amount != refund.refund_amount:
            yield _violation("R3", refund, _("入账流水的用户或金额不符"))


def check_lost_credits(scope: Scope) -> Iterator[Violation]:
    """No credit of a refund that there is not (R3)."""
    is_credit, text = Q(related_type=RelatedType.REFUND), _("流水 %(id)s 属于不存在的退款")
    yield from entries_of_nothing(scope, is_credit, Refund, code="R3", text=text)


def check_dead(scope: Scope) -> Iterator[Violation]:
    """A refund that ended without giving the money back has its case: somebody was told (E3)."""
    case = PaymentException.objects.using(scope.using).filter(
        kind=ExceptionKind.REFUND_REFUSED, transaction_id=OuterRef("transaction_id")
    )
    dead = Refund.objects.using(scope.using).filter(status=RefundStatus.FAILED)
    for refund in in_chunks(dead.filter(~Exists(case)), "id"):
        yield _violation("E3", refund, _("退款失败，却没有待处理的差错"))


def _check_approvals(refund: Refund, reviewers: list[UUID]) -> Iterator[Violation]:
    if refund.status not in APPROVED_STATUSES or refund.cause in AUTOMATIC_CAUSES:
        return
    if not reviewers or refund.reviewed_by not in reviewers:
        yield _violation("R5", refund, _("退款没有审批记录"))
    if {refund.requested_by, refund.user_id} & set(reviewers):
        yield _violation("R5", refund, _("退款由申请人或收款人自己批准"))
    if len(set(reviewers)) < approvals_needed(refund.refund_amount):
        yield Violation(
            "R5",
            Refund.AUDIT_OBJECT,
            str(refund.id),
            _("%(number)s: 审批人数少于现行规定（批准时的规定可能不同）")
            % {"number": refund.refund_no},
            is_notice=True,
        )


def check_unfinished(scope: Scope) -> Iterator[Violation]:
    """Nothing is stuck (E5): no processing refund without a next time, or long past it."""
    processing = Refund.objects.using(scope.using).filter(status=RefundStatus.PROCESSING)
    late = clock.now() - STUCK_AFTER
    for refund in in_chunks(processing.annotate(is_handled=is_handled_otherwise()), "id"):
        latest = clock.now() + (HANDLED_NEXT_WITHIN if refund.is_handled else NEXT_WITHIN)
        if refund.next_check_at is None or refund.next_check_at < late:
            yield Violation(
                "E5",
                Refund.AUDIT_OBJECT,
                str(refund.id),
                _("%(number)s: 退款中，处理已逾期") % {"number": refund.refund_no},
                is_unfinished=True,
            )
        elif refund.next_check_at > latest:
            yield _violation("E5", refund, _("下次处理的时间远在将来"))
        elif refund.is_handled:
            text = _(
                "%(number)s: 退款中，而差错已核销或正在申请核销：款项视为已另行退还，金额一直留着，"
                "不再发送，只偶尔询问网关"
            ) % {"number": refund.refund_no}
            yield Violation("E5", Refund.AUDIT_OBJECT, str(refund.id), text, is_notice=True)
    ended = Refund.objects.using(scope.using).filter(
        status__in=(RefundStatus.SUCCESS, RefundStatus.CANCELLED)
    )
    for refund in in_chunks(ended.exclude(next_check_at=None), "id"):
        yield _violation("E5", refund, _("已结束的退款仍有下次处理时间"))


def check_batches(scope: Scope) -> Iterator[Violation]:
    """No batch of decisions lies about unfinished long past its next run (E5)."""
    late = clock.now() - STUCK_AFTER
    left = RefundBatch.objects.using(scope.using).filter(finished_at=None, next_run_at__lt=late)
    for batch in in_chunks(left, "id"):
        message = _("批量审核未完成，处理已逾期")
        yield Violation("E5", "refund_batch", str(batch.id), message, is_unfinished=True)


def check_days(scope: Scope) -> Iterator[Violation]:
    """Every refund counts in the day in which the money went back, or the first open one (T3)."""
    done = Refund.objects.using(scope.using).filter(status=RefundStatus.SUCCESS)
    for refund in wrong_days(scope, done, "completed_on", "completed_at"):
        text = _("完成日不是完成时间所在的营业日，也不是当时第一个未日结的营业日")
        yield _violation("T3", refund, text)


def check_orders_have_payments(scope: Scope) -> Iterator[Violation]:
    """No refund of an order to which nothing was applied, except of surplus money (R2)."""
    strange = (
        Refund.objects.using(scope.using)
        .filter(transaction__disposition=Disposition.APPLIED, status=RefundStatus.SUCCESS)
        .exclude(order__status__in=(*REFUNDABLE_STATUSES, OrderStatus.REFUNDED))
    )
    for refund in in_chunks(strange, "id"):
        yield _violation("R2", refund, _("未支付的订单有已完成的退款"))


def _sum(refunds: Iterator[Refund]) -> Money:
    return sum((refund.refund_amount for refund in refunds), ZERO)


def _violation(code: str, refund: Refund, message: str) -> Violation:
    return Violation(code, Refund.AUDIT_OBJECT, str(refund.id), f"{refund.refund_no}: {message}")


def _payment_violation(code: str, payment: PaymentTransaction, message: str) -> Violation:
    return Violation(
        code, "payment_transaction", str(payment.id), f"{payment.transaction_no}: {message}"
    )


CHECKS = (
    check_payments,
    check_refunds,
    check_lost_credits,
    check_orders_have_payments,
    check_days,
    check_dead,
    check_unfinished,
    check_batches,
)
