"""Orders: creation, cancellation, and the one function that changes an order's state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from config.prices.selectors import price_in_force
from payments.errors import (
    AppointmentHasOrder,
    OrderExpired,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotPayable,
    PriceMismatch,
    PriceNotFound,
    PriceRequired,
    ServiceOfAnotherType,
)
from payments.events import order_announce
from payments.models import PaymentOrder
from payments.states import LIVE_STATUSES, ORDER_TRANSITIONS, OrderStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.transitions import Cause, row_change, row_insert, row_told, transition
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.db import money_unit
from tcmpay.common.errors import Forbidden
from tcmpay.common.ids import new_number
from tcmpay.common.money import Money, format_money
from tcmpay.common.statements import lock
from tcmpay.common.transitions import LostUpdate, ensure_allowed
from webhooks.outbox import told_together

NUMBER_ATTEMPTS_MAX = 3
# Who may order for somebody else.
ORDERERS_FOR_OTHERS = frozenset({Role.ADMIN, Role.SERVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCommand:
    """What a client asks for. ``amount`` (yuan) or ``service_type`` says what it costs."""

    user_id: UUID
    order_type: str
    amount: Money | None = None
    service_type: str = ""
    appointment_id: UUID | None = None
    description: str = ""
    metadata: dict[str, Any] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Charge:
    amount: Money
    price_id: UUID | None
    service_type: str


def order_create(
    *, actor: Actor, command: OrderCommand, idempotency_key_id: UUID | None = None
) -> PaymentOrder:
    """Create a pending order and return it.

    Raises:
        Forbidden: a patient or doctor orders for somebody else.
        PriceRequired, PriceNotFound, PriceMismatch: see CONTRACT section 3, Prices.
        ServiceOfAnotherType: the service belongs to another type of order.
        AppointmentHasOrder: a live order exists; its id is the error's data for whoever may
            see that order.
    """
    if actor.role not in ORDERERS_FOR_OTHERS and not actor.owns(command.user_id):
        raise Forbidden()
    charge = _charge(actor, command)
    for _attempt in range(NUMBER_ATTEMPTS_MAX):
        try:
            return _insert(actor, command, charge, idempotency_key_id)
        except IntegrityError:
            if found := order_with_key(idempotency_key_id):
                return found
            _refuse_if_appointment_is_taken(
                actor, appointment_key(command.appointment_id, command.order_type)
            )
    raise RuntimeError("no free order number")


@money_unit
def _insert(
    actor: Actor, command: OrderCommand, charge: Charge, idempotency_key_id: UUID | None
) -> PaymentOrder:
    return order_insert(actor, command, charge, idempotency_key_id)


def order_insert(
    actor: Actor, command: OrderCommand, charge: Charge, idempotency_key_id: UUID | None
) -> PaymentOrder:
    """Insert a pending order; inside the caller's unit."""
    # Its moment is taken here, so that it can be read soon after it: lists go on by it.
    order = _new_order(actor, command, charge, idempotency_key_id)
    details = immutable_facts(order)
    told = row_insert(order, Cause(actor=actor, action="order_created", details=details))
    order_announce(order, told)
    return order


def immutable_facts(order: PaymentOrder) -> dict[str, str]:
    """What never changes of an order (invariant O3), as its trail keeps it under its hash."""
    return {
        "order_no": order.order_no,
        "user_id": str(order.user_id),
        "amount": format_money(order.amount),
        "expire_time": order.expire_time.astimezone(UTC).isoformat(),
        "service_type": order.service_type,
        "price": str(order.price_id or ""),
    }


def _charge(actor: Actor, command: OrderCommand) -> Charge:
    if command.service_type:
        price = price_in_force(command.service_type, clock.today())
        if price is None:
            raise PriceNotFound()
        # A service of one type never prices an order of another: the cheaper one would be named.
        if price.order_type not in ("", command.order_type):
            raise ServiceOfAnotherType(
                service_type=command.service_type, belongs_to=price.order_type
            )
        if command.amount is not None and command.amount != price.amount:
            raise PriceMismatch(asked=command.amount, price=price.amount)
        return Charge(price.amount, price.id, command.service_type)
    is_client = actor.role not in ORDERERS_FOR_OTHERS
    if command.amount is None or (is_client and settings.ORDER_PRICE_POLICY == "priced"):
        raise PriceRequired()
    return Charge(command.amount, None, "")


def _new_order(
    actor: Actor, command: OrderCommand, charge: Charge, idempotency_key_id: UUID | None
) -> PaymentOrder:
    now = clock.now()
    return PaymentOrder(
        order_no=new_number("ORD", now),
        user_id=command.user_id,
        appointment_id=command.appointment_id,
        order_type=command.order_type,
        amount=charge.amount,
        expire_time=now + timedelta(minutes=settings.ORDER_EXPIRE_MINUTES),
        description=command.description,
        metadata=command.metadata,
        created_at=now,
        updated_at=now,
        created_on=clock.business_day(now),
        service_type=charge.service_type,
        price_id=charge.price_id,
        created_by=actor.id,
        live_appointment_key=appointment_key(command.appointment_id, command.order_type),
        idempotency_key_id=idempotency_key_id,
    )


def appointment_key(appointment_id: UUID | None, order_type: str) -> str | None:
    return f"{appointment_id}:{order_type}" if appointment_id else None


def order_with_key(idempotency_key_id: UUID | None) -> PaymentOrder | None:
    if idempotency_key_id is None:
        return None
    return PaymentOrder.objects.filter(idempotency_key_id=idempotency_key_id).first()


def _refuse_if_appointment_is_taken(actor: Actor, key: str | None) -> None:
    """Whoever may not see the live order learns that there is one, and nothing more of it."""
    if key is None:
        return
    live = PaymentOrder.objects.filter(live_appointment_key=key).only("id", "user_id").first()
    if live is None:
        return
    may_see = actor.role in ORDERERS_FOR_OTHERS or actor.owns(live.user_id)
    raise AppointmentHasOrder(live_order_id=live.id, is_shown=may_see)


def order_lock(order_id: UUID) -> PaymentOrder:
    """The order, locked and freshly read. Always the first lock of a unit. Raises OrderNotFound."""
    order = lock(PaymentOrder, id=order_id)
    if order is None:
        raise OrderNotFound()
    return order


def order_transition(
    order: PaymentOrder, to_state: OrderStatus, cause: Cause, **changes: Any
) -> AuditEvent:
    """Move the locked order to ``to_state``, and what its trail is told: the only code that assigns
    an order's status, but for the unit of a balance payment. Raises IllegalTransition, LostUpdate.
    """
    changes = _going_with(to_state) | changes
    told = transition(order, to_state, table=ORDER_TRANSITIONS, cause=cause, **changes)
    order_announce(order, told)
    return told


def orders_transition(orders: Sequence[PaymentOrder], to_state: OrderStatus, cause: Cause) -> None:
    """Move several locked orders to ``to_state`` by one statement, each told of by itself.

    Raises IllegalTransition; LostUpdate when one is not in the state in hand any more.
    """
    changes = {"status": to_state} | _going_with(to_state)
    for order in orders:
        ensure_allowed(
            ORDER_TRANSITIONS, from_state=order.status, to_state=to_state, what=str(order)
        )
    before = {order.status for order in orders}
    keys = [order.pk for order in orders]
    written = PaymentOrder.objects.filter(pk__in=keys, status__in=before).update(**changes)
    if written != len(orders):
        raise LostUpdate(f"{written} of {len(orders)} orders")
    with told_together():
        for order in orders:
            from_state = order.status
            for name, value in changes.items():
                setattr(order, name, value)
            order_announce(order, row_told(order, cause, from_state))


def _going_with(to_state: OrderStatus) -> dict[str, Any]:
    """What changes with every status: an order that ended makes room for its appointment's next."""
    ended = {} if to_state in LIVE_STATUSES else {"live_appointment_key": None}
    return {"updated_at": clock.now(), **ended}


def ensure_payable(order: PaymentOrder, actor: Actor) -> None:
    """Only the owner, and as ``ensure_open`` says."""
    if not actor.owns(order.user_id):
        raise Forbidden()
    ensure_open(order)


def ensure_open(order: PaymentOrder) -> None:
    """Only while pending, only before its time is over. Raises OrderExpired, OrderNotPayable."""
    if order.status == OrderStatus.EXPIRED:
        raise OrderExpired()
    if order.status != OrderStatus.PENDING:
        raise OrderNotPayable(status=order.status)
    if order.expire_time <= clock.now():
        raise OrderExpired()


def ensure_cancellable(order: PaymentOrder) -> None:
    if order.status != OrderStatus.PENDING:
        raise OrderNotCancellable(status=order.status)


def order_refunds_changed(
    order: PaymentOrder, *, refunded_total: Money, actor: Actor, reason: str
) -> None:
    """Let the locked order's state follow the refunds of its applied payment (invariant R2), and
    its trail tell of each.

    ``refunded_total`` (yuan) is what has really gone back of that payment. Runs inside the
    caller's unit.
    """
    target = (
        OrderStatus.REFUNDED if refunded_total == order.amount else OrderStatus.PARTIAL_REFUNDED
    )
    if refunded_total <= 0 or order.status == target == OrderStatus.REFUNDED:
        return
    details = {"refunded_total": str(refunded_total)}
    cause = Cause(actor=actor, action="order_refunded", reason=reason, details=details)
    changes = _going_with(target) | {"refund_changes": order.refund_changes + 1}
    if order.status == target:  # another part: nothing ends, and the trail tells of it
        told = row_change(order, cause, **changes)
    else:
        told = transition(order, target, table=ORDER_TRANSITIONS, cause=cause, **changes)
    order_announce(order, told, refunded_total=refunded_total)
