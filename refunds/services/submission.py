"""Giving the money back: to the balance at once, through a gateway in three phases."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext as _

from balances.models import RelatedType
from balances.services import Related, balance_credit
from gateways.errors import GatewayRejected, GatewayUnknown, GatewayUntrusted, RejectReason
from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.booking import Booking, booking_of
from payments.channels import refund_channel_of
from payments.models import PaymentCallback, PaymentTransaction
from payments.services.callbacks import refund_notice_lock
from payments.services.exceptions import exception_settle
from payments.services.exchanges import Question, ask
from payments.services.orders import order_refunds_changed
from payments.services.refund_money import (
    RefundExceedsPayment,
    last_refund_started_at,
    refund_release,
    refund_reserve,
    refund_transaction_begin,
    refund_transaction_fail,
    refund_transaction_insert,
    refund_transaction_succeed,
)
from payments.services.refusals import REFUND_GOES_AGAIN
from payments.states import Disposition, ExceptionKind, ExchangeKind, PaymentMethod
from refunds.limits import LIMITS, SENDING_SECONDS_MAX
from refunds.models import Refund
from refunds.selectors import refunded_total
from refunds.services.agreement import contradiction_case_open, disagreement
from refunds.services.funds import may_wait_for_funds, wait_for_funds
from refunds.services.give_back import (
    give_back_hold,
    give_back_pay_out,
    give_back_release,
    is_short_for_give_back,
    is_spent,
)
from refunds.services.numbers import (
    gateway_refund_no,
    locked_as_asked,
    succeeded_after_all,
    take_former_number,
)
from refunds.services.own_cases import (
    given_back_since,
    refund_case_open,
    refund_cases_settle,
)
from refunds.services.silence import refunds_hurry_after_silence
from refunds.services.states import (
    LockedRefund,
    refund_change,
    refund_lock,
    refund_transition,
    with_acceptance,
)
from refunds.states import ABNORMAL, RefundCause, RefundStatus, Told
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, gateway_actor
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.sweep import by_itself, in_time, in_turns

logger = logging.getLogger(__name__)

SUBMIT_TASK = "refunds.submit"
SWEEP_BATCH, RUN_SECONDS = 100, 30.0
# Seconds until we ask again, by how often we did: WeChat asks for once a minute at first.
BACKOFF_SECONDS = (15, 60, 60, 60, 120, 300, 600, 1200, 1800)
NOT_DONE = frozenset({RefundState.CLOSED, RefundState.ABNORMAL})
# Refunds that we have not asked the gateway for: what it says of them is not theirs to take.
TOLD_OF: Mapping[str, Told] = {
    RefundStatus.PENDING: Told.UNDECIDED,
    RefundStatus.CANCELLED: Told.NEVER_OURS,
}
# After a call that brought no answer, or none about the refund, however often we called before.
TROUBLE_WAIT_MAX = timedelta(minutes=5)
# Between two questions about one whose money went back another way, as long as that is ago.
HANDLED_WAIT_MIN, HANDLED_WAIT_MAX = timedelta(days=1), timedelta(days=30)
CLOSED = "CLOSED"
STOPPED = "STOPPED"
GIVEN_BACK = "GIVEN_BACK"


def balance_refund_complete(actor: Actor, locked: LockedRefund) -> None:
    """Credit the order's owner and finish the refund, inside the reviewer's unit."""
    order, payment, refund = locked
    money_back = refund_transaction_insert(
        payment=payment, refund_id=refund.id, amount=refund.refund_amount, actor=actor
    )
    refund_finish(locked, money_back, booking_of(order), actor=actor, external_id="", response=None)
    balance_credit(
        user_id=order.user_id,
        amount=refund.refund_amount,
        related=Related(RelatedType.REFUND, refund.id),
        description=_("退款 %(number)s") % {"number": refund.refund_no},
        actor=actor,
    )


def refund_send_to_gateway(refund_id: UUID) -> None:
    """Ring the worker. The refund's row is the queue: a lost bell costs half a minute."""
    ring(SUBMIT_TASK, str(refund_id))


def refund_submit(*, refund_id: UUID) -> bool:
    """Send a processing refund, or ask how it stands; safe to call again at any time.

    Returns whether its time had come, so that the gateway was called.

    A number that was ever sent is asked about first, whoever wants it sent again.
    """
    begun = _begin_submission(refund_id)
    if begun is None:
        return False
    refund, payment, is_known = begun
    try:
        if not is_known or _ask_about(refund, payment):
            _send(refund, payment)
    except (GatewayRejected, GatewayUnknown, GatewayUntrusted) as error:
        # A question was refused, or money may have moved: the refund stays as it is, and the
        # sweeper asks again with the same number.
        _keep_in_doubt(refund, error.code or "UNKNOWN", error.message or str(error))
    return True


def _send(refund: Refund, payment: PaymentTransaction) -> None:
    """Ask the gateway for the refund; the sending is counted already."""
    try:
        report = ask(
            Question(ExchangeKind.REFUND, payment, refund.id),
            lambda: refund_channel_of(payment).refund(_request(refund, payment)),
        )
    except GatewayRejected as error:
        _take_refusal(refund, error)
        return
    refund_report_apply(refund_id=refund.id, report=report)


def _ask_about(refund: Refund, payment: PaymentTransaction) -> bool:
    """Ask how a refund stands and apply the answer; whether it has to be sent (again) now."""
    asked_at = clock.now()
    report = ask(
        Question(ExchangeKind.QUERY_REFUND, payment, refund.id),
        lambda: refund_channel_of(payment).query_refund(_request(refund, payment)),
    )
    if report.state is RefundState.NOT_FOUND:
        return _take_not_found(refund, asked_at)
    refund_report_apply(refund_id=refund.id, report=report)
    return False


def _request(refund: Refund, payment: PaymentTransaction) -> RefundRequest:
    return RefundRequest(
        out_trade_no=payment.out_trade_no or "",
        transaction_id=payment.trade_no or "",
        out_refund_no=gateway_refund_no(refund),
        refund_amount=refund.refund_amount,
        total_amount=payment.amount,
        reason=_("诊疗服务退款"),
    )


@money_unit
def _begin_submission(
    refund_id: UUID,
) -> tuple[Refund, PaymentTransaction, bool] | None:
    """Phase one: count the submission and set when to ask again, whatever happens to us.

    The last value: whether the gateway may know the refund's number. If it doesn't, this is its
    first sending, and it is counted here.
    """
    _order, payment, refund = refund_lock(refund_id)
    if refund.status != RefundStatus.PROCESSING:
        return None
    now = clock.now()
    if refund.next_check_at is not None and refund.next_check_at > now:
        return None
    if wait_until := _too_soon(refund, payment):
        Refund.objects.filter(id=refund.id).update(next_check_at=wait_until)
        return None
    _money_back(refund, payment, SYSTEM)
    wait = BACKOFF_SECONDS[min(refund.submissions, len(BACKOFF_SECONDS) - 1)]
    next_check_at = now + timedelta(seconds=wait)
    handled_since = given_back_since(refund)
    if handled_since is not None:
        rarely = clock.as_long_again(handled_since, at_most=HANDLED_WAIT_MAX)
        next_check_at = max(rarely, now + HANDLED_WAIT_MIN)
    is_sent_no_more = refund.stopped_by is not None or handled_since is not None
    is_known = refund.sendings > 0 or is_sent_no_more
    sent = {} if is_known else {"sendings": 1, "sent_at": now}
    columns_write(refund, submissions=refund.submissions + 1, next_check_at=next_check_at, **sent)
    return refund, payment, is_known


def _too_soon(refund: Refund, payment: PaymentTransaction) -> datetime | None:
    """Until when this gateway wants no further refund of the same order, if it is too soon."""
    if payment.is_mock or refund.sendings > 0:
        return None
    newest = last_refund_started_at(payment, other_than=refund.id)
    allowed_at = newest + LIMITS[payment.payment_method].spacing if newest else None
    return allowed_at if allowed_at and allowed_at > clock.now() else None


@money_unit
def _take_refusal(asked: Refund, error: GatewayRejected) -> None:
    """A sending was refused.

    Nothing ends here: another sending of the number may have arrived, or this one in spite of what
    was said, so the refusal waits for a question that finds no refund (``_take_not_found``).
    """
    locked = locked_as_asked(asked)
    if locked is None:
        return
    payment, refund = locked
    is_short = error.reason == RejectReason.SHORT_OF_FUNDS
    # One that was stopped since it was sent goes again no more, whatever the account has.
    if is_short and refund.stopped_by is None and may_wait_for_funds(refund):
        wait_for_funds(refund, payment, error.code)
        return
    _note(refund, error.code, _refusal_text(error), None)
    if error.reason in REFUND_GOES_AGAIN:
        _wait_no_longer(refund)
        return
    columns_write(
        refund,
        refused_code=(error.code or "REJECTED")[:64],
        refused_message=_refusal_text(error)[:500],
        next_check_at=_known_from(refund, payment),
    )


@money_unit
def _take_not_found(asked: Refund, asked_at: datetime) -> bool:
    """The gateway knows no such refund: send it (again), then True; or end what was refused.

    Sending a number again is safe at any time. Ending frees the money, so the gateway is believed
    only where it was asked some time after the newest sending, refused or not, unless nothing was
    sent under the number.
    """
    locked = locked_as_asked(asked)
    if locked is None:
        return False
    payment, refund = locked
    now = clock.now()
    code, message = _why_not_again(refund, payment)
    if not code:
        columns_write(refund, sendings=refund.sendings + 1, sent_at=now)
        return True
    known_from = _known_from(refund, payment)
    if not refund.refused_code:
        known_from += timedelta(seconds=SENDING_SECONDS_MAX)
    if refund.sendings > 0 and asked_at < known_from:
        columns_write(refund, next_check_at=known_from)
        return False
    _fail(
        refund,
        payment,
        gateway_actor(payment.payment_method),
        code=code,
        message=message,
    )
    return False


def _why_not_again(refund: Refund, payment: PaymentTransaction) -> tuple[str, str]:
    """What ends a refund that the gateway does not know, instead of another sending; "" if not."""
    if refund.refused_code:
        return refund.refused_code, refund.refused_message
    if refund.stopped_by is not None:
        return STOPPED, _("已停止发送：%(reason)s") % {"reason": refund.stop_reason}
    if given_back_since(refund) is not None:
        return GIVEN_BACK, _("款项已另行退还")
    if _was_given_back_elsewhere(refund, payment):
        return "OUTSIDE", _("期间已在商户平台直接退款：请核对是否还应退款，再重试")
    return "", ""


def _was_given_back_elsewhere(refund: Refund, payment: PaymentTransaction) -> bool:
    """Whether somebody refunded this payment in the merchant console since the newest sending:
    perhaps in this refund's place, so that it is not sent again without a person."""
    outside = Refund.objects.filter(transaction=payment, cause=RefundCause.OUTSIDE)
    return outside.filter(created_at__gt=refund.sent_at or refund.created_at).exists()


def _known_from(refund: Refund, payment: PaymentTransaction) -> datetime:
    """From when on "there is no such refund" is to be believed of the newest sending."""
    sent_at = refund.sent_at or refund.created_at
    return sent_at + LIMITS[payment.payment_method].known_after


def _refusal_text(error: GatewayRejected) -> str:
    if error.reason == RejectReason.SHORT_OF_FUNDS:
        return _("商户账户余额不足：请充值后重试")
    return error.message


@money_unit
def refund_report_apply(
    *, refund_id: UUID, report: RefundReport, notice: PaymentCallback | None = None
) -> Told:
    """Apply what the gateway says about a refund; success wins over whatever came before.

    ``notice`` is where it says so, if it wasn't asked. Raises NoticeGone.

    Where a number in it is not ours nothing changes, and staff get a case. Of an earlier number of
    the refund, which the gateway closed, it says nothing about the one that is running.
    """
    locked = refund_lock(refund_id)
    order, payment, refund = locked
    if notice is not None:
        refund_notice_lock(notice)
    is_of_former = succeeded_after_all(refund, report)
    if report.out_refund_no != gateway_refund_no(refund) and not is_of_former:
        return Told.EARLIER_NUMBER
    if problem := disagreement(report, payment, refund):
        contradiction_case_open(report, payment=payment, reason=problem)
        return Told.HELD
    if refund.status in TOLD_OF:
        return TOLD_OF[refund.status]
    if refund.status == RefundStatus.SUCCESS:
        return Told.CONTRADICTED if report.state in NOT_DONE else Told.AGREED
    actor = gateway_actor(payment.payment_method)
    if is_of_former:
        take_former_number(refund, actor)
    if report.state is RefundState.SUCCESS:
        return _succeed(locked, report, booking_of(order, report.completed_at), actor)
    if report.state is RefundState.CLOSED and refund.status == RefundStatus.PROCESSING:
        message = _("网关已关闭该退款，可重试")
        generation = refund.number_generation + 1
        _fail(
            refund,
            payment,
            actor,
            code=CLOSED,
            message=message,
            number_generation=generation,
            external_refund_id=None,
            sendings=0,
            sent_at=None,
        )
    elif report.state is RefundState.ABNORMAL:
        message = _("退款异常：请在商户平台处理，处理后系统会自动更新")
        _note(refund, ABNORMAL, message, report)
        refund_case_open(ExceptionKind.REFUND_ABNORMAL, refund, payment, message)
    elif report.state is RefundState.PROCESSING:
        _note(refund, "", "", report)
    return Told.AGREED


def _succeed(locked: LockedRefund, report: RefundReport, booking: Booking, actor: Actor) -> Told:
    _order, payment, refund = locked
    if refund.status == RefundStatus.FAILED and not _takes_amount_again(locked, report, actor):
        is_beyond = refunded_total(payment.id) + refund.refund_amount > payment.amount
        return Told.HELD if is_beyond else Told.WITHOUT_ROOM
    is_back_twice = given_back_since(refund) is not None
    refund_finish(
        locked,
        _money_back(refund, payment, actor),
        booking,
        actor=actor,
        external_id=report.refund_id,
        response=with_acceptance(refund, report),
    )
    if is_back_twice:
        message = _("已按另行退还核销，网关又说已原路退回：可能退了两次")
        refund_case_open(ExceptionKind.REFUNDED_TWICE, refund, payment, message)
    return Told.AGREED


def _takes_amount_again(locked: LockedRefund, report: RefundReport, actor: Actor) -> bool:
    """A failed refund freed its amount; proof that it happened takes it again.

    False when another refund holds it by now: then more went back, or is about to, than was
    paid. Staff reject the other one and retry this one, which sends the same number. False, too,
    when it is no longer on the balance that it has to be taken off.
    """
    order, payment, refund = locked
    message = ""
    if not is_spent(refund) and is_short_for_give_back(order, payment, refund.refund_amount):
        message = _("网关已退款，但余额不足以扣除：待余额足够后重试本退款")
    else:
        try:
            refund_reserve(payment, refund.refund_amount)
        except RefundExceedsPayment:
            message = _("网关已退款，但可退金额已被其他退款占用：请拒绝其他退款后重试本退款")
    if message:
        _note(refund, ABNORMAL, message, report)
        refund_case_open(ExceptionKind.REFUND_ABNORMAL, refund, payment, message)
        return False
    give_back_hold(locked, actor)
    return True


def _money_back(refund: Refund, payment: PaymentTransaction, actor: Actor) -> PaymentTransaction:
    return refund_transaction_begin(
        payment=payment, refund_id=refund.id, amount=refund.refund_amount, actor=actor
    )


def refund_finish(
    locked: LockedRefund,
    money_back: PaymentTransaction,
    booking: Booking,
    *,
    actor: Actor,
    external_id: str,
    response: dict[str, object] | None,
) -> None:
    """The money is back: the refund, its transaction and the order's state, in one unit."""
    order, payment, refund = locked
    refund_transaction_succeed(
        money_back, booking=booking, actor=actor, external_id=external_id, response=response
    )
    refund_transition(
        refund,
        RefundStatus.SUCCESS,
        actor=actor,
        action="refund_succeeded",
        details=booking.told,
        completed_at=booking.moved_at,
        completed_on=booking.day,
        booked_at=booking.booked_at,
        external_refund_id=external_id or None,
        refund_response=response,
        next_check_at=None,
        short_since=None,
        refused_code="",
        refused_message="",
        error_code="",
        error_message="",
    )
    if payment.payment_method != PaymentMethod.BALANCE:  # about which there is never a case
        refund_cases_settle(refund, payment, actor)
    if payment.disposition == Disposition.APPLIED:
        order_refunds_changed(
            order,
            refunded_total=refunded_total(payment.id),
            actor=actor,
            reason=refund.refund_no,
        )
    give_back_pay_out(locked, actor)


def _fail(
    refund: Refund,
    payment: PaymentTransaction,
    actor: Actor,
    *,
    code: str,
    message: str,
    **changes: int | None,
) -> None:
    """The refund did not happen: it frees its amount, and staff are told.

    Where its money went back by another way it stays in progress instead, never sent, so that
    nothing can give the same amount again.
    """
    if given_back_since(refund) is not None:
        _note(refund, GIVEN_BACK, _("网关没有退出；款项已另行退还，继续为它留着"), None)
        return
    money_back = _money_back(refund, payment, actor)
    refund_transaction_fail(money_back, actor=actor, code=code, message=message)
    stopped = (ExceptionKind.STOPPED_REFUND, refund.id)
    exception_settle(stopped, method=payment.payment_method, resolution=message, actor=actor)
    refund_release(payment, refund.refund_amount)
    give_back_release(LockedRefund(refund.order, payment, refund), actor)
    refund_transition(
        refund,
        RefundStatus.FAILED,
        actor=actor,
        action="refund_failed",
        reason=message,
        details={"code": code},
        next_check_at=None,
        short_since=None,
        refused_code="",
        refused_message="",
        error_code=code[:64],
        error_message=message[:500],
        **changes,
    )
    refund_case_open(ExceptionKind.REFUND_REFUSED, refund, payment, message)


def _note(refund: Refund, code: str, message: str, report: RefundReport | None) -> None:
    """Keep what the gateway said; the state stays. Told again, nothing is written."""
    changes: dict[str, object] = {"error_code": code[:64], "error_message": message[:500]}
    if report is not None:
        # The gateway knows it: whatever sending was refused, another one arrived.
        changes |= {"refused_code": "", "refused_message": "", "short_since": None}
    if report is not None and report.refund_id:
        changes |= {"external_refund_id": report.refund_id, "refund_response": dict(report.raw)}
    if all(getattr(refund, name) == value for name, value in changes.items()):
        return
    refund_change(refund, Cause(actor=SYSTEM, action="refund_noted", reason=message), **changes)


@money_unit
def _keep_in_doubt(asked: Refund, code: str, message: str) -> None:
    locked = locked_as_asked(asked)
    if locked is not None:
        _payment, refund = locked
        _note(refund, code, message, None)
        _wait_no_longer(refund)


def _wait_no_longer(refund: Refund) -> None:
    if given_back_since(refund) is not None:
        return
    latest = clock.now() + TROUBLE_WAIT_MAX
    Refund.objects.filter(id=refund.id, next_check_at__gt=latest).update(next_check_at=latest)


def refunds_sweep() -> int:
    """Submit or ask about the processing refunds whose time has come; returns how many."""
    refunds_hurry_after_silence()
    due = Refund.objects.filter(status=RefundStatus.PROCESSING, next_check_at__lte=clock.now())
    ids = in_turns(due, of="user_id", by=("next_check_at",), count=SWEEP_BATCH)
    done = 0
    for refund_id in in_time(ids, seconds=RUN_SECONDS):
        with by_itself(logger, "refund_sweep_failed", refund=str(refund_id)):
            done += refund_submit(refund_id=refund_id)
    return done
