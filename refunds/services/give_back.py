"""Top-ups that go back: what of the balance is on its way, and what has left it.

A refund of a top-up holds its amount on the balance while it waits or is under way, so that the
user can't spend it meanwhile; done, it is spent; rejected, withdrawn or failed, it is free again.
Money that came late or twice never was on the balance. Each of these runs inside the caller's
unit, which holds order, payment and refund: the balance is locked last.
"""

from typing import TypedDict
from uuid import UUID

from django.utils.translation import gettext as _

from balances.models import RelatedType
from balances.services import (
    Related,
    balance_hold,
    balance_lock,
    balance_pay_out,
    balance_release,
)
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import Disposition
from refunds.models import Refund
from refunds.services.states import LockedRefund
from tcmpay.common.actor import Actor
from tcmpay.common.money import Money
from tcmpay.common.order_types import OrderType


def is_give_back(order: PaymentOrder, payment: PaymentTransaction) -> bool:
    """Whether a refund of this payment takes its money off the balance."""
    is_applied = payment.disposition == Disposition.APPLIED
    return is_applied and order.order_type == OrderType.TOPUP


def is_short_for_give_back(order: PaymentOrder, payment: PaymentTransaction, amount: Money) -> bool:
    """Whether less than ``amount`` (yuan) is available on the balance that it would be taken off.

    Raises BalanceUnderReview.
    """
    return is_give_back(order, payment) and balance_lock(order.user_id).balance < amount


def give_back_hold(locked: LockedRefund, actor: Actor) -> None:
    """Raises InsufficientBalance, BalanceUnderReview."""
    order, payment, refund = locked
    if is_give_back(order, payment):
        balance_hold(**_entry(refund, actor, _("退回充值，冻结 %(number)s")))


def give_back_release(locked: LockedRefund, actor: Actor) -> None:
    """Raises BalanceUnderReview."""
    order, payment, refund = locked
    if is_give_back(order, payment):
        balance_release(**_entry(refund, actor, _("未退回充值，解冻 %(number)s")))


def give_back_pay_out(locked: LockedRefund, actor: Actor) -> None:
    """Raises BalanceUnderReview."""
    order, payment, refund = locked
    if is_give_back(order, payment):
        balance_pay_out(**_entry(refund, actor, _("充值已退回 %(number)s")))


class _Entry(TypedDict):
    user_id: UUID
    amount: Money
    related: Related
    description: str
    actor: Actor


def _entry(refund: Refund, actor: Actor, text: str) -> _Entry:
    return _Entry(
        user_id=refund.user_id,
        amount=refund.refund_amount,
        related=Related(RelatedType.REFUND, refund.id),
        description=text % {"number": refund.refund_no},
        actor=actor,
    )
