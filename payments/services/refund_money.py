"""The payments' side of refunds: what they hold of a payment, and their transactions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Subquery

from payments.booking import Booking
from payments.models import PaymentTransaction
from payments.services.callbacks import refund_notices_hurry
from payments.services.refund_marks import order_refunds_moved
from payments.services.settlement import transaction_transition
from payments.states import PaymentMethod, TransactionStatus, TransactionType
from tcmpay.audit.transitions import Cause, row_insert
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.ids import new_number
from tcmpay.common.money import ZERO, Money
from tcmpay.common.transitions import ensure_one


class RefundExceedsPayment(Exception):
    """More would be held for refunds than the payment brought. ``available`` is what is left."""

    def __init__(self, available: Money) -> None:
        super().__init__(str(available))
        self.available = available


def payment_lock(transaction_id: UUID | Subquery) -> PaymentTransaction:
    """The payment, locked and freshly read; its order is locked already."""
    return PaymentTransaction.objects.select_for_update().get(id=transaction_id)


def refund_reserve(payment: PaymentTransaction, amount: Money) -> None:
    """Hold ``amount`` (yuan) of the locked payment for a refund. Raises RefundExceedsPayment."""
    available = payment.amount - payment.refund_reserved
    if amount > available:
        raise RefundExceedsPayment(available)
    _set_reserved(payment, payment.refund_reserved + amount)


def refund_release(payment: PaymentTransaction, amount: Money) -> None:
    """Give back what a cancelled or failed refund held of the locked payment.

    A refund made in the merchant console may wait for just that.
    """
    _set_reserved(payment, payment.refund_reserved - amount)
    refund_notices_hurry(payment)


def _set_reserved(payment: PaymentTransaction, reserved: Money) -> None:
    if not ZERO <= reserved <= payment.amount:
        raise ValueError(f"{payment.transaction_no}: reserved {reserved}")
    updated = PaymentTransaction.objects.filter(
        id=payment.id, refund_reserved=payment.refund_reserved, status=TransactionStatus.SUCCESS
    ).update(refund_reserved=reserved)
    ensure_one(updated, payment.transaction_no)
    payment.refund_reserved = reserved
    order_refunds_moved(payment.order_id)


def last_refund_started_at(payment: PaymentTransaction, *, other_than: UUID) -> datetime | None:
    """When the newest other refund of this order at this gateway was first sent."""
    others = PaymentTransaction.objects.filter(
        order_id=payment.order_id,
        payment_method=payment.payment_method,
        transaction_type=TransactionType.REFUND,
    ).exclude(refund_id=other_than)
    return others.order_by("-initiated_at").values_list("initiated_at", flat=True).first()


def refund_transaction_begin(
    *, payment: PaymentTransaction, refund_id: UUID, amount: Money, actor: Actor
) -> PaymentTransaction:
    """The transaction that carries out a refund: made once, found again on every retry."""
    existing = PaymentTransaction.objects.select_for_update().filter(refund_id=refund_id).first()
    if existing is not None:
        return existing
    return refund_transaction_insert(
        payment=payment, refund_id=refund_id, amount=amount, actor=actor
    )


def refund_transaction_insert(
    *, payment: PaymentTransaction, refund_id: UUID, amount: Money, actor: Actor
) -> PaymentTransaction:
    """The transaction of a refund that has none yet."""
    now = clock.now()
    money_back = PaymentTransaction(
        transaction_no=new_number("TXN", now),
        order_id=payment.order_id,
        payment_method=payment.payment_method,
        transaction_type=TransactionType.REFUND,
        amount=amount,
        refund_id=refund_id,
        is_mock=payment.is_mock,
        config_version_id=payment.config_version_id,
        trade_no=payment.trade_no,
        initiated_at=now,
    )
    row_insert(money_back, Cause(actor=actor, action="refund_started"))
    return money_back


def refund_transaction_succeed(
    money_back: PaymentTransaction,
    *,
    booking: Booking,
    actor: Actor,
    external_id: str = "",
    response: Any = None,
) -> None:
    """The refund's locked transaction brought the money back."""
    transaction_transition(
        money_back,
        TransactionStatus.SUCCESS,
        actor=actor,
        action="refund_succeeded",
        booking=booking,
        external_transaction_id=_unique_external_id(money_back, external_id),
        response_data=response,
        error_code=None,
        error_message=None,
    )


def _unique_external_id(money_back: PaymentTransaction, external_id: str) -> str | None:
    """Alipay names no refund number of its own; an empty one is no number."""
    if money_back.payment_method == PaymentMethod.BALANCE:
        return None
    return external_id or None


def refund_transaction_fail(
    money_back: PaymentTransaction, *, actor: Actor, code: str, message: str
) -> None:
    """The gateway refused the refund for good; a later success is still accepted on proof."""
    if money_back.status != TransactionStatus.PENDING:
        return
    transaction_transition(
        money_back,
        TransactionStatus.FAILED,
        actor=actor,
        action="refund_failed",
        reason=message,
        error_code=code[:64],
        error_message=message[:500],
    )
