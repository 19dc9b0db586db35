"""What the API documentation's forms are tried upon, beside the clinic's two weeks."""

from decimal import Decimal

from backoffice.demo.data import PATIENT_LI, TEXT
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from payments.states import PaymentMethod
from refunds.services.requests import refund_request
from tcmpay.common.actor import Actor, Role


def seed_examples() -> None:
    """A paid order of the patient whose token is printed, with a refund to review or withdraw."""
    patient = Actor(id=PATIENT_LI, role=Role.PATIENT)
    command = OrderCommand(
        user_id=PATIENT_LI,
        order_type=TEXT.order_type,
        service_type=TEXT.service_type,
        description=TEXT.description,
    )
    order = order_create(actor=patient, command=command)
    pay(actor=patient, command=PayCommand(order_id=order.id, payment_method=PaymentMethod.BALANCE))
    refund_request(
        actor=patient, order_id=order.id, amount=Decimal("2.00"), reason="部分服务未提供"
    )
