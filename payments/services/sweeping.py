"""Asking about attempts whose callback never came, and paying owed closes."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.utils.translation import gettext as _

from gateways.errors import GatewayError, GatewayRejected
from gateways.interface import TradeState
from payments.errors import OrderNotFound, SyncTooOften
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import attempt_check, attempt_close, attempt_give_up
from payments.services.orders import ORDERERS_FOR_OTHERS
from payments.states import PaymentMethod, TransactionStatus, TransactionType
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.errors import Forbidden
from tcmpay.guard.services import hit_count

logger = logging.getLogger(__name__)

SWEEP_BATCH = 200
# Seconds until the next question, by how often we asked: quick at first, then patient.
BACKOFF_SECONDS = (60, 60, 120, 300, 600, 900, 1800)
SYNCS_PER_MINUTE = 6
NEVER_ARRIVED_AFTER = timedelta(minutes=5)


def attempts_sweep() -> int:
    """Ask about every attempt whose time has come; returns how many were asked about."""
    due = list(
        PaymentTransaction.objects.filter(next_check_at__lte=clock.now())
        .filter(transaction_type=TransactionType.PAYMENT, status=TransactionStatus.PENDING)
        .order_by("next_check_at")[:SWEEP_BATCH]
    )
    return sum(_sweep_one(attempt) for attempt in due)


def _sweep_one(attempt: PaymentTransaction) -> bool:
    if not _claim_check(attempt):
        return False
    try:
        if attempt.is_close_owed:
            attempt_close(attempt)
        else:
            _fail_if_never_arrived(attempt, attempt_check(attempt.id))
    except GatewayError as error:
        # Our own trouble or the gateway's never ends an attempt: it is asked about again.
        level = logging.ERROR if isinstance(error, GatewayRejected) else logging.WARNING
        logger.log(level, "attempt_check_failed", extra={"error": str(error)})
    except Exception:
        # One broken attempt must not hold up the others; it is asked about again.
        logger.exception("attempt_sweep_failed", extra={"attempt": str(attempt.id)})
    return True


def _fail_if_never_arrived(attempt: PaymentTransaction, state: TradeState) -> None:
    """WeChat knows every number it was asked for: one that it doesn't know never arrived.

    Alipay knows a trade only once its buyer opened it, so there NOT_FOUND means "not yet".
    """
    is_old = clock.now() >= attempt.initiated_at + NEVER_ARRIVED_AFTER
    is_wechat = attempt.payment_method == PaymentMethod.WECHAT
    if state is TradeState.NOT_FOUND and is_wechat and is_old:
        attempt_give_up(attempt.id, "NOT_FOUND", _("请求未到达网关，请重新发起支付"))


def _claim_check(attempt: PaymentTransaction) -> bool:
    """Move the next question into the future; False when another sweeper did so first."""
    wait = BACKOFF_SECONDS[min(attempt.checks, len(BACKOFF_SECONDS) - 1)]
    claimed = PaymentTransaction.objects.filter(
        id=attempt.id, checks=attempt.checks, status=TransactionStatus.PENDING
    ).update(checks=F("checks") + 1, next_check_at=clock.now() + timedelta(seconds=wait))
    return claimed == 1


def order_sync(*, actor: Actor, order_id: UUID) -> PaymentOrder:
    """Ask the gateways about the order's open attempts now and return the order.

    Bounded per order. Raises OrderNotFound, Forbidden, SyncTooOften. A gateway that doesn't
    answer changes nothing: the order is returned as it stands.
    """
    order = PaymentOrder.objects.filter(id=order_id).first()
    if order is None:
        raise OrderNotFound()
    if actor.role not in ORDERERS_FOR_OTHERS and not actor.owns(order.user_id):
        raise Forbidden()
    hit = hit_count(scope="sync", identity=str(order_id))
    if hit.count > SYNCS_PER_MINUTE:
        raise SyncTooOften(retry_after_seconds=hit.window_ends_in_seconds)
    for attempt in PaymentTransaction.objects.filter(
        order_id=order_id,
        transaction_type=TransactionType.PAYMENT,
        status=TransactionStatus.PENDING,
    ):
        _ask_quietly(attempt.id)
    return PaymentOrder.objects.get(id=order_id)


def _ask_quietly(attempt_id: UUID) -> TradeState | None:
    try:
        return attempt_check(attempt_id)
    except GatewayError as error:
        logger.warning("sync_failed", extra={"error": str(error)})
        return None
