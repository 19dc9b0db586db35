"""Refund notices of the gateways: of our refunds, and of refunds made in the merchant console.

A verified notice is a fact about money. It ends in the books, or as a case for staff; until then
it waits and is taken up again, so that no fact is lost and none is asked about without end.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.utils.translation import gettext as _

from gateways.errors import GatewayError
from gateways.interface import RefundReport, RefundState
from payments.models import PaymentCallback, PaymentTransaction
from payments.services.attempts import attempt_check
from payments.services.callbacks import (
    NoticeGone,
    refund_notice_envelope,
    refund_notice_postpone,
    refund_notice_report,
    refund_notice_taken,
    refund_notices_due,
)
from payments.states import TransactionStatus, TransactionType
from refunds.selectors import refunded_total
from refunds.services.agreement import (
    contradiction_case_open,
    disagreement,
    unbooked_case_open,
    unbooked_case_settle,
)
from refunds.services.checking import refund_asked
from refunds.services.numbers import refund_by_number
from refunds.services.outside import outside_refund, outside_refund_record
from refunds.services.submission import NOT_DONE, refund_report_apply
from refunds.states import Told
from tcmpay.common.actor import gateway_actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import Money
from tcmpay.common.sweep import by_itself, in_time

logger = logging.getLogger(__name__)

BATCH = 200
# One run works this long: surplus money and refunds that are due stand behind it in the same task.
RUN_SECONDS = 20.0
# Seconds until a notice is taken up again, by how often it was: the gateway's own answer may lag.
BACKOFF_SECONDS = (15, 60, 60, 120, 300, 600, 1200, 1800, 3600)
# After so many tries, about twenty minutes, staff are told; after about a day it is theirs alone.
CASE_AFTER = 6
TAKES_MAX = 30
# What waits for a decision of ours is looked at in every sweep, for as long as that takes, and less
# often where each look asks the gateway.
DECISION_WAIT = timedelta(0)
ASKING_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a notice has to be taken up again: for the gateway's word, or for a decision of ours."""

    reason: str
    is_for_decision: bool = False
    is_asking: bool = False  # each look asks the gateway


def notices_take() -> int:
    """Take up every refund notice whose time has come, oldest first; returns how many are done."""
    taken = 0
    waiting: list[tuple[object, ...]] = []
    for callback in in_time(refund_notices_due()[:BATCH], seconds=RUN_SECONDS):
        # On the same key's word: should one key be withdrawn, the other's notice still stands.
        key = (callback.config_version_id, callback.key_mark)
        told = (callback.payment_method, *key, callback.refund_notice)
        if told in waiting:
            # Word for word what another one says, which waits: one of them is enough.
            refund_notice_taken(callback.id)
            taken += 1
            continue
        with by_itself(logger, "refund_notice_failed", callback=str(callback.id)):
            if _ended(callback, _taken_up(callback)):
                taken += 1
            else:
                waiting.append(told)
    return taken


def _taken_up(callback: PaymentCallback) -> Told | Wait:
    try:
        return _take(callback, refund_notice_report(callback))
    except NoticeGone:
        logger.warning("refund_notice_gone", extra={"callback": str(callback.id)})
        return Told.HELD
    except GatewayError as error:
        logger.warning("refund_notice_waits", extra={"error": str(error)})
        return Wait(_("网关没有给出答复：%(error)s") % {"error": error})
    except SoftTimeLimitExceeded:
        raise  # the whole run is over, and the notice not broken
    except Exception:
        # One broken notice must not hold up the others, and is no less a fact.
        logger.exception("refund_notice_failed", extra={"callback": str(callback.id)})
        return Wait(_("处理出错，详见日志"))


@money_unit
def _ended(callback: PaymentCallback, outcome: Told | Wait) -> bool:
    """Keep what became of the notice; whether it is done with."""
    report = _readable(callback)
    method = callback.payment_method
    if isinstance(outcome, Told):
        if outcome is Told.AGREED:
            text = _("网关的说法与退款记录已一致")
            actor = gateway_actor(method)
            unbooked_case_settle(report, method=method, resolution=text, actor=actor)
        refund_notice_taken(callback.id)
        return True
    if outcome.is_for_decision:
        wait = ASKING_WAIT if outcome.is_asking else DECISION_WAIT
        refund_notice_postpone(callback, takes=callback.takes, wait=wait)
        return False
    takes = callback.takes + 1
    if takes >= CASE_AFTER:
        payment = _payment_of(callback, report)
        unbooked_case_open(report, method=method, payment=payment, reason=outcome.reason)
    if takes >= TAKES_MAX:
        refund_notice_taken(callback.id)
        return True
    seconds = BACKOFF_SECONDS[min(takes, len(BACKOFF_SECONDS)) - 1]
    refund_notice_postpone(callback, takes=takes, wait=timedelta(seconds=seconds))
    return False


def _readable(callback: PaymentCallback) -> RefundReport:
    try:
        return refund_notice_report(callback)
    except ValueError:
        return refund_notice_envelope(callback)


# --- what it is about ---------------------------------------------------------------------------


def _take(callback: PaymentCallback, report: RefundReport) -> Told | Wait:
    refund = refund_by_number(callback.payment_method, report.out_refund_no)
    if refund is None:
        return _take_outside(callback, report)
    told = refund_report_apply(refund_id=refund.id, report=report, notice=callback)
    if told is Told.UNDECIDED:
        return _undecided(refund.transaction, report)
    if told is Told.WITHOUT_ROOM:
        return Wait(_("其他退款占用了可退金额"), is_for_decision=True)
    if told in (Told.NEVER_OURS, Told.EARLIER_NUMBER):
        return _take_outside(callback, report)
    if told is Told.CONTRADICTED:
        return _asked_again(refund.transaction, report)
    return told


def _payment_of(callback: PaymentCallback, report: RefundReport) -> PaymentTransaction | None:
    return PaymentTransaction.objects.filter(
        payment_method=callback.payment_method,
        out_trade_no=report.out_trade_no,
        transaction_type=TransactionType.PAYMENT,
    ).first()


def _undecided(payment: PaymentTransaction, report: RefundReport) -> Told | Wait:
    """Of a refund that nobody has approved: approved, it is asked about; rejected, it happened
    outside. Until then staff know of it."""
    if report.state is RefundState.CLOSED:
        return Told.AGREED  # nothing moved, and we say no more
    _hold(payment, report, _("网关说已退款，而这笔退款在我们这里还没有批准"))
    return Wait(_("等待审核"), is_for_decision=True)


# --- a refund that is none of ours --------------------------------------------------------------


def _take_outside(callback: PaymentCallback, report: RefundReport) -> Told | Wait:
    payment = _payment_of(callback, report)
    if payment is None:
        return _strange(callback, report)
    if problem := disagreement(report, payment, outside_refund(payment, report)):
        return _contradicted(payment, report, problem)
    if report.state in NOT_DONE:
        return _not_done(payment, report)
    if report.state is not RefundState.SUCCESS:
        return Wait(_("网关还在处理这笔退款"))
    return _done(callback, payment, report)


def _strange(callback: PaymentCallback, report: RefundReport) -> Told:
    """A refund of a payment that we don't know: nothing of it can be booked."""
    if report.state is RefundState.CLOSED:
        return Told.AGREED
    _hold_strange(callback, report)
    return Told.HELD


@money_unit
def _hold_strange(callback: PaymentCallback, report: RefundReport) -> None:
    reason = _("没有这个商户订单号")
    unbooked_case_open(report, method=callback.payment_method, payment=None, reason=reason)


def _not_done(payment: PaymentTransaction, report: RefundReport) -> Told | Wait:
    """It did not happen, or is stuck with the gateway."""
    if outside_refund(payment, report) is not None:
        return _asked_again(payment, report)
    if report.state is RefundState.CLOSED:
        return Told.AGREED
    return _hold(payment, report, _("商户平台上的退款异常，需在商户平台处理"))


def _done(
    callback: PaymentCallback, payment: PaymentTransaction, report: RefundReport
) -> Told | Wait:
    """Record it, so that we can't give the same money again."""
    if payment.status != TransactionStatus.SUCCESS:
        attempt_check(payment.id)  # the refund's notice overtook the payment's
        payment.refresh_from_db()
        if payment.status != TransactionStatus.SUCCESS:
            return Wait(_("网关说退了款，而这笔支付没有入账"))
    amount = report.amount
    if amount is None:
        asked = refund_asked(payment, report.out_refund_no)
        if problem := disagreement(asked, payment):
            return _contradicted(payment, report, problem)
        if asked.state is not RefundState.SUCCESS or asked.amount is None:
            return _unconfirmed(payment, report)
        amount = asked.amount
    if outside_refund_record(payment, report, amount, callback):
        return Told.AGREED
    reason = _("其他退款占用了可退金额")
    return Wait(reason, is_for_decision=True, is_asking=report.amount is None)


def _unconfirmed(payment: PaymentTransaction, report: RefundReport) -> Told | Wait:
    """A refund without a number of its own may be one of ours: then the totals agree.

    While the gateway does not say how much went back, nothing is held for it, and no more than was
    paid can leave all the same: the gateway refuses a refund of ours that does not fit beside this
    one. That one then fails, and there is room for this.
    """
    is_numberless = report.out_refund_no == report.out_trade_no
    total: Money | None = report.refunded_total
    if is_numberless and total is not None and refunded_total(payment.id) >= total:
        return Told.AGREED
    return Wait(_("网关通知已退款，查询却没有结果"))


# --- asking, and telling staff ------------------------------------------------------------------


def _asked_again(payment: PaymentTransaction, report: RefundReport) -> Told | Wait:
    """It says that what we booked as done is not: an old message, or the truth."""
    asked = refund_asked(payment, report.out_refund_no)
    if problem := disagreement(asked, payment):
        return _contradicted(payment, report, problem)
    if asked.state is RefundState.SUCCESS:
        return Told.AGREED
    if asked.state in NOT_DONE:
        problem = _("网关说这笔退款没有成功（%(state)s），我们已记为完成") % {"state": asked.state}
        return _contradicted(payment, report, problem)
    return Wait(_("网关的通知与已完成的退款矛盾，查询还没有结果"))


@money_unit
def _contradicted(payment: PaymentTransaction, report: RefundReport, problem: str) -> Told:
    contradiction_case_open(report, payment=payment, reason=problem)
    return Told.HELD


@money_unit
def _hold(payment: PaymentTransaction, report: RefundReport, reason: str) -> Told:
    unbooked_case_open(report, method=payment.payment_method, payment=payment, reason=reason)
    return Told.HELD
