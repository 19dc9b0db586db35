"""Asking for a refund, withdrawing it, reviewing it."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils.translation import gettext as _

from payments.models import PaymentOrder, PaymentTransaction
from payments.refundable import WAITING_MAX
from payments.selectors import applied_payment
from payments.services.orders import order_lock
from payments.services.refund_marks import order_refunds_moved
from payments.services.refund_money import payment_lock, refund_release
from payments.states import REFUNDABLE_STATUSES, PaymentMethod
from refunds.errors import (
    OrderNotRefundable,
    RefundNotReplaceable,
    RefundNotWithdrawable,
    TooManyRefunds,
    TooManyWaiting,
)
from refunds.events import WITHDRAWN, refund_announce
from refunds.limits import LIMITS
from refunds.models import Refund
from refunds.services.approvals import (
    approval_add,
    approvals_asked,
    approvals_needed,
    ensure_may_decide,
)
from refunds.services.give_back import give_back_hold, give_back_release
from refunds.services.own_cases import ensure_not_given_back, left_reserve
from refunds.services.states import (
    LockedRefund,
    refund_change,
    refund_lock,
    refund_transition,
)
from refunds.services.submission import balance_refund_complete, refund_send_to_gateway
from refunds.states import RESERVING_STATUSES, RefundCause, RefundStatus
from tcmpay.audit.transitions import Cause, row_insert
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.db import money_unit
from tcmpay.common.errors import Forbidden
from tcmpay.common.ids import new_number
from tcmpay.common.money import ZERO, Money, format_money
from webhooks.outbox import told_together

NUMBER_ATTEMPTS_MAX = 3
REVIEWERS = frozenset({Role.ADMIN, Role.STAFF})
REQUESTERS_FOR_OTHERS = REVIEWERS | {Role.SERVICE}


def refund_request(
    *,
    actor: Actor,
    order_id: UUID,
    amount: Money,
    reason: str,
    idempotency_key_id: UUID | None = None,
) -> Refund:
    """Ask for ``amount`` (yuan) of an order's payment to go back to the order's owner.

    Pending requests count: together with what is done they never exceed what was paid.

    Raises:
        OrderNotFound, Forbidden: patients and doctors ask only for their own orders.
        OrderNotRefundable: no payment is applied to it, or all of it went back.
        RefundExceedsPaid: more than is left. MoneyGivenBack: that went back another way.
        TooManyRefunds, TooManyWaiting: see refunds/limits.py.
        InsufficientBalance, BalanceUnderReview: of a top-up, whose money is spent or stands still.
    """
    for _attempt in range(NUMBER_ATTEMPTS_MAX):
        try:
            return _request(actor, order_id, amount, reason, idempotency_key_id)
        except IntegrityError:
            found = Refund.objects.filter(idempotency_key_id=idempotency_key_id).first()
            if idempotency_key_id is not None and found is not None:
                return found
    raise RuntimeError("no free refund number")


@money_unit
def _request(
    actor: Actor, order_id: UUID, amount: Money, reason: str, idempotency_key_id: UUID | None
) -> Refund:
    return refund_ask(
        actor=actor,
        order_id=order_id,
        amount=amount,
        reason=reason,
        idempotency_key_id=idempotency_key_id,
    )


def refund_ask(
    *,
    actor: Actor,
    order_id: UUID,
    amount: Money,
    reason: str,
    idempotency_key_id: UUID | None = None,
) -> Refund:
    """``refund_request`` inside the caller's unit. Raises IntegrityError: the number is taken."""
    order = order_lock(order_id)
    if actor.role not in REQUESTERS_FOR_OTHERS and not actor.owns(order.user_id):
        raise Forbidden()
    payment = _refundable_payment(order)
    ensure_within_count(payment)
    left_reserve(payment, amount)
    return request_insert(
        order=order,
        payment=payment,
        amount=amount,
        reason=reason,
        cause=RefundCause.REQUESTED,
        actor=actor,
        idempotency_key_id=idempotency_key_id,
    )


def request_insert(
    *, order: PaymentOrder, payment: PaymentTransaction, actor: Actor, **asked: Any
) -> Refund:
    """``refund_insert``, and hold what it would take off the balance.

    Raises InsufficientBalance, BalanceUnderReview.
    """
    refund = refund_insert(order=order, payment=payment, actor=actor, **asked)
    give_back_hold(LockedRefund(order, payment, refund), actor)
    return refund


def _refundable_payment(order: PaymentOrder) -> PaymentTransaction:
    payment = applied_payment(order.id) if order.status in REFUNDABLE_STATUSES else None
    if payment is None:
        raise OrderNotRefundable(status=order.status)
    return payment_lock(payment.id)


def ensure_within_count(payment: PaymentTransaction) -> None:
    """Raises TooManyRefunds, TooManyWaiting: see refunds/limits.py."""
    refunds = Refund.objects.filter(transaction=payment, status__in=RESERVING_STATUSES)
    states = list(refunds.values_list("status", flat=True))
    if len(states) >= LIMITS[payment.payment_method].refunds_max:
        raise TooManyRefunds(count=len(states))
    if states.count(RefundStatus.PENDING) >= WAITING_MAX:
        raise TooManyWaiting(count=len(states))


def refund_insert(
    *,
    order: PaymentOrder,
    payment: PaymentTransaction,
    amount: Money,
    reason: str,
    cause: RefundCause,
    actor: Actor,
    idempotency_key_id: UUID | None = None,
    counted: Money = ZERO,
    approvals_min: int = 1,
) -> Refund:
    """Insert a pending refund whose amount is reserved already; inside the caller's unit.

    ``counted`` (yuan) is what was asked for together with it, where that is more than the payment's
    refunds are; ``approvals_min`` how many people have to approve it at least.
    """
    now = clock.now()
    refund = Refund(
        refund_no=new_number("RFD", now),
        order=order,
        transaction=payment,
        user_id=order.user_id,
        refund_amount=amount,
        refund_reason=reason,
        cause=cause,
        requested_by=actor.id,
        # With this one, and under the payment's lock: split requests count together.
        approvals_needed=max(
            approvals_needed(max(payment.refund_reserved, counted)), approvals_min
        ),
        created_at=now,
        updated_at=now,
        idempotency_key_id=idempotency_key_id,
    )
    details = {
        "refund_no": refund.refund_no,
        "amount": format_money(amount),
        "order": order.order_no,
        "cause": str(cause),
    }
    told = Cause(actor=actor, action="refund_requested", reason=reason, details=details)
    refund_announce(refund, row_insert(refund, told))
    return refund


@money_unit
def refund_withdraw(*, actor: Actor, refund_id: UUID) -> Refund:
    """Take back a pending request; only whoever asked for it may.

    Raises RefundNotFound, Forbidden, RefundNotWithdrawable.
    """
    locked = refund_lock(refund_id)
    _order, payment, refund = locked
    refund.ensure_may_withdraw(actor, decided=RefundNotWithdrawable, others=Forbidden)
    refund_release(payment, refund.refund_amount)
    give_back_release(locked, actor)
    refund_transition(refund, RefundStatus.CANCELLED, actor=actor, action=WITHDRAWN)
    return refund


def refund_review(
    *,
    actor: Actor,
    refund_id: UUID,
    is_approved: bool,
    notes: str,
    approvals_seen: int | None = None,
) -> Refund:
    """Approve or reject a pending refund, and return it as it stands then.

    A balance refund is done when this returns. One that goes through a gateway is processing;
    the worker is rung, and a sweep finds it if the bell is lost. Above the threshold the first
    approval leaves it pending. ``approvals_seen`` is how many approvals the reviewer was shown,
    where they were shown any number.

    Raises:
        RefundNotFound.
        SelfReview: one's own request, or money to oneself.
        RefundAlreadyReviewed: decided before, or approved by the same person before.
        ApprovedMeanwhile: somebody approved since the reviewer looked; nothing is written.
        MoneyGivenBack: what it asks for went back by another way meanwhile; pending.
        BalanceLimit, BalanceUnderReview: the payer's account can't take the money; pending.
    """
    refund = _decide(actor, refund_id, is_approved, notes, approvals_seen)
    if refund.status == RefundStatus.PROCESSING:
        refund_send_to_gateway(refund.id)
    return refund


@money_unit
def _decide(
    actor: Actor, refund_id: UUID, is_approved: bool, notes: str, approvals_seen: int | None
) -> Refund:
    return refund_decide(
        actor=actor,
        refund_id=refund_id,
        is_approved=is_approved,
        notes=notes,
        approvals_seen=approvals_seen,
    )


def refund_decide(
    *,
    actor: Actor,
    refund_id: UUID,
    is_approved: bool,
    notes: str,
    approvals_seen: int | None,
) -> Refund:
    """``refund_review`` inside the caller's unit: whoever calls rings the worker afterwards."""
    if actor.role not in REVIEWERS:
        raise Forbidden()
    locked = refund_lock(refund_id)
    _order, payment, refund = locked
    ensure_may_decide(actor, refund)
    if is_approved:
        ensure_not_given_back(payment)
    with told_together():
        if not is_approved:
            _reject(actor, locked, notes)
        elif left := approval_add(actor, payment, refund, notes, approvals_seen):
            cause = Cause(actor=actor, action="refund_first_approval", reason=notes)
            refund_change(refund, cause, approvals_needed=left)
        else:
            _approve(actor, locked, notes)
    return refund


@money_unit
def refund_replace(*, actor: Actor, refund_id: UUID, amount: Money, notes: str) -> Refund:
    """Reject a pending request and ask for ``amount`` (yuan, less than it) instead, in one unit.

    An approval is always of the amount asked for. Where another amount is right, the reviewer
    becomes the one who asks, so somebody else decides about it; by as many people as had to approve
    the other, which may be part of more. Returns the new request.

    Raises RefundNotFound, SelfReview, RefundAlreadyReviewed, RefundNotReplaceable, MoneyGivenBack.
    """
    if actor.role not in REVIEWERS:
        raise Forbidden()
    locked = refund_lock(refund_id)
    order, payment, refund = locked
    ensure_may_decide(actor, refund)
    if not ZERO < amount < refund.refund_amount:
        raise RefundNotReplaceable()
    approvals_min = approvals_asked(refund)
    _reject(actor, locked, notes)
    left_reserve(payment, amount)
    return request_insert(
        order=order,
        payment=payment,
        amount=amount,
        reason=_replacing_reason(refund, notes),
        cause=RefundCause(refund.cause),
        actor=actor,
        approvals_min=approvals_min,
    )


def _replacing_reason(refund: Refund, notes: str) -> str:
    text = _("%(notes)s（代替 %(number)s，原申请：%(reason)s）") % {
        "notes": notes,
        "number": refund.refund_no,
        "reason": refund.refund_reason,
    }
    return text[:500]


def _reject(actor: Actor, locked: LockedRefund, notes: str) -> None:
    _order, payment, refund = locked
    refund_release(payment, refund.refund_amount)
    give_back_release(locked, actor)
    refund_transition(
        refund,
        RefundStatus.CANCELLED,
        actor=actor,
        action="refund_rejected",
        reason=notes,
        **refund.answering(actor, notes),
    )


def _approve(actor: Actor, locked: LockedRefund, notes: str) -> None:
    refund_transition(
        locked.refund,
        RefundStatus.PROCESSING,
        actor=actor,
        action="refund_approved",
        reason=notes,
        approvals_needed=0,
        next_check_at=clock.now(),
        **locked.refund.answering(actor, notes),
    )
    if locked.payment.payment_method == PaymentMethod.BALANCE:
        balance_refund_complete(actor, locked)
    else:
        order_refunds_moved(locked.order.id)  # one fewer waits for review
