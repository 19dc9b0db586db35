"""Attempts to pay: from the balance at once, at a gateway in three phases."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from gateways.errors import (
    GatewayError,
    GatewayRejected,
    GatewayUnknown,
    GatewayUntrusted,
    RejectReason,
)
from gateways.interface import (
    GATEWAY_METHODS,
    CloseState,
    Gateway,
    PaymentRequest,
    PaymentStart,
    Scene,
    TradeState,
)
from payments.addresses import address_kept
from payments.channels import Channel, channel_for_new_attempt, channel_of
from payments.errors import (
    GatewayDown,
    GatewayRefused,
    OrderNotFound,
    OrderNotPayable,
    TooManyAttempts,
    UnsupportedMethod,
)
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.balance_payment import (
    AttemptsPending,
    BalancePayment,
    debit_and_apply,
)
from payments.services.exchanges import Question, ask
from payments.services.orders import ensure_payable, order_lock
from payments.services.refusals import NEW_NUMBER, ends_start
from payments.services.settlement import (
    attempt_fail,
    trade_report_apply,
    transaction_note,
)
from payments.states import (
    HELD_KINDS,
    ExchangeKind,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
)
from tcmpay.audit.transitions import Cause, row_insert
from tcmpay.common import clock
from tcmpay.common.actor import Actor, gateway_actor
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import InvalidInput
from tcmpay.common.ids import attempt_number, new_number
from tcmpay.common.order_types import OrderType
from tcmpay.common.transitions import ensure_one

logger = logging.getLogger(__name__)

FIRST_CHECK_AFTER = timedelta(seconds=60)
STARTS_MAX = 4
# Of one order at all gateways together: more than any payer needs, and few enough to ask about.
ATTEMPTS_MAX = 30
NEVER_ARRIVED_AFTER = timedelta(minutes=5)
OWED_CLOSE_CHECK = timedelta(minutes=5)
# What staff have the case of is asked about once a day at least.
HELD_WAIT_MAX = timedelta(days=1)
HELD = "HELD"
# Clocks differ: a code is taken for dead this long after its expiry.
GATEWAY_EXPIRY_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayCommand:
    order_id: UUID
    payment_method: str
    return_url: str = ""
    scene: str = ""
    openid: str = ""
    client_ip: str = ""


@dataclass(frozen=True, slots=True)
class PayResult:
    order: PaymentOrder
    payment_method: str
    start: PaymentStart


def pay(*, actor: Actor, command: PayCommand, idempotency_key_id: UUID | None = None) -> PayResult:
    """Pay an order from its owner's balance, or start paying it at a gateway.

    Raises:
        UnsupportedMethod, OrderNotFound, Forbidden, OrderNotPayable, OrderExpired.
        InsufficientBalance, BalanceUnderReview: nothing is written.
        GatewayDown, GatewayRefused: the attempt is recorded, the order stays payable.
        TooManyAttempts: the order was begun to be paid too often.
    """
    logger.debug(
        "payment_requested",
        extra={
            "order_id": str(command.order_id),
            "payment_method": command.payment_method,
            "scene": command.scene,
        },
    )
    if command.payment_method == PaymentMethod.BALANCE:
        return _pay_from_balance(actor, command, idempotency_key_id)
    if command.payment_method in GATEWAY_METHODS:
        return _pay_at_gateway(actor, command)
    raise UnsupportedMethod()


# --- from the balance -------------------------------------------------------------------------


def _pay_from_balance(
    actor: Actor, command: PayCommand, idempotency_key_id: UUID | None
) -> PayResult:
    payment = BalancePayment(actor, command.order_id, idempotency_key_id)
    try:
        order = debit_and_apply(payment, is_alone=True)
    except AttemptsPending:
        close_open_attempts(command.order_id, is_required=False)
        order = debit_and_apply(payment, is_alone=False)
    return PayResult(order, PaymentMethod.BALANCE, PaymentStart())


# --- at a gateway -----------------------------------------------------------------------------


def _pay_at_gateway(actor: Actor, command: PayCommand) -> PayResult:
    ensure_payable(_read_order(command.order_id), actor)
    channel = channel_for_new_attempt(command.payment_method)
    scene = _scene(channel.gateway, command)
    for _start in range(STARTS_MAX):
        _ensure_room(command, scene)
        close_open_attempts(command.order_id, is_required=True, unless=(command, scene))
        attempt = _open_attempt(actor, command, scene, channel)
        if attempt is None:
            continue  # another gateway's attempt was opened meanwhile: close that one first
        try:
            return _start_at_gateway(actor, command, attempt)
        except _NumberBurnt:
            continue  # the attempt is failed by now: the next round takes a new number
    raise GatewayRefused()


class _NumberBurnt(Exception):
    """The gateway wants no more of this out_trade_no: the next attempt takes a new one."""


def _scene(gateway: Gateway, command: PayCommand) -> Scene:
    asked = command.scene or gateway.scenes[0]
    if asked not in gateway.scenes:
        raise InvalidInput({"scene": [_("该支付方式不支持此场景")]})
    scene = Scene(asked)
    if scene in {Scene.JSAPI, Scene.MINI_PROGRAM} and not command.openid:
        raise InvalidInput({"openid": [_("此场景需要 openid")]})
    return scene


@money_unit
def _open_attempt(
    actor: Actor, command: PayCommand, scene: Scene, channel: Channel
) -> PaymentTransaction | None:
    """Phase one: the attempt that this command continues, or a new one with its number fixed.

    None when an attempt that has to be closed first is still open.
    """
    order = order_lock(command.order_id)
    ensure_payable(order, actor)
    open_attempts = list(_open_attempts(order.id).select_for_update())
    fitting = [attempt for attempt in open_attempts if _fits(attempt, command, scene)]
    if len(fitting) != len(open_attempts):
        return None
    if fitting:
        return _started_again(fitting[0])
    return _insert_attempt(actor, order, command, scene, channel)


def _started_again(attempt: PaymentTransaction) -> PaymentTransaction:
    """Count another start of one that was never answered: a refusal of this one is not the word
    about all of them. An attempt that was answered once is known at its gateway anyway."""
    if not _was_answered(attempt):
        columns_write(attempt, starts=attempt.starts + 1, started_at=clock.now())
    return attempt


def _was_answered(attempt: PaymentTransaction) -> bool:
    """Whether the gateway answered a start: then the payer may hold a code that can be paid."""
    return attempt.response_data is not None


def _ensure_room(command: PayCommand, scene: Scene) -> None:
    """Refuse one attempt too many before anything is closed for it; looked at again when locked."""
    if _gateway_attempts(command.order_id).count() < ATTEMPTS_MAX:
        return
    if not any(_fits(attempt, command, scene) for attempt in _open_attempts(command.order_id)):
        raise TooManyAttempts(attempts=ATTEMPTS_MAX)


def _gateway_attempts(order_id: UUID) -> QuerySet[PaymentTransaction]:
    return PaymentTransaction.objects.filter(
        order_id=order_id,
        payment_method__in=GATEWAY_METHODS,
        transaction_type=TransactionType.PAYMENT,
    )


def _insert_attempt(
    actor: Actor, order: PaymentOrder, command: PayCommand, scene: Scene, channel: Channel
) -> PaymentTransaction:
    now = clock.now()
    earlier = _gateway_attempts(order.id)
    if earlier.count() >= ATTEMPTS_MAX:
        raise TooManyAttempts(attempts=ATTEMPTS_MAX)
    at_this_gateway = earlier.filter(payment_method=command.payment_method).count()
    number = attempt_number(order.order_no, at_this_gateway)
    request = PaymentRequest(
        out_trade_no=number,
        amount=order.amount,
        description=_shown_as(order),
        scene=scene,
        created_at=now,
        expires_at=order.expire_time,
        return_url=command.return_url,
        openid=command.openid,
        client_ip=command.client_ip,
    )
    try:
        prepared = channel.gateway.prepare_payment(request)
    except GatewayRejected as error:
        # Not even sent, as h5 without the payer's address: nothing is written of it.
        logger.warning("payment_not_prepared", extra={"scene": str(scene), "error": str(error)})
        raise GatewayRefused(code=error.code) from error
    attempt = PaymentTransaction(
        transaction_no=new_number("TXN", now),
        order=order,
        payment_method=command.payment_method,
        amount=order.amount,
        out_trade_no=number,
        scene=scene,
        is_mock=channel.gateway.is_mock,
        config_version_id=channel.config_version_id,
        # What goes into the trade at the gateway: a change of it needs a new attempt. Where the
        # payer is led back to is no part of the trade (``Gateway.with_return_url``), and not kept:
        # the cashier's own address lets its reader pay.
        request_data={
            "prepared": channel.gateway.with_return_url(prepared, ""),
            "asked": {"openid": command.openid},
        },
        initiated_at=now,
        started_at=now,
        gateway_expires_at=order.expire_time,
        next_check_at=now + FIRST_CHECK_AFTER,
    )
    details = {"out_trade_no": number, "scene": str(scene)}
    row_insert(attempt, Cause(actor=actor, action="payment_started", details=details))
    return attempt


def _shown_as(order: PaymentOrder) -> str:
    """What the payer sees at the gateway. Never the order's own: it may name an illness."""
    is_topup = order.order_type == OrderType.TOPUP
    text = _("余额充值 %(number)s") if is_topup else _("诊疗服务订单 %(number)s")
    return text % {"number": order.order_no}


def _start_at_gateway(actor: Actor, command: PayCommand, attempt: PaymentTransaction) -> PayResult:
    """Phases two and three: register the attempt, keep the answer."""
    try:
        start = ask(
            Question(ExchangeKind.CREATE, attempt),
            lambda: _create(channel_of(attempt), attempt, command.return_url),
        )
    except GatewayRejected as error:
        _after_refusal(attempt, error)
        raise GatewayRefused(code=error.code) from error
    except (GatewayUnknown, GatewayUntrusted) as error:
        # The attempt stays pending: the same command sends the same request again.
        _note_start_error(attempt, error.code or "UNKNOWN", str(error))
        raise GatewayDown() from error
    order = _keep_start(attempt, start, actor)
    return PayResult(order, attempt.payment_method, start)


def _create(gateway: Gateway, attempt: PaymentTransaction, return_url: str) -> PaymentStart:
    """The stored request, with the payer led back to where this client wants."""
    prepared = (attempt.request_data or {})["prepared"]
    return gateway.create_payment(gateway.with_return_url(prepared, return_url))


def _after_refusal(attempt: PaymentTransaction, error: GatewayRejected) -> None:
    """What a refused start means for its attempt; raises what the client is told, if not that the
    gateway refused."""
    if error.reason == RejectReason.ALREADY_PAID:
        _check_paid(attempt, error)
    is_ended = _take_refusal(attempt.id, error)
    if error.reason in NEW_NUMBER:
        if not is_ended:
            # The payer may hold a code of an earlier start, known to us or not.
            _close_or_owe(attempt)
        raise _NumberBurnt from error
    if error.reason == RejectReason.TOO_SOON:
        raise GatewayDown() from error


def _check_paid(attempt: PaymentTransaction, error: GatewayRejected) -> NoReturn:
    try:
        attempt_check(attempt.id)
    except GatewayError as unanswered:
        raise GatewayDown() from unanswered
    raise OrderNotPayable() from error


@money_unit
def _take_refusal(attempt_id: UUID, error: GatewayRejected) -> bool:
    """End the attempt where the refused start was the only one ever made; whether it ended.

    Otherwise the payer may hold a code that can be paid: the attempt stays, and is asked about
    until that code is dead.
    """
    attempt = _lock_attempt(attempt_id)
    if attempt.status != TransactionStatus.PENDING:
        return True
    starts = attempt.starts + _was_answered(attempt)
    is_ended = ends_start(error, starts=starts)
    code, message = (error.code or "REJECTED")[:64], error.message[:500]
    if is_ended:
        attempt_fail(attempt, code=code, message=message)
    else:
        PaymentTransaction.objects.filter(id=attempt_id, status=TransactionStatus.PENDING).update(
            error_code=code, error_message=message
        )
    return is_ended


@money_unit
def _keep_start(attempt: PaymentTransaction, start: PaymentStart, actor: Actor) -> PaymentOrder:
    """Keep the answer. A code of an attempt that ended meanwhile, or whose close is owed, is not
    handed out: nobody would ask about it."""
    order = order_lock(attempt.order_id)
    ensure_payable(order, actor)
    locked = _open_attempts(order.id).select_for_update().filter(id=attempt.id).first()
    if locked is None and _open_attempts(order.id).exists():
        raise GatewayDown()  # another gateway was chosen meanwhile: that choice stands
    if locked is None:
        raise _NumberBurnt
    transaction_note(
        locked,
        actor=gateway_actor(locked.payment_method),
        action="payment_accepted",
        prepay_id=start.prepay_id or None,
        response_data={
            "payment_url": address_kept(locked, start.payment_url),
            "qr_code": start.qr_code,
            "answer": dict(start.raw),
            # What was handed out lives for a while from here.
            "answered_at": clock.utc_text(clock.now()),
        },
        error_code=None,
        error_message=None,
    )
    return order


@money_unit
def _note_start_error(attempt: PaymentTransaction, code: str, message: str) -> None:
    locked = _lock_attempt(attempt.id)
    if locked.status == TransactionStatus.PENDING:
        transaction_note(
            locked,
            actor=gateway_actor(locked.payment_method),
            action="payment_not_accepted",
            reason=message,
            error_code=code[:64],
            error_message=message[:500],
        )


@money_unit
def attempt_give_up(attempt_id: UUID, code: str, message: str) -> None:
    """Fail an attempt that is pending still; proof of payment may make it a success later."""
    attempt = _lock_attempt(attempt_id)
    if attempt.status == TransactionStatus.PENDING:
        attempt_fail(attempt, code=code, message=message)


@money_unit
def attempt_give_up_unknown(attempt_id: UUID) -> None:
    """Fail an attempt that its gateway never heard of, unless it was started again just now."""
    attempt = _lock_attempt(attempt_id)
    if attempt.status == TransactionStatus.PENDING and never_arrived(attempt):
        attempt_fail(attempt, code="NOT_FOUND", message=_("请求未到达网关，请重新发起支付"))


@money_unit
def held_attempt_wait(attempt_id: UUID) -> None:
    """What the gateway just said is paid, but not rightly, waits for staff: it is asked about again
    after as long as they have had its case, and ends with it. Proof of a right payment is booked
    whenever it comes."""
    attempt = _lock_attempt(attempt_id)
    if attempt.status != TransactionStatus.PENDING:
        return
    cases = PaymentException.objects.filter(transaction=attempt, kind__in=HELD_KINDS)
    newest = cases.filter(closed_at=None).order_by("-opened_at").first()
    if newest is None:
        attempt_fail(attempt, code=HELD, message=_("网关报告的付款与应付的不符，差错已结束"))
        return
    next_check_at = clock.as_long_again(newest.opened_at, at_most=HELD_WAIT_MAX)
    later = PaymentTransaction.objects.filter(id=attempt_id, next_check_at__lt=next_check_at)
    later.update(next_check_at=next_check_at)


def never_arrived(attempt: PaymentTransaction) -> bool:
    """Whether "no such trade" of a gateway that registers every start is the last word on it."""
    newest_start = attempt.started_at or attempt.initiated_at
    return not _was_answered(attempt) and clock.now() >= newest_start + NEVER_ARRIVED_AFTER


# --- closing and asking -----------------------------------------------------------------------


def close_open_attempts(
    order_id: UUID,
    *,
    is_required: bool,
    unless: tuple[PayCommand, Scene] | None = None,
) -> None:
    """Close the order's open attempts at their gateways; no transaction is open here.

    Attempts that ``unless`` continues stay open. A payment that turns out to have happened is
    applied. When a gateway can't be reached: GatewayDown if ``is_required``, else the close
    stays owed by its row, for the sweeper.
    """
    for attempt in _open_attempts(order_id):
        if unless and _fits(attempt, *unless):
            continue
        if not is_required:
            _close_or_owe(attempt)
            continue
        try:
            attempt_close(attempt)
        except GatewayError as error:
            raise GatewayDown() from error


def _close_or_owe(attempt: PaymentTransaction) -> None:
    try:
        attempt_close(attempt)
    except GatewayError:
        owe_close(attempt.id)


def attempt_close(attempt: PaymentTransaction) -> TradeState:
    """Query, then close one attempt at its gateway, and record what became of it; returns what
    the question was answered.

    Alipay knows no trade before the buyer opens it: then nothing can be closed there. WeChat says
    "closed" to numbers that it does not know. The close stays owed until the shown code has died
    by its own expiry; money that comes all the same is recorded and, where it is too late, given
    back. A refused question or close changes nothing.
    Raises GatewayUnknown, GatewayUntrusted, GatewayRejected.
    """
    state = attempt_check(attempt.id)
    if state in {TradeState.PAID, TradeState.CLOSED}:
        return state
    number = attempt.out_trade_no or ""
    closed = ask(
        Question(ExchangeKind.CLOSE, attempt), lambda: channel_of(attempt).close_payment(number)
    )
    if closed is CloseState.ALREADY_PAID:
        attempt_check(attempt.id)
    elif _may_still_be_opened(attempt, state, closed):
        owe_close(attempt.id, check_after=OWED_CLOSE_CHECK)
    else:
        attempt_give_up(attempt.id, "CLOSED", _("未支付，已在网关关闭"))
    return state


def attempt_check(attempt_id: UUID) -> TradeState:
    """Ask the gateway about one attempt now, and apply what it says.

    Raises GatewayUnknown, GatewayUntrusted, GatewayRejected.
    """
    attempt = PaymentTransaction.objects.get(id=attempt_id)
    number = attempt.out_trade_no or ""
    report = ask(
        Question(ExchangeKind.QUERY, attempt), lambda: channel_of(attempt).query_payment(number)
    )
    if report.state in {TradeState.PAID, TradeState.CLOSED}:
        trade_report_apply(method=attempt.payment_method, report=report, is_mock=attempt.is_mock)
    return report.state


def _may_still_be_opened(
    attempt: PaymentTransaction, state: TradeState, closed: CloseState
) -> bool:
    """Whether nothing was closed at the gateway, and the payer holds a code that still lives."""
    is_unknown = state is TradeState.NOT_FOUND and _was_answered(attempt)
    if not is_unknown and closed is not CloseState.NOT_FOUND:
        return False
    ends_at = attempt.gateway_expires_at
    return ends_at is not None and clock.now() < ends_at + GATEWAY_EXPIRY_MARGIN


@money_unit
def owe_close(attempt_id: UUID, *, check_after: timedelta = timedelta(0)) -> None:
    """Note that the attempt has to be closed at its gateway; the sweeper pays that debt."""
    attempt = _lock_attempt(attempt_id)
    if attempt.status == TransactionStatus.PENDING:
        updated = PaymentTransaction.objects.filter(
            id=attempt_id, status=TransactionStatus.PENDING
        ).update(is_close_owed=True, next_check_at=clock.now() + check_after)
        ensure_one(updated, attempt.transaction_no)


def _lock_attempt(attempt_id: UUID) -> PaymentTransaction:
    order_id = PaymentTransaction.objects.values_list("order_id", flat=True).get(id=attempt_id)
    order_lock(order_id)
    return PaymentTransaction.objects.select_for_update().get(id=attempt_id)


def _open_attempts(order_id: UUID) -> QuerySet[PaymentTransaction]:
    return PaymentTransaction.objects.open().filter(order_id=order_id).order_by("initiated_at")


def _fits(attempt: PaymentTransaction, command: PayCommand, scene: Scene) -> bool:
    """Whether ``command`` continues ``attempt``: same gateway, scene and data."""
    return (
        attempt.payment_method == command.payment_method
        and attempt.scene == scene
        and (attempt.request_data or {}).get("asked", {}).get("openid") == command.openid
    )


def _read_order(order_id: UUID) -> PaymentOrder:
    order = PaymentOrder.objects.filter(id=order_id).first()
    if order is None:
        raise OrderNotFound()
    return order
