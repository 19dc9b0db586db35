"""Ending orders that were not paid: cancelled by someone, or expired by time.

An order with an open attempt is asked about and closed at its gateway first; paid wins.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from gateways.errors import GatewayError
from payments.errors import OrderNotCancellable, OrderNotFound
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import attempt_close, close_open_attempts
from payments.services.orders import (
    ORDERERS_FOR_OTHERS,
    ensure_cancellable,
    order_lock,
    order_transition,
    orders_transition,
)
from payments.states import OrderStatus
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.db import money_unit
from tcmpay.common.errors import Forbidden
from tcmpay.common.sweep import by_itself, in_time, in_turns

logger = logging.getLogger(__name__)

EXPIRE_BATCH = 500
RUN_SECONDS = 45.0
EXPIRE_BATCHES_MAX = 200
# When the gateway can't be reached, an order waits this long after its expire_time and is then
# expired with the close still owed.
UNREACHABLE_GRACE = timedelta(minutes=3)
ENDING_ROUNDS_MAX = 3


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """What a sweep did: orders expired, orders found paid instead, orders left for later."""

    expired: int = 0
    paid: int = 0
    waiting: int = 0


def order_cancel(*, actor: Actor, order_id: UUID, reason: str = "") -> None:
    """Cancel a pending order, closing its open attempts at their gateways first.

    Raises OrderNotFound, Forbidden, OrderNotCancellable; GatewayDown when a gateway can't be
    reached (nothing changes).
    """
    order = PaymentOrder.objects.filter(id=order_id).first()
    if order is None:
        raise OrderNotFound()
    if actor.role not in ORDERERS_FOR_OTHERS and not actor.owns(order.user_id):
        raise Forbidden()
    ensure_cancellable(order)
    for _round in range(ENDING_ROUNDS_MAX):
        close_open_attempts(order_id, is_required=True)
        if _cancel_unless_attempted(actor, order_id, reason):
            return
    raise OrderNotCancellable()


@money_unit
def _cancel_unless_attempted(actor: Actor, order_id: UUID, reason: str) -> bool:
    """Cancel the order; False when an attempt was opened meanwhile."""
    order = order_lock(order_id)
    ensure_cancellable(order)
    if PaymentTransaction.objects.open().filter(order_id=order_id).exists():
        return False
    cause = Cause(actor=actor, action="order_cancelled", reason=reason)
    order_transition(order, OrderStatus.CANCELLED, cause)
    return True


def orders_expire() -> ExpiryReport:
    """Expire every due order: those without an open attempt in batches, the others one by one."""
    horizon = clock.now()
    expired = 0
    for _batch in range(EXPIRE_BATCHES_MAX):
        count = _expire_batch()
        expired += count
        if count < EXPIRE_BATCH:
            break
    report = ExpiryReport(expired=expired)
    with_attempts = _due_orders(horizon).filter(_has_open_attempt())
    # Tried longest ago first: those that a slow gateway holds up are not before all others again.
    by = ("expiry_tried_at", "expire_time")
    ids = in_turns(with_attempts, of="user_id", by=by, count=EXPIRE_BATCH)
    for order_id in in_time(ids, seconds=RUN_SECONDS):
        with by_itself(logger, "order_expiry_failed", order=str(order_id)):
            due = _due_orders(horizon).filter(id=order_id)
            due.update(expiry_tried_at=clock.now())
            report = _added(report, order_expire(order_id))
    return report


@money_unit
def _expire_batch() -> int:
    due = _due_orders(clock.now()).exclude(_has_open_attempt())
    # Two sweepers share the work instead of waiting for each other.
    locked = due.select_for_update(
        skip_locked=connection.features.has_select_for_update_skip_locked
    )
    orders = list(locked.order_by("expire_time")[:EXPIRE_BATCH])
    orders_transition(orders, OrderStatus.EXPIRED, _expiry())
    return len(orders)


def order_expire(order_id: UUID) -> OrderStatus:
    """Expire one due order whose attempts have to be closed first; returns its state then.

    Past the grace an unreachable gateway no longer holds the order up: the close stays owed.
    """
    order = PaymentOrder.objects.get(id=order_id)
    is_overdue = clock.now() >= order.expire_time + UNREACHABLE_GRACE
    for attempt in PaymentTransaction.objects.open().filter(order_id=order_id):
        try:
            attempt_close(attempt)
        except GatewayError as error:
            logger.warning("close_before_expiry_failed", extra={"error": str(error)})
            if not is_overdue:
                return OrderStatus.PENDING
    return _expire_one(order_id, is_forced=is_overdue)


@money_unit
def _expire_one(order_id: UUID, *, is_forced: bool) -> OrderStatus:
    order = order_lock(order_id)
    is_due = order.status == OrderStatus.PENDING and order.expire_time <= clock.now()
    attempts = PaymentTransaction.objects.open().filter(order_id=order_id)
    if is_due and (is_forced or not attempts.exists()):
        attempts.update(is_close_owed=True, next_check_at=clock.now())
        _expire(order)
    return OrderStatus(order.status)


def _expire(order: PaymentOrder) -> None:
    order_transition(order, OrderStatus.EXPIRED, _expiry())


def _expiry() -> Cause:
    return Cause(actor=SYSTEM, action="order_expired", reason=_("超过支付期限未支付"))


def _added(report: ExpiryReport, status: OrderStatus) -> ExpiryReport:
    return ExpiryReport(
        expired=report.expired + (status == OrderStatus.EXPIRED),
        paid=report.paid + (status == OrderStatus.PAID),
        waiting=report.waiting + (status == OrderStatus.PENDING),
    )


def _due_orders(moment: object) -> QuerySet[PaymentOrder]:
    return PaymentOrder.objects.filter(status=OrderStatus.PENDING, expire_time__lte=moment)


def _has_open_attempt() -> Exists:
    return Exists(PaymentTransaction.objects.open().filter(order_id=OuterRef("id")))
