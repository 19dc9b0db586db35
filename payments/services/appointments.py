"""Ordering for an appointment that somebody else's order holds already."""

from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from payments.errors import AppointmentByPlatformOnly, AppointmentHasOrder, OrderNotCancellable
from payments.models import PaymentOrder
from payments.services.endings import order_cancel
from payments.services.orders import ORDERERS_FOR_OTHERS, OrderCommand, order_create
from tcmpay.common.actor import Actor


def order_place(
    *, actor: Actor, command: OrderCommand, idempotency_key_id: UUID | None = None
) -> PaymentOrder:
    """Create a pending order and return it; the platform's supersedes a squatter's.

    Whoever knows an appointment's id could order for it first. What the platform (service, admin)
    then orders for another user stands: the pending one is closed at its gateway and cancelled. A
    paid one is for staff.

    Raises what order_create raises; AppointmentByPlatformOnly; GatewayDown: the pending order
        can't be closed now, nothing changes.
    """
    is_platform = actor.role in ORDERERS_FOR_OTHERS
    if command.appointment_id and not is_platform and settings.APPOINTMENT_ORDERS_BY == "service":
        raise AppointmentByPlatformOnly()
    try:
        return order_create(actor=actor, command=command, idempotency_key_id=idempotency_key_id)
    except AppointmentHasOrder as refusal:
        if not is_platform or not _supersede(actor, command, refusal.live_order_id):
            raise
    return order_create(actor=actor, command=command, idempotency_key_id=idempotency_key_id)


def _supersede(actor: Actor, command: OrderCommand, order_id: UUID) -> bool:
    """Cancel another user's pending order; False where it is the same user's, or paid."""
    owner = PaymentOrder.objects.values_list("user_id", flat=True).get(id=order_id)
    if owner == command.user_id:
        return False
    reason = _("平台为该预约的另一位用户下单，此订单取消")
    try:
        order_cancel(actor=actor, order_id=order_id, reason=reason)
    except OrderNotCancellable:
        return PaymentOrder.objects.get(id=order_id).live_appointment_key is None
    return True
