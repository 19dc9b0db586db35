"""An order that was paid from the balance, and everything that hangs on it."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from balances.services import balance_top_up
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from refunds.models import Refund
from refunds.services.requests import refund_request
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.ids import new_id


@dataclass
class Stage:
    owner: Actor
    order: PaymentOrder
    payment: PaymentTransaction
    refund: Refund

    def another_order(self) -> PaymentOrder:
        command = OrderCommand(user_id=self.owner.id, order_type="other", amount=Decimal("30.00"))
        return order_create(actor=self.owner, command=command)


@pytest.fixture
def stage(db, settings) -> Stage:
    """Thirty yuan paid of a hundred; ten of them asked back."""
    settings.ORDER_PRICE_POLICY = "open"
    settings.REFUND_SECOND_APPROVAL_OVER = None
    owner = Actor(new_id(), Role.PATIENT, "owner")
    balance_top_up(user_id=owner.id, amount=Decimal("100.00"), reason="test", actor=SYSTEM)
    command = OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("30.00"))
    order = order_create(actor=owner, command=command)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    order.refresh_from_db()
    refund = refund_request(actor=owner, order_id=order.id, amount=Decimal("10.00"), reason="test")
    payment = PaymentTransaction.objects.get(applied_order_id=order.id)
    return Stage(owner, order, payment, refund)
