"""Refunds that wait until the merchant's account at their gateway is filled.

A gateway that refuses a refund for want of money did nothing, and the same number is good for
later. Such a refund stays in progress and goes again by itself, ever more rarely, for a week; one
case per gateway tells staff of all of them, and is over when none waits any more.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import (
    exception_begin,
    exception_end,
    exception_open,
    locked_first,
)
from payments.states import ExceptionAction, ExceptionKind, ExceptionOutcome, PaymentMethod
from refunds.models import Refund
from refunds.services.states import refund_change
from refunds.states import RefundStatus
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, gateway_actor
from tcmpay.common.db import columns_write, money_unit

KIND = ExceptionKind.ACCOUNT_SHORT
# Between two sendings of one refund: as long again as it has waited, within these.
WAIT_MIN, WAIT_MAX = timedelta(minutes=5), timedelta(hours=6)
# Afterwards it ends as failed, once a question confirms it, and staff retry it.
WAITING_MAX = timedelta(days=7)
# What goes again by itself: a refund that staff stopped waits for no money.
WAITS = Q(status=RefundStatus.PROCESSING, short_since__isnull=False, stopped_by=None)


def may_wait_for_funds(refund: Refund) -> bool:
    """Whether a refund that was refused for want of money is to wait (still)."""
    since = refund.short_since
    return since is None or clock.now() - since < WAITING_MAX


def wait_for_funds(refund: Refund, payment: PaymentTransaction, code: str) -> None:
    """The locked refund waits for the account to be filled; inside the caller's unit."""
    now = clock.now()
    text = str(_("等待商户账户充值：充值后自动再试，退款单号不变"))
    changes = {
        "error_code": code[:64],
        "error_message": text,
        "short_since": refund.short_since or now,
    }
    if any(getattr(refund, name) != value for name, value in changes.items()):
        refund_change(refund, Cause(actor=SYSTEM, action="refund_noted", reason=text), **changes)
    again = clock.as_long_again(refund.short_since or now, at_most=WAIT_MAX)
    columns_write(refund, next_check_at=max(again, now + WAIT_MIN))
    method = payment.payment_method
    # Read again under its lock, which is held until the refund waits: nobody ends it before that.
    if locked_first(_open_cases().filter(payment_method=method)) is not None:
        return
    told = _("%(gateway)s商户账户余额不足（%(code)s），退款没有退出。等待的退款会自动再试")
    facts = {"gateway": PaymentMethod(method).label, "code": code[:64]}
    exception_open(KIND, method=method, fact=method, reason=told % facts, actor=SYSTEM)


def refunds_waiting_for_funds(method: str) -> QuerySet[Refund]:
    return Refund.objects.filter(WAITS, transaction__payment_method=method)


def accounts_filled_report() -> int:
    """End the cases of gateways at which no refund waits for money any more; returns how many."""
    over = [
        case
        for case in _open_cases()
        if not refunds_waiting_for_funds(case.payment_method).exists()
    ]
    return sum(_settle(case.id) for case in over)


def _open_cases() -> QuerySet[PaymentException]:
    return PaymentException.objects.filter(kind=KIND, closed_at=None)


@money_unit
def _settle(case_id: UUID) -> int:
    case = PaymentException.objects.select_for_update().get(id=case_id)
    # One may have begun to wait meanwhile; it locks the case, too.
    if case.closed_at is not None or refunds_waiting_for_funds(case.payment_method).exists():
        return 0
    text = _("没有退款再等待充值")
    exception_end(case, gateway_actor(case.payment_method), text, ExceptionOutcome.SETTLED)
    return 1


def funds_retry(*, actor: Actor, exception_id: UUID, reason: str) -> int:
    """Staff say that the account is filled: what waits for it goes in the next sweeps, under the
    same numbers; returns how many.

    Raises what exception_begin raises.
    """
    case = exception_begin(
        actor=actor, exception_id=exception_id, action=ExceptionAction.RETRY, reason=reason
    )
    waiting = refunds_waiting_for_funds(case.payment_method).values_list("id", flat=True)
    # Some may have ended meanwhile, and what has ended is never due.
    still = Refund.objects.filter(WAITS, id__in=list(waiting))
    return still.update(next_check_at=clock.now())
