"""The invariants of orders and payments (L4, O1–O3, E2, E5), from the database alone.

What outsiders told us and what we promised them is in ``invariants_evidence``.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.utils.translation import gettext as _

from balances.invariants import entries_of_nothing
from balances.models import BalanceTransaction, EntryType, RelatedType
from payments.check_rows import odd_orders, odd_transactions
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.orders import immutable_facts
from payments.states import (
    PAID_STATUSES,
    SURPLUS_DISPOSITIONS,
    Disposition,
    OrderStatus,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
)
from tcmpay.audit.invariants import FollowedTrail
from tcmpay.audit.row_checks import digests_began, row_problem
from tcmpay.audit.stories import Story, stories
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, in_chunks

ORDER = PaymentOrder.AUDIT_OBJECT
TRANSACTION = PaymentTransaction.AUDIT_OBJECT
# The objects whose chains are followed here, with all that they tell.
FOLLOWED = (ORDER, TRANSACTION)
STUCK_AFTER = timedelta(minutes=5)
# No sweeper puts off its next question for longer.
NEXT_WITHIN = timedelta(hours=25)


def check_orders(scope: Scope) -> Iterator[Violation]:
    """Paid orders have one applied payment that agrees with them, others none (O1–O3, L4, E2)."""
    began = digests_began(scope.using)
    trail = FollowedTrail(scope, ORDER)
    for odd in odd_orders(scope, trail, _check_payments, _check_debits):
        batch = list(PaymentOrder.objects.using(scope.using).filter(id__in=odd).order_by("id"))
        ids = [order.id for order in batch]
        applied = _applied(scope, ids)
        debits = _debits(scope, ids)
        told = stories(scope.using, ORDER, ids)
        for order in batch:
            payments = applied[order.id]
            yield from _check_payments(order, payments)
            yield from _check_debits(order, payments, debits[order.id])
            yield from _check_story(order, told.get(str(order.id)), began)
        yield from trail.check(odd)
    yield from trail.check_rest(PaymentOrder)


def _applied(scope: Scope, ids: list[UUID]) -> dict[UUID | None, list[PaymentTransaction]]:
    found: dict[UUID | None, list[PaymentTransaction]] = defaultdict(list)
    for payment in (
        PaymentTransaction.objects.using(scope.using)
        .filter(applied_order_id__in=ids)
        .defer("request_data", "response_data", "callback_data")
    ):
        found[payment.applied_order_id].append(payment)
    return found


def _debits(scope: Scope, ids: list[UUID]) -> dict[UUID, list[tuple[Any, Any]]]:
    found: dict[UUID, list[tuple[Any, Any]]] = defaultdict(list)
    entries = BalanceTransaction.objects.using(scope.using).filter(
        related_type=RelatedType.ORDER,
        related_id__in=ids,
        transaction_type=EntryType.EXPENSE,
    )
    for order_id, user_id, amount in entries.values_list("related_id", "user_id", "amount"):
        found[order_id].append((user_id, amount))
    return found


def _check_payments(order: PaymentOrder, payments: list[PaymentTransaction]) -> Iterator[Violation]:
    is_paid = order.status in PAID_STATUSES
    if is_paid and not payments:
        yield _violation("O1", order, _("订单已支付，但没有入账的支付流水"))
    if not is_paid and payments:
        yield _violation("O1", order, _("订单未支付，却有入账的支付流水"))
    if len(payments) > 1:
        yield _violation("O1", order, _("订单有多笔入账的支付流水"))
    for payment in payments:
        if payment.amount != order.amount:
            yield _violation("O2", order, _("入账金额与订单金额不符"))
        if order.payment_method != payment.payment_method:
            yield _violation("O2", order, _("入账方式与订单支付方式不符"))
        if payment.order_id != order.id or payment.status != TransactionStatus.SUCCESS:
            yield _violation("O1", order, _("入账的支付流水不属于该订单或并未成功"))


def _check_debits(
    order: PaymentOrder,
    payments: list[PaymentTransaction],
    debits: list[tuple[Any, Any]],
) -> Iterator[Violation]:
    """A payment from the balance is exactly one debit of the owner's, any other is none (L4)."""
    paid = [payment for payment in payments if payment.payment_method == PaymentMethod.BALANCE]
    expected = [(order.user_id, payment.amount) for payment in paid]
    if debits != expected:
        yield _violation("L4", order, _("余额支付应恰有一条相符的扣款流水，其他方式应没有"))


def _check_story(
    order: PaymentOrder, story: Story | None, began: datetime | None
) -> Iterator[Violation]:
    """What the trail says of the order's birth, state and content is still so (O3, E2, E9)."""
    if problem := row_problem(order, story, began):
        yield _violation("E9" if story else "E2", order, problem)
    if story is None:
        return
    for name, value in immutable_facts(order).items():
        if story.birth.get(name) != value and not story.is_silent_about(name):
            yield _violation(
                "O3",
                order,
                _("订单的 %(field)s 与创建时不一致：创建时 %(born)s，现在 %(now)s")
                % {"field": name, "born": story.birth.get(name), "now": value},
            )
    if story.state != order.status:
        yield _violation(
            "E2",
            order,
            _("订单状态 %(state)s 与审计记录 %(told)s 不一致")
            % {"state": order.status, "told": story.state},
        )


def check_lost_debits(scope: Scope) -> Iterator[Violation]:
    """No debit of an order that there is not (L4)."""
    is_debit, text = Q(related_type=RelatedType.ORDER), _("流水 %(id)s 属于不存在的订单")
    yield from entries_of_nothing(scope, is_debit, PaymentOrder, code="L4", text=text)


def check_gateway_numbers(scope: Scope) -> Iterator[Violation]:
    """A gateway's number belongs to one transaction (O2); the database's UNIQUE says so too."""
    number = ("payment_method", "external_transaction_id")
    repeated = (
        PaymentTransaction.objects.using(scope.using)
        .exclude(external_transaction_id=None)
        .values(*number)
        .annotate(rows=Count("id"))
        .filter(rows__gt=1)
        .order_by(*number)
    )
    for found in repeated:
        yield Violation(
            "O2",
            TRANSACTION,
            str(found["external_transaction_id"]),
            _("同一网关交易号属于多笔流水"),
        )


def check_transactions(scope: Scope) -> Iterator[Violation]:
    """Successful payments say what became of them (E1); every state is in the trail (E2, E9)."""
    rows = PaymentTransaction.objects.using(scope.using)
    began = digests_began(scope.using)
    trail = FollowedTrail(scope, TRANSACTION)
    for odd in odd_transactions(scope, trail, _check_disposition):
        batch = list(rows.filter(id__in=odd).order_by("id"))
        told = stories(scope.using, TRANSACTION, [payment.id for payment in batch])
        for payment in batch:
            yield from _check_disposition(payment)
            story = told.get(str(payment.id))
            if story is None or story.state != payment.status:
                yield _violation("E2", payment, _("支付流水状态与审计记录不一致"))
            if problem := row_problem(payment, story, began):
                yield _violation("E9", payment, problem)
        yield from trail.check(odd)
    yield from trail.check_rest(PaymentTransaction)


def _check_disposition(payment: PaymentTransaction) -> Iterator[Violation]:
    is_success = payment.status == TransactionStatus.SUCCESS
    is_payment = payment.transaction_type == TransactionType.PAYMENT
    if is_payment and is_success == (payment.disposition == Disposition.NONE):
        yield _violation("E1", payment, _("成功的支付必须且只能有一个入账情况"))
    if payment.disposition == Disposition.APPLIED and payment.applied_order_id is None:
        yield _violation("O1", payment, _("标记为已入账，但没有入账到任何订单"))
    if payment.refund_reserved and not (is_payment and is_success):
        yield _violation("R1", payment, _("没有成功的支付却占用了退款额"))
    if payment.disposition in SURPLUS_DISPOSITIONS and payment.applied_order_id is not None:
        yield _violation("O1", payment, _("多余的款项不应入账"))


def check_unfinished(scope: Scope) -> Iterator[Violation]:
    """Nothing is stuck (E5): orders past expiry, attempts without a next question."""
    late = clock.now() - STUCK_AFTER
    overdue = PaymentOrder.objects.using(scope.using).filter(
        status=OrderStatus.PENDING, expire_time__lt=late
    )
    for order in in_chunks(overdue, "id"):
        yield _violation("E5", order, _("订单过期超过 5 分钟仍未结束"), is_unfinished=True)
    open_attempts = PaymentTransaction.objects.using(scope.using).filter(
        status=TransactionStatus.PENDING, transaction_type=TransactionType.PAYMENT
    )
    for attempt in in_chunks(open_attempts.filter(next_check_at=None), "id"):
        yield _violation("E5", attempt, _("支付进行中，却没有下次查询时间"), is_unfinished=True)
    for attempt in in_chunks(open_attempts.filter(next_check_at__lt=late), "id"):
        yield _violation("E5", attempt, _("支付查询已逾期 5 分钟"), is_unfinished=True)
    far = clock.now() + NEXT_WITHIN
    ended = PaymentTransaction.objects.using(scope.using).exclude(status=TransactionStatus.PENDING)
    for attempt in in_chunks(open_attempts.filter(next_check_at__gt=far), "id"):
        yield _violation("E5", attempt, _("下次查询的时间远在将来"))
    for attempt in in_chunks(ended.exclude(next_check_at=None), "id"):
        yield _violation("E5", attempt, _("已结束的支付仍有下次查询时间"))


def _violation(
    code: str,
    row: Any,
    message: str,
    *,
    is_unfinished: bool = False,
) -> Violation:
    # A model's row or a bare one.
    is_order = hasattr(row, "order_no")
    number = row.order_no if is_order else row.transaction_no
    return Violation(
        code=code,
        object_type=ORDER if is_order else TRANSACTION,
        object_id=str(row.id),
        message=f"{number}: {message}",
        is_unfinished=is_unfinished,
    )


CHECKS = (
    check_orders,
    check_lost_debits,
    check_gateway_numbers,
    check_transactions,
    check_unfinished,
)
