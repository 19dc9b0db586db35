"""A payment from the balance: the most frequent unit of money, in as few statements as it takes.

Eight, with both audit rows, the platform's event and the ledger's entry: the order is read
together with the end of its trail, changed where no gateway's attempt is pending; the payment, both
rows of the trail and the event are inserted; the account, locked last so that a busy user's
payments wait shortest, is read together with its newest entry, then that entry's successor is
inserted and the account moved (balances.services).
"""

from dataclasses import dataclass
from uuid import UUID

from balances.models import RelatedType
from balances.services import Related, balance_debit
from payments.booking import Booking, booking_of
from payments.errors import OrderNotFound, UnsupportedMethod
from payments.events import order_announce
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.orders import ensure_payable
from payments.services.settlement import others_owe_close, paid_cause, paid_changes
from payments.states import Disposition, OrderStatus, PaymentMethod, TransactionStatus
from tcmpay.audit.services import lock_with_head
from tcmpay.audit.transitions import Cause, row_insert, row_told
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_number
from tcmpay.common.order_types import OrderType
from tcmpay.common.statements import new_row, update_where
from tcmpay.common.transitions import ensure_one
from webhooks.outbox import told_together

NO_ATTEMPT_PENDING = (
    "NOT EXISTS (SELECT 1 FROM payment_transactions attempt"
    " WHERE attempt.order_id = payment_orders.id"
    " AND attempt.transaction_type = 'payment' AND attempt.status = 'pending')"
)


class AttemptsPending(Exception):
    """The order may still be paid at a gateway: nothing was written."""


@dataclass(frozen=True, slots=True)
class BalancePayment:
    """Who pays which order, and the idempotency key that the payment is found by again."""

    actor: Actor
    order_id: UUID
    idempotency_key_id: UUID | None


@money_unit
def debit_and_apply(asked: BalancePayment, *, is_alone: bool) -> PaymentOrder:
    """Pay the order from its owner's balance and return it.

    ``is_alone``: raise AttemptsPending where the order may still be paid at a gateway; otherwise
    the closing of those attempts is owed. Raises what ``ensure_payable`` and ``balance_debit``
    raise, and OrderNotFound.
    """
    order, head = lock_with_head(PaymentOrder, asked.order_id)
    if order is None:
        raise OrderNotFound()
    ensure_payable(order, asked.actor)
    if order.order_type == OrderType.TOPUP:
        raise UnsupportedMethod()
    booking = booking_of(order)
    payment = _payment(asked, order, booking)
    changes = paid_changes(payment, booking)
    written = update_where(
        PaymentOrder,
        {"id": order.id, "status": OrderStatus.PENDING},
        changes,
        NO_ATTEMPT_PENDING if is_alone else "",
    )
    if is_alone and not written:
        raise AttemptsPending
    ensure_one(written, order.order_no)
    for name, value in changes.items():
        setattr(order, name, value)
    with told_together():
        row_insert(payment, Cause(actor=asked.actor, action="payment_applied"))
        cause = paid_cause(payment, booking, asked.actor)
        order_announce(order, row_told(order, cause, OrderStatus.PENDING, head=head))
    if not is_alone:
        others_owe_close(order, payment, booking)
    balance_debit(
        user_id=order.user_id,
        amount=order.amount,
        related=Related(RelatedType.ORDER, order.id),
        description=order.description or order.order_no,
        actor=asked.actor,
    )
    return order


def _payment(asked: BalancePayment, order: PaymentOrder, booking: Booking) -> PaymentTransaction:
    return new_row(
        PaymentTransaction,
        transaction_no=new_number("TXN", booking.booked_at),
        order_id=order.id,
        payment_method=PaymentMethod.BALANCE,
        amount=order.amount,
        status=TransactionStatus.SUCCESS,
        disposition=Disposition.APPLIED,
        applied_order_id=order.id,
        initiated_at=booking.booked_at,
        completed_at=booking.moved_at,
        booked_at=booking.booked_at,
        idempotency_key_id=asked.idempotency_key_id,
    )
