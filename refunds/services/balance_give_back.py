"""Giving a user's balance back: over the top-ups that brought it, oldest first.

What is asked for becomes one refund for each top-up that it reaches, reviewed as refunds are. What
no top-up can take back any more is a case: staff return it by another way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from balances.errors import InsufficientBalance, MovementRepeated, OwnBalance
from balances.services import balance_lock
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.exceptions import exception_open, exceptions_about, left_fact, left_open
from payments.states import REFUNDABLE_STATUSES, ExceptionKind, PaymentMethod
from refunds.errors import LeftAskedAlready, TooManyRefunds, TooManyTopUps
from refunds.limits import GIVE_BACK_PARTS_MAX, GIVE_BACK_WITHIN
from refunds.models import Refund
from refunds.services.own_cases import left_of, left_reserve
from refunds.services.requests import ensure_within_count, request_insert
from refunds.states import RefundCause
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import ZERO, Money
from tcmpay.common.order_types import OrderType
from tcmpay.common.second_person import ensure_not_one_of


@dataclass(frozen=True, slots=True)
class GivingBack:
    """The refunds that were asked for, and what (yuan) is left to a case."""

    refunds: list[Refund]
    left: Money


@money_unit
def balance_give_back(
    *, actor: Actor, user_id: UUID, amount: Money, reason: str, request_id: UUID
) -> GivingBack:
    """Ask for ``amount`` (yuan) of the balance to go back to where it came from.

    All of what can is frozen at once. ``request_id`` is the form's: sent twice, it asks once.
    Raises:
        OwnBalance; MovementRepeated; BalanceUnderReview.
        InsufficientBalance: less is available; LeftAskedAlready: without what open cases are about.
        TooManyTopUps: it would take too many refunds.
    """
    ensure_not_one_of(actor, user_id, error=OwnBalance)
    sources = _sources(user_id)
    balance = balance_lock(user_id).balance
    if _was_sent(user_id, request_id):
        raise MovementRepeated()
    if balance < amount:
        raise InsufficientBalance(available=balance, needed=amount)
    # Under the balance's lock, which every case of it is opened under.
    asked = sum((case.amount or ZERO for case in left_open(user_id)), ZERO)
    if balance - asked < amount:
        raise LeftAskedAlready(available=max(balance - asked, ZERO), needed=amount)
    refunds: list[Refund] = []
    for order, payment, part in _parts(sources, amount):
        left_reserve(payment, part)
        refund = request_insert(
            order=order,
            payment=payment,
            amount=part,
            reason=reason,
            cause=RefundCause.REQUESTED,
            actor=actor,
            idempotency_key_id=None if refunds else request_id,
            counted=amount,  # several small refunds are one large one to those who approve
        )
        refunds.append(refund)
    left = amount - sum((refund.refund_amount for refund in refunds), ZERO)
    if left:
        _tell_of_rest(user_id, left, reason, request_id, actor)
    return GivingBack(refunds, left)


def _was_sent(user_id: UUID, request_id: UUID) -> bool:
    """Whether the form became refunds, or a case alone."""
    fact = left_fact(user_id, request_id)
    return (
        Refund.objects.filter(idempotency_key_id=request_id).exists()
        or exceptions_about(ExceptionKind.GIVE_BACK_LEFT, PaymentMethod.BALANCE, fact) != []
    )


Source = tuple[PaymentOrder, PaymentTransaction]
Part = tuple[PaymentOrder, PaymentTransaction, Money]


def give_back_plan(user_id: UUID, amount: Money) -> list[Part]:
    """Over which payments ``amount`` (yuan) of the balance would go back as things stand, and how
    much over each; what they lack of it would be left to a case. Raises TooManyTopUps."""
    return list(_parts(_sources(user_id, is_locking=False), amount))


def _sources(user_id: UUID, *, is_locking: bool = True) -> list[Source]:
    """The user's top-ups of which something may go back, oldest first; locked in the order in which
    everybody locks: orders, then their payments, each by their key."""
    since = clock.now() - GIVE_BACK_WITHIN
    orders, payments = PaymentOrder.objects.all(), PaymentTransaction.objects.all()
    if is_locking:
        orders, payments = orders.select_for_update(), payments.select_for_update()
    orders = orders.filter(
        user_id=user_id,
        order_type=OrderType.TOPUP,
        status__in=REFUNDABLE_STATUSES,
        payment_time__gt=since,
    )
    by_id = {order.id: order for order in orders.order_by("id")}
    payments = payments.filter(applied_order_id__in=by_id)
    sources = [(by_id[payment.order_id], payment) for payment in payments.order_by("id")]
    return sorted(sources, key=lambda source: (source[0].payment_time, source[0].id))


def _parts(sources: list[Source], amount: Money) -> Iterator[Part]:
    """What of ``amount`` each takes back. Raises TooManyTopUps."""
    taken = 0
    for order, payment in sources:
        part = min(left_of(payment), amount)
        if part <= ZERO or not _has_room(payment):
            continue
        taken += 1
        if taken > GIVE_BACK_PARTS_MAX:
            raise TooManyTopUps()
        yield order, payment, part
        amount -= part


def _has_room(payment: PaymentTransaction) -> bool:
    try:
        ensure_within_count(payment)
    except TooManyRefunds:
        return False
    return True


def _tell_of_rest(user_id: UUID, left: Money, reason: str, request_id: UUID, actor: Actor) -> None:
    topups = PaymentTransaction.objects.filter(
        order__user_id=user_id, order__order_type=OrderType.TOPUP, applied_order_id__isnull=False
    )
    text = _("用户 %(user)s 的余额有 %(amount)s 元不能原路退回（没有一年内的充值可退）：%(reason)s")
    exception_open(
        ExceptionKind.GIVE_BACK_LEFT,
        method=PaymentMethod.BALANCE,
        fact=left_fact(user_id, request_id),
        attempt=topups.order_by("-initiated_at").first(),
        amount=left,
        reason=text % {"user": user_id, "amount": left, "reason": reason},
        actor=actor,
    )
