"""Top-ups: orders that buy nothing, whose money becomes the user's balance.

Money that came is never lost: what a balance can't take goes back the way it came (``settlement``).
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils.translation import gettext as _

from balances.errors import BalanceLimit, BalanceUnderReview
from balances.models import RelatedType
from balances.services import Related, balance_credit, balance_lock
from payments.errors import TopUpAmountOutOfBounds, TopUpBalanceLimit, TopUpDayLimit, TopUpsOff
from payments.events import topup_announce
from payments.models import PaymentOrder
from payments.services.orders import (
    NUMBER_ATTEMPTS_MAX,
    Charge,
    OrderCommand,
    order_insert,
    order_with_key,
)
from payments.states import PAID_STATUSES, OrderStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.errors import DomainError, Forbidden
from tcmpay.common.money import MONEY_MAX, ZERO, Money
from tcmpay.common.order_types import OrderType


def topup_create(
    *, actor: Actor, user_id: UUID, amount: Money, idempotency_key_id: UUID | None = None
) -> PaymentOrder:
    """Create a pending order of type topup for ``amount`` (yuan) and return it.

    Raises:
        Forbidden: somebody else's balance. TopUpsOff: TOPUPS is off.
        TopUpAmountOutOfBounds, TopUpDayLimit, TopUpBalanceLimit: beyond a bound; what waits to be
            paid counts with what was paid.
        BalanceUnderReview: the ledger does not end at the balance.
    """
    if not actor.owns(user_id):
        raise Forbidden()
    if not settings.TOPUPS:
        raise TopUpsOff()
    bounds = settings.TOPUP_BOUNDS
    least, most = bounds["TOPUP_AMOUNT_MIN"], bounds["TOPUP_AMOUNT_MAX"]
    if not least <= amount <= most:
        raise TopUpAmountOutOfBounds(least=least, most=most)
    for _attempt in range(NUMBER_ATTEMPTS_MAX):
        try:
            return _insert(actor, user_id, amount, idempotency_key_id)
        except IntegrityError:
            if found := order_with_key(idempotency_key_id):
                return found
    raise RuntimeError("no free order number")


@money_unit
def _insert(
    actor: Actor, user_id: UUID, amount: Money, idempotency_key_id: UUID | None
) -> PaymentOrder:
    # The account's lock lets one of two top-ups of a user see the other.
    held = balance_lock(user_id).held
    _ensure_within_day(user_id, amount)
    _ensure_room(user_id, held, amount)
    command = OrderCommand(
        user_id=user_id, order_type=OrderType.TOPUP, amount=amount, description=_("余额充值")
    )
    return order_insert(actor, command, Charge(amount, None, ""), idempotency_key_id)


def _ensure_within_day(user_id: UUID, amount: Money) -> None:
    most = settings.TOPUP_BOUNDS["TOPUP_DAY_MAX"]
    today = clock.day_start(clock.today())
    counted = (OrderStatus.PENDING, *PAID_STATUSES)
    left = most - _sum_of(user_id, counted, created_at__gte=today)
    if amount > left:
        raise TopUpDayLimit(most=most, left=max(left, ZERO))


def _ensure_room(user_id: UUID, held: Money, amount: Money) -> None:
    most = balance_most()
    # No order waits for longer than a day or two: older ones need not be looked through.
    lately = clock.now() - timedelta(minutes=settings.ORDER_EXPIRE_MINUTES, days=1)
    left = most - held - _sum_of(user_id, (OrderStatus.PENDING,), created_at__gte=lately)
    if amount > left:
        raise TopUpBalanceLimit(most=most, left=max(left, ZERO))


def _sum_of(user_id: UUID, statuses: tuple[str, ...], **bounds: object) -> Money:
    orders = PaymentOrder.objects.filter(
        user_id=user_id, order_type=OrderType.TOPUP, status__in=statuses, **bounds
    )
    return sum(orders.values_list("amount", flat=True), ZERO)


def balance_most() -> Money:
    """What a balance may hold after a top-up (yuan), frozen money too."""
    return min(settings.TOPUP_BOUNDS["TOPUP_BALANCE_MAX"], MONEY_MAX)


def topup_refusal(order: PaymentOrder) -> DomainError | None:
    """Why the balance can't take what was paid for the locked top-up order; None when it can, and
    then until the end of the caller's unit."""
    most = balance_most()
    try:
        held = balance_lock(order.user_id).held
    except BalanceUnderReview as refusal:
        return refusal
    if held + order.amount > most:
        return BalanceLimit(_("余额超过上限 %(most)s 元") % {"most": most})
    return None


def topup_credit(order: PaymentOrder, told: AuditEvent, actor: Actor) -> None:
    """Credit the owner of the locked top-up order, once; inside the caller's unit. ``told`` is what
    its trail says of the payment."""
    topup_announce(order, told)
    balance_credit(
        user_id=order.user_id,
        amount=order.amount,
        related=Related(RelatedType.TOPUP, order.id),
        description=_("余额充值 %(number)s") % {"number": order.order_no},
        actor=actor,
    )
