"""Asking about attempts whose callback never came, and paying owed closes."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F

from gateways.errors import GatewayError, GatewayRejected
from gateways.interface import TradeState
from payments.errors import OrderNotFound
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import (
    attempt_check,
    attempt_close,
    attempt_give_up_unknown,
    held_attempt_wait,
    never_arrived,
)
from payments.services.orders import ORDERERS_FOR_OTHERS
from payments.states import PaymentMethod
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.errors import Forbidden, RateLimited
from tcmpay.common.sweep import by_itself, in_time, in_turns
from tcmpay.limits.services import hit_count

logger = logging.getLogger(__name__)

SWEEP_BATCH = 200
RUN_SECONDS = 40.0
# Seconds until the next question, by how often we asked: quick at first, then patient.
BACKOFF_SECONDS = (60, 60, 120, 300, 600, 900, 1800)
# After a question that brought no answer, however often we asked before.
TROUBLE_WAIT_MAX = timedelta(minutes=5)
SYNCS_PER_MINUTE = 6
# Of one order, in one request; the sweeper asks about all of them.
SYNC_ATTEMPTS_MAX = 5


def attempts_sweep() -> int:
    """Ask about every attempt whose time has come; returns how many were asked about."""
    due = PaymentTransaction.objects.pending().filter(next_check_at__lte=clock.now())
    ids = in_turns(due, of="order__user_id", by=("next_check_at",), count=SWEEP_BATCH)
    return sum(_sweep_one(attempt_id) for attempt_id in in_time(ids, seconds=RUN_SECONDS))


def _sweep_one(attempt_id: UUID) -> bool:
    """Ask about one attempt, if it waits for that still; whether it was asked about."""
    attempt = PaymentTransaction.objects.get(id=attempt_id)
    if not _claim_check(attempt):
        return False
    # Asked about again, whatever happens.
    with by_itself(logger, "attempt_sweep_failed", attempt=str(attempt_id)):
        _ask_about(attempt)
    return True


def _ask_about(attempt: PaymentTransaction) -> None:
    try:
        state = attempt_close(attempt) if attempt.is_close_owed else attempt_check(attempt.id)
        if state is TradeState.PAID:
            held_attempt_wait(attempt.id)
        elif not attempt.is_close_owed:
            _fail_if_never_arrived(attempt, state)
        if attempt.error_code is not None:
            noted = PaymentTransaction.objects.pending().filter(id=attempt.id)
            noted.update(error_code=None, error_message=None)
    except GatewayError as error:
        # Our own trouble or the gateway's never ends an attempt: it is asked about again.
        _note_trouble(attempt, error)
        level = logging.ERROR if isinstance(error, GatewayRejected) else logging.WARNING
        logger.log(level, "attempt_check_failed", extra={"error": str(error)})


def _fail_if_never_arrived(attempt: PaymentTransaction, state: TradeState) -> None:
    """WeChat knows every number it was asked for: one that it doesn't know never arrived.

    Alipay knows a trade only once its buyer opened it, so there NOT_FOUND means "not yet". And a
    number that was answered once did arrive, whatever is said of it later.
    """
    is_wechat = attempt.payment_method == PaymentMethod.WECHAT
    if state is TradeState.NOT_FOUND and is_wechat and never_arrived(attempt):
        attempt_give_up_unknown(attempt.id)


def _note_trouble(attempt: PaymentTransaction, error: GatewayError) -> None:
    """Keep why nobody knows how it stands, for people and for the end of a silence."""
    pending = PaymentTransaction.objects.pending().filter(id=attempt.id)
    pending.update(error_code=(error.code or "UNKNOWN")[:64], error_message=str(error)[:500])
    latest = clock.now() + TROUBLE_WAIT_MAX
    pending.filter(next_check_at__gt=latest).update(next_check_at=latest)


def _claim_check(attempt: PaymentTransaction) -> bool:
    """Move the next question into the future; False when another sweeper did so first."""
    wait = BACKOFF_SECONDS[min(attempt.checks, len(BACKOFF_SECONDS) - 1)]
    now = clock.now()
    due = PaymentTransaction.objects.pending().filter(
        id=attempt.id, checks=attempt.checks, next_check_at__lte=now
    )
    next_check_at = now + timedelta(seconds=wait)
    return due.update(checks=F("checks") + 1, next_check_at=next_check_at) == 1


def order_sync(*, actor: Actor, order_id: UUID) -> PaymentOrder:
    """Ask the gateways about the order's newest open attempts now and return the order.

    Bounded per order. Raises OrderNotFound, Forbidden, RateLimited. A gateway that doesn't
    answer changes nothing: the order is returned as it stands.
    """
    order = PaymentOrder.objects.filter(id=order_id).first()
    if order is None:
        raise OrderNotFound()
    if actor.role not in ORDERERS_FOR_OTHERS and not actor.owns(order.user_id):
        raise Forbidden()
    hit = hit_count(scope="sync", identity=str(order_id))
    if hit.count > SYNCS_PER_MINUTE:
        raise RateLimited(retry_after_seconds=hit.window_ends_in_seconds)
    pending = PaymentTransaction.objects.pending().filter(order_id=order_id)
    for attempt in pending.order_by("-initiated_at")[:SYNC_ATTEMPTS_MAX]:
        _ask_quietly(attempt.id)
    return PaymentOrder.objects.get(id=order_id)


def _ask_quietly(attempt_id: UUID) -> TradeState | None:
    try:
        return attempt_check(attempt_id)
    except GatewayError as error:
        logger.warning("sync_failed", extra={"error": str(error)})
        return None
