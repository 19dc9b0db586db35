"""Top-ups that go back: what of the balance is on its way, and what has left it.

A refund of a top-up holds its amount on the balance while it waits or is under way, so that the
user can't spend it meanwhile; done, it is spent; rejected, withdrawn or failed, it is free again.
Written off as given back by another way it is spent, too, whatever a gateway says afterwards.
Money that came late or twice never was on the balance. Each of these runs inside the caller's
unit, which holds order, payment and refund: the balance is locked last.
"""

from typing import TypedDict
from uuid import UUID

from django.utils.translation import gettext as _

from balances.errors import InsufficientBalance
from balances.models import BalanceTransaction, EntryType, RelatedType
from balances.services import (
    Related,
    balance_debit,
    balance_hold,
    balance_lock,
    balance_pay_out,
    balance_release,
)
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import Disposition
from refunds.errors import WriteOffBeyondBalance
from refunds.models import Refund
from refunds.services.states import LockedRefund
from refunds.states import RefundStatus
from tcmpay.common.actor import Actor
from tcmpay.common.money import Money
from tcmpay.common.order_types import OrderType


def is_give_back(order: PaymentOrder, payment: PaymentTransaction) -> bool:
    """Whether a refund of this payment takes its money off the balance."""
    is_applied = payment.disposition == Disposition.APPLIED
    return is_applied and order.order_type == OrderType.TOPUP


def _is_to_move(locked: LockedRefund) -> bool:
    """Whether the refund's money has to be taken off the balance still."""
    order, payment, refund = locked
    return is_give_back(order, payment) and not is_spent(refund)


def is_spent(refund: Refund) -> bool:
    """Whether the refund's money has left the balance, by it or by another way."""
    entries = BalanceTransaction.objects.filter(
        related_type=RelatedType.REFUND, related_id=refund.id, transaction_type=EntryType.EXPENSE
    )
    return entries.exists()


def is_short_for_give_back(order: PaymentOrder, payment: PaymentTransaction, amount: Money) -> bool:
    """Whether less than ``amount`` (yuan) is available on the balance that it would be taken off.

    Raises BalanceUnderReview.
    """
    return is_give_back(order, payment) and balance_lock(order.user_id).balance < amount


def give_back_hold(locked: LockedRefund, actor: Actor) -> None:
    """Raises InsufficientBalance, BalanceUnderReview."""
    if _is_to_move(locked):
        balance_hold(**_entry(locked.refund, actor, _("退回充值，冻结 %(number)s")))


def give_back_release(locked: LockedRefund, actor: Actor) -> None:
    """Raises BalanceUnderReview."""
    if _is_to_move(locked):
        balance_release(**_entry(locked.refund, actor, _("未退回充值，解冻 %(number)s")))


def give_back_pay_out(locked: LockedRefund, actor: Actor) -> None:
    """Raises BalanceUnderReview."""
    if _is_to_move(locked):
        balance_pay_out(**_entry(locked.refund, actor, _("充值已退回 %(number)s")))


def give_back_write_off(locked: LockedRefund, actor: Actor) -> None:
    """The money went back another way: off what is frozen for the refund, or, where that failed and
    freed it, off what is available. Raises WriteOffBeyondBalance, BalanceUnderReview.
    """
    if not _is_to_move(locked):
        return
    entry = _entry(locked.refund, actor, _("充值已另行退还（核销） %(number)s"))
    if locked.refund.status == RefundStatus.PROCESSING:
        balance_pay_out(**entry)
        return
    try:
        balance_debit(**entry)
    except InsufficientBalance as error:
        raise WriteOffBeyondBalance(**error.facts) from error


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
