"""The invariants of orders and payments (O1–O3, E1, E2, E5), from the database alone."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.services.orders import AUDIT_OBJECT as ORDER
from payments.services.settlement import AUDIT_OBJECT as TRANSACTION
from payments.states import (
    HELD_VERDICTS,
    PAID_STATUSES,
    SURPLUS_DISPOSITIONS,
    Disposition,
    OrderStatus,
    TransactionStatus,
    TransactionType,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, in_chunks

STUCK_AFTER = timedelta(minutes=5)
CHUNK = 1000


def _orders(scope: Scope) -> QuerySet[PaymentOrder]:
    orders = PaymentOrder.objects.using(scope.using).all()
    return orders if scope.since is None else orders.filter(updated_at__gte=scope.since)


def _batches(rows: Iterator[PaymentOrder]) -> Iterator[list[PaymentOrder]]:
    batch: list[PaymentOrder] = []
    for row in rows:
        batch.append(row)
        if len(batch) == CHUNK:
            yield batch
            batch = []
    if batch:
        yield batch


def check_orders(scope: Scope) -> Iterator[Violation]:
    """Paid orders have one applied payment that agrees with them; others none (O1, O2)."""
    for batch in _batches(in_chunks(_orders(scope), "id")):
        ids = [order.id for order in batch]
        applied = {
            payment.applied_order_id: payment
            for payment in PaymentTransaction.objects.using(scope.using).filter(
                applied_order_id__in=ids
            )
        }
        events = _first_and_last_events(scope, ids)
        for order in batch:
            yield from _check_payment(order, applied.get(order.id))
            yield from _check_story(order, *events.get(str(order.id), (None, None)))


def _check_payment(order: PaymentOrder, payment: PaymentTransaction | None) -> Iterator[Violation]:
    is_paid = order.status in PAID_STATUSES
    if is_paid and payment is None:
        yield _violation("O1", order, _("订单已支付，但没有入账的支付流水"))
    if not is_paid and payment is not None:
        yield _violation("O1", order, _("订单未支付，却有入账的支付流水"))
    if payment is None:
        return
    if payment.amount != order.amount:
        yield _violation("O2", order, _("入账金额与订单金额不符"))
    if order.payment_method != payment.payment_method:
        yield _violation("O2", order, _("入账方式与订单支付方式不符"))
    if payment.order_id != order.id or payment.status != TransactionStatus.SUCCESS:
        yield _violation("O1", order, _("入账的支付流水不属于该订单或并未成功"))


def _check_story(
    order: PaymentOrder, first: AuditEvent | None, last: AuditEvent | None
) -> Iterator[Violation]:
    """What the trail says of the order's birth and state is still so (O3, E2)."""
    if first is None or last is None:
        yield _violation("E2", order, _("订单没有审计记录"))
        return
    born = first.details
    if born.get("amount") != str(order.amount) or born.get("order_no") != order.order_no:
        yield _violation("O3", order, _("订单金额或订单号与创建时不一致"))
    if last.to_state != order.status:
        yield _violation(
            "E2",
            order,
            _("订单状态 %(state)s 与审计记录 %(told)s 不一致")
            % {"state": order.status, "told": last.to_state},
        )


def _first_and_last_events(
    scope: Scope, ids: list[object]
) -> dict[str, tuple[AuditEvent, AuditEvent]]:
    found: dict[str, tuple[AuditEvent, AuditEvent]] = {}
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=ORDER, object_id__in=[str(order_id) for order_id in ids]
    )
    for event in events.order_by("object_id", "version"):
        first, _last = found.get(event.object_id, (event, event))
        found[event.object_id] = (first, event)
    return found


def check_transactions(scope: Scope) -> Iterator[Violation]:
    """Successful payments say what became of them (E1); every state is in the trail (E2)."""
    rows = PaymentTransaction.objects.using(scope.using).all()
    if scope.since is not None:
        rows = rows.filter(initiated_at__gte=scope.since)
    for payment in in_chunks(rows, "id"):
        yield from _check_transaction(scope, payment)


def _check_transaction(scope: Scope, payment: PaymentTransaction) -> Iterator[Violation]:
    is_success = payment.status == TransactionStatus.SUCCESS
    is_payment = payment.transaction_type == TransactionType.PAYMENT
    if is_payment and is_success == (payment.disposition == Disposition.NONE):
        yield _violation("E1", payment, _("成功的支付必须且只能有一个入账情况"))
    if payment.disposition == Disposition.APPLIED and payment.applied_order_id is None:
        yield _violation("O1", payment, _("标记为已入账，但没有入账到任何订单"))
    if payment.disposition in SURPLUS_DISPOSITIONS and payment.applied_order_id is not None:
        yield _violation("O1", payment, _("多余的款项不应入账"))
    last = (
        AuditEvent.objects.using(scope.using)
        .filter(object_type=TRANSACTION, object_id=str(payment.id))
        .order_by("-version")
        .first()
    )
    if last is None or last.to_state != payment.status:
        yield _violation("E2", payment, _("支付流水状态与审计记录不一致"))


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


def check_held(scope: Scope) -> Iterator[Violation]:
    """Verified callbacks that staff have to look at: open cases, not violations."""
    held = PaymentCallback.objects.using(scope.using).filter(verdict__in=HELD_VERDICTS)
    for callback in in_chunks(held, "id"):
        yield Violation(
            code="E1",
            object_type="payment_callback",
            object_id=str(callback.id),
            message=_("网关通知待人工处理：%(verdict)s %(number)s %(reason)s")
            % {
                "verdict": callback.get_verdict_display(),
                "number": callback.out_trade_no,
                "reason": callback.reason,
            },
            is_notice=True,
        )


def _violation(
    code: str,
    row: PaymentOrder | PaymentTransaction,
    message: str,
    *,
    is_unfinished: bool = False,
) -> Violation:
    number = row.order_no if isinstance(row, PaymentOrder) else row.transaction_no
    return Violation(
        code=code,
        object_type=ORDER if isinstance(row, PaymentOrder) else TRANSACTION,
        object_id=str(row.id),
        message=f"{number}: {message}",
        is_unfinished=is_unfinished,
    )


CHECKS = (check_orders, check_transactions, check_unfinished, check_held)
