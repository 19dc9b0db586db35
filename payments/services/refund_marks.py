"""Counting what happens to the refunds of an order, so that its answer is known to be another."""

from uuid import UUID

from django.db.models import F

from payments.models import PaymentOrder


def order_refunds_moved(order_id: UUID) -> None:
    """``refunded_amount`` or ``refundable_amount`` is another one now; inside the caller's unit."""
    PaymentOrder.objects.filter(id=order_id).update(refund_changes=F("refund_changes") + 1)
