"""Refunds that wait until the merchant's account at their gateway is filled.

A gateway that refuses a refund for want of money did nothing, and the same number is good for
later. Such a refund stays in progress and goes again by itself, ever more rarely, for a week; one
case per merchant number tells staff of all of them, and is over when none waits any more.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from config.gateways.merchants import merchant_versions
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
    method, number = payment.payment_method, _merchant_number(payment)
    fact = number or method
    # Read again under its lock, which is held until the refund waits: nobody ends it before that.
    if locked_first(_about(method, fact)) is not None:
        return
    told = _("%(gateway)s商户账户余额不足（%(code)s），退款没有退出。等待的退款会自动再试")
    if number:
        told = _(
            "%(gateway)s商户号 %(number)s 的账户余额不足（%(code)s），退款没有退出。"
            "等待的退款会自动再试"
        )
    facts = {"gateway": PaymentMethod(method).label, "number": number, "code": code[:64]}
    exception_open(KIND, method=method, fact=fact, reason=told % facts, actor=SYSTEM)


def _merchant_number(payment: PaymentTransaction) -> str:
    """Whose account gives the payment back; "" where it is the mock's, or can't be known."""
    if payment.is_mock or payment.config_version_id is None:
        return ""
    versions = merchant_versions(payment.payment_method)
    numbers = (one.merchant.number for one in versions if one.id == payment.config_version_id)
    return next(numbers, "")


def _about(method: str, fact: str) -> QuerySet[PaymentException]:
    """The open cases of an account. Each is one at a time, so that it has no episodes beside it."""
    of_method = _open_cases().filter(payment_method=method)
    keys = [case.pk for case in of_method if case.subject == fact]
    return of_method.filter(pk__in=keys)


def funds_case(refund: Refund) -> PaymentException | None:
    """The open case that tells of the account for which the refund waits."""
    if refund.short_since is None:
        return None
    payment = refund.transaction
    fact = _merchant_number(payment) or payment.payment_method
    return _about(payment.payment_method, fact).first()


def refunds_waiting_for_funds(case: PaymentException) -> QuerySet[Refund]:
    """What waits for the account of ``case``; one that names no merchant is about its gateway."""
    method, number = case.payment_method, case.subject
    waiting = Refund.objects.filter(WAITS, transaction__payment_method=method)
    if number == method:
        return waiting
    versions = [one.id for one in merchant_versions(method) if one.merchant.number == number]
    return waiting.filter(transaction__config_version_id__in=versions, transaction__is_mock=False)


def accounts_filled_report() -> int:
    """End the cases of accounts for which no refund waits any more; returns how many."""
    over = [case for case in _open_cases() if not refunds_waiting_for_funds(case).exists()]
    return sum(_settle(case.id) for case in over)


def _open_cases() -> QuerySet[PaymentException]:
    return PaymentException.objects.filter(kind=KIND, closed_at=None)


@money_unit
def _settle(case_id: UUID) -> int:
    case = PaymentException.objects.select_for_update().get(id=case_id)
    # One may have begun to wait meanwhile; it locks the case, too.
    if case.closed_at is not None or refunds_waiting_for_funds(case).exists():
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
    waiting = refunds_waiting_for_funds(case).values_list("id", flat=True)
    # Some may have ended meanwhile, and what has ended is never due.
    still = Refund.objects.filter(WAITS, id__in=list(waiting))
    return still.update(next_check_at=clock.now())
