"""Attempts whose gateway gives no clear answer long after their time: cases for a person."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import exception_open, exception_settle
from payments.services.orders import order_lock
from payments.services.silence import silent_methods
from payments.states import HELD_KINDS, ExceptionKind, TransactionStatus
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

BATCH = 100
# A code is dead at its expiry; what is not known half an hour later is worth a person's look.
STUCK_AFTER = timedelta(minutes=30)


def attempts_stuck_report() -> int:
    """Open a case for each attempt that is stuck, settle those that no longer are; how many."""
    late = clock.now() - STUCK_AFTER
    stuck = (
        PaymentTransaction.objects.pending()
        .filter(next_check_at__isnull=False, gateway_expires_at__lt=late)
        .exclude(exceptions__kind=ExceptionKind.STUCK_PAYMENT)
        # What was paid wrongly has its case.
        .exclude(id__in=_held())
        # Where the gateway answers nobody, one case tells of all.
        .exclude(payment_method__in=silent_methods())
        .order_by("next_check_at")
        .values_list("id", "order_id")[:BATCH]
    )
    opened = sum(_report(attempt_id, order_id) for attempt_id, order_id in list(stuck))
    return opened + _settle_ended()


def _held() -> QuerySet[Any]:
    open_cases = PaymentException.objects.filter(kind__in=HELD_KINDS, closed_at=None)
    return open_cases.exclude(transaction=None).values("transaction_id")


@money_unit
def _report(attempt_id: UUID, order_id: UUID) -> int:
    order_lock(order_id)
    attempt = PaymentTransaction.objects.select_for_update().get(id=attempt_id)
    if attempt.status != TransactionStatus.PENDING:
        return 0
    exception_open(
        ExceptionKind.STUCK_PAYMENT,
        method=attempt.payment_method,
        fact=str(attempt.id),
        attempt=attempt,
        out_trade_no=attempt.out_trade_no or "",
        amount=attempt.amount,
        reason=_("支付已过截止时间，查询 %(number)d 次仍无结果。%(error)s")
        % {"number": attempt.checks, "error": attempt.error_message or ""},
        actor=SYSTEM,
    )
    return 1


def _settle_ended() -> int:
    ended = (
        PaymentException.objects.filter(kind=ExceptionKind.STUCK_PAYMENT, closed_at=None)
        .exclude(transaction__status=TransactionStatus.PENDING)
        .values_list("transaction_id", "transaction__order_id")[:BATCH]
    )
    return sum(_settle(attempt_id, order_id) for attempt_id, order_id in list(ended))


@money_unit
def _settle(attempt_id: UUID, order_id: UUID) -> int:
    order_lock(order_id)
    attempt = PaymentTransaction.objects.select_for_update().get(id=attempt_id)
    exception_settle(
        (ExceptionKind.STUCK_PAYMENT, attempt.id),
        method=attempt.payment_method,
        resolution=_("网关已有结果：%(state)s") % {"state": attempt.get_status_display()},
        actor=SYSTEM,
    )
    return 1
