"""What the cashier shows of an order: how it stands, and the attempt that is open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import OuterRef, Subquery

from payments.addresses import address_of
from payments.cashier.ways import H5, WAYS_BY_CODE, Way
from payments.errors import OrderNotFound
from payments.models import PaymentOrder
from payments.selectors import answer_age, code_of, newest_open
from payments.states import REFUNDED_STATUSES, OrderStatus
from tcmpay.common import clock

# A little less than WeChat's h5 address lives: five minutes. Alipay's lives as long as the order.
ADDRESS_LIVES = {H5: timedelta(minutes=4)}


class State(StrEnum):
    OPEN = "open"
    # Past its time, but the gateways' last word is awaited: a payment of the last second counts.
    ENDING = "ending"
    PAID = "paid"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_waiting(self) -> bool:
        """Whether it may change by itself soon."""
        return self in {State.OPEN, State.ENDING}


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """The newest attempt that may be paid; ``way`` is None for one that was begun elsewhere.

    ``qr_code`` and ``payment_url`` are empty where they are dead by now: a new start brings others.
    """

    id: UUID
    way: Way | None
    qr_code: str = ""
    payment_url: str = ""


def state_of(status: str, expire_time: datetime) -> State:
    if status == OrderStatus.PENDING:
        return State.OPEN if clock.now() < expire_time else State.ENDING
    if status in REFUNDED_STATUSES:
        return State.REFUNDED
    return State(status)


def order_of(order_id: UUID) -> PaymentOrder:
    """Raises OrderNotFound."""
    order = PaymentOrder.objects.filter(id=order_id).first()
    if order is None:
        raise OrderNotFound()
    return order


def status_now(order_id: UUID) -> dict[str, str]:
    """How the order stands and which attempt is open, by one statement. Raises OrderNotFound."""
    newest = newest_open(OuterRef("pk")).values("id")[:1]
    found = PaymentOrder.objects.filter(id=order_id)
    row = found.values_list("status", "expire_time", Subquery(newest)).first()
    if row is None:
        raise OrderNotFound()
    status, expire_time, attempt = row
    return {"state": state_of(status, expire_time), "attempt": attempt_mark(attempt)}


def attempt_mark(attempt_id: UUID | None) -> str:
    """By which a page knows the attempt that it shows from another."""
    return str(attempt_id or "")[-12:]


def open_attempt(order_id: UUID) -> OpenAttempt | None:
    attempt = newest_open(order_id).first()
    if attempt is None:
        return None
    way = WAYS_BY_CODE.get(f"{attempt.payment_method}-{attempt.scene}")
    is_address_alive = (
        way is None or way not in ADDRESS_LIVES or answer_age(attempt) < ADDRESS_LIVES[way]
    )
    return OpenAttempt(
        attempt.id,
        way,
        qr_code=code_of(attempt),
        payment_url=address_of(attempt) if is_address_alive else "",
    )
