"""The invariants of refunds (R1–R5, E5), from the database alone."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.utils.translation import gettext as _

from balances.models import BalanceTransaction, EntryType, RelatedType
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import (
    REFUNDABLE_STATUSES,
    Disposition,
    OrderStatus,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
)
from refunds.models import Refund, RefundApproval, RefundBatch
from refunds.services.requests import approvals_needed
from refunds.services.states import AUDIT_OBJECT
from refunds.states import AUTOMATIC_CAUSES, RESERVING_STATUSES, RefundStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, in_chunks
from tcmpay.common.money import ZERO, Money

STUCK_AFTER = timedelta(minutes=5)


def check_payments(scope: Scope) -> Iterator[Violation]:
    """Per payment: what refunds hold, and the order's state that follows from them (R1, R2)."""
    payments = (
        PaymentTransaction.objects.using(scope.using)
        .filter(transaction_type=TransactionType.PAYMENT, status=TransactionStatus.SUCCESS)
        .select_related("order")
    )
    if scope.since is not None:
        payments = payments.filter(order__updated_at__gte=scope.since)
    for payment in in_chunks(payments, "id"):
        refunds = list(Refund.objects.using(scope.using).filter(transaction=payment))
        yield from _check_reserved(payment, refunds)
        if payment.disposition == Disposition.APPLIED:
            yield from _check_order_state(payment.order, refunds)


def _check_reserved(payment: PaymentTransaction, refunds: list[Refund]) -> Iterator[Violation]:
    held = _sum(refund for refund in refunds if refund.status in RESERVING_STATUSES)
    if held > payment.amount:
        yield _payment_violation("R1", payment, _("退款合计超过收到的金额"))
    if held != payment.refund_reserved:
        yield _payment_violation("R1", payment, _("已占用退款额与退款记录合计不符"))


def _check_order_state(order: PaymentOrder, refunds: list[Refund]) -> Iterator[Violation]:
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


def check_refunds(scope: Scope) -> Iterator[Violation]:
    """Each refund: who gets it, what carried it out, who approved it (R3, R5, E2)."""
    refunds = Refund.objects.using(scope.using).select_related("order", "transaction")
    if scope.since is not None:
        refunds = refunds.filter(updated_at__gte=scope.since)
    for refund in in_chunks(refunds, "id"):
        yield from _check_belonging(refund)
        yield from _check_trail(scope, refund)
        if refund.status == RefundStatus.SUCCESS:
            yield from _check_money_back(scope, refund)
        if refund.status in {RefundStatus.PROCESSING, RefundStatus.SUCCESS, RefundStatus.FAILED}:
            yield from _check_approvals(scope, refund)


def _check_belonging(refund: Refund) -> Iterator[Violation]:
    if refund.transaction.order_id != refund.order_id:
        yield _violation("R3", refund, _("退款的支付流水不属于该订单"))
    if refund.user_id != refund.order.user_id:
        yield _violation("R3", refund, _("退款的收款人不是订单所有人"))


def _check_trail(scope: Scope, refund: Refund) -> Iterator[Violation]:
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=AUDIT_OBJECT, object_id=str(refund.id)
    )
    first, last = events.order_by("version").first(), events.order_by("-version").first()
    if first is None or last is None or last.to_state != refund.status:
        yield _violation("E2", refund, _("退款状态与审计记录不一致"))
        return
    if first.details.get("amount") != str(refund.refund_amount):
        yield _violation("R4", refund, _("退款金额与申请时不一致"))


def _check_money_back(scope: Scope, refund: Refund) -> Iterator[Violation]:
    money_back = PaymentTransaction.objects.using(scope.using).filter(refund_id=refund.id).first()
    if money_back is None or money_back.status != TransactionStatus.SUCCESS:
        yield _violation("R3", refund, _("退款已完成，但没有成功的退款流水"))
    elif money_back.amount != refund.refund_amount:
        yield _violation("R3", refund, _("退款流水金额不符"))
    credits = list(
        BalanceTransaction.objects.using(scope.using).filter(
            related_type=RelatedType.REFUND,
            related_id=refund.id,
            transaction_type=EntryType.INCOME,
        )
    )
    is_balance = refund.transaction.payment_method == PaymentMethod.BALANCE
    if len(credits) != (1 if is_balance else 0):
        yield _violation("R3", refund, _("余额退款应恰有一条入账流水，其他方式应没有"))
    for credit in credits:
        if credit.user_id != refund.user_id or credit.amount != refund.refund_amount:
            yield _violation("R3", refund, _("入账流水的用户或金额不符"))


def _check_approvals(scope: Scope, refund: Refund) -> Iterator[Violation]:
    if refund.cause in AUTOMATIC_CAUSES:
        return
    reviewers: list[UUID] = list(
        RefundApproval.objects.using(scope.using)
        .filter(refund=refund)
        .values_list("reviewer_id", flat=True)
    )
    if not reviewers or refund.reviewed_by not in reviewers:
        yield _violation("R5", refund, _("退款没有审批记录"))
    if {refund.requested_by, refund.user_id} & set(reviewers):
        yield _violation("R5", refund, _("退款由申请人或收款人自己批准"))
    if len(set(reviewers)) < approvals_needed(refund.refund_amount):
        yield Violation(
            "R5",
            AUDIT_OBJECT,
            str(refund.id),
            _("%(number)s: 审批人数少于现行规定（批准时的规定可能不同）")
            % {"number": refund.refund_no},
            is_notice=True,
        )


def check_unfinished(scope: Scope) -> Iterator[Violation]:
    """Nothing is stuck (E5): no processing refund without a next time, or long past it."""
    processing = Refund.objects.using(scope.using).filter(status=RefundStatus.PROCESSING)
    late = clock.now() - STUCK_AFTER
    for refund in in_chunks(processing, "id"):
        if refund.next_check_at is None or refund.next_check_at < late:
            yield Violation(
                "E5",
                AUDIT_OBJECT,
                str(refund.id),
                _("%(number)s: 退款中，处理已逾期") % {"number": refund.refund_no},
                is_unfinished=True,
            )


def check_batches(scope: Scope) -> Iterator[Violation]:
    """No batch of decisions lies about unfinished long past its next run (E5)."""
    late = clock.now() - STUCK_AFTER
    left = RefundBatch.objects.using(scope.using).filter(finished_at=None, next_run_at__lt=late)
    for batch in in_chunks(left, "id"):
        message = _("批量审核未完成，处理已逾期")
        yield Violation("E5", "refund_batch", str(batch.id), message, is_unfinished=True)


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
    return Violation(code, AUDIT_OBJECT, str(refund.id), f"{refund.refund_no}: {message}")


def _payment_violation(code: str, payment: PaymentTransaction, message: str) -> Violation:
    return Violation(
        code, "payment_transaction", str(payment.id), f"{payment.transaction_no}: {message}"
    )


CHECKS = (
    check_payments,
    check_refunds,
    check_orders_have_payments,
    check_unfinished,
    check_batches,
)
