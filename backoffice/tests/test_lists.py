"""The lists' filters, as they come in the address."""

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from payments.models import PaymentOrder
from payments.services.orders import OrderCommand, order_create
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
LIST = "/admin/payments/paymentorder/"


@pytest.fixture
def amounts(client):
    """Orders of several amounts, and a colleague from finance who looks at them."""
    for amount in ("0.01", "9.99", "10.00", "99.50", "1000.00"):
        patient = uuid.uuid4()
        command = OrderCommand(user_id=patient, order_type="other", amount=Decimal(amount))
        order_create(actor=Actor(patient, Role.PATIENT), command=command)
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="finance", is_staff=True)
    user.groups.set(Group.objects.filter(name="finance"))
    client.force_login(user)

    def shown(query: str) -> list[str]:
        answer = client.get(f"{LIST}?{query}")
        assert answer.status_code == 200
        rows = answer.context["cl"].queryset
        assert rows.model is PaymentOrder
        return sorted((f"{row.amount:.2f}" for row in rows), key=Decimal)

    return shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("amount_from=9.99&amount_to=99.5", ["9.99", "10.00", "99.50"]),
        ("amount_from=10", ["10.00", "99.50", "1000.00"]),
        ("amount_to=0.01", ["0.01"]),
        ("amount_from=0&amount_to=", ["0.01", "9.99", "10.00", "99.50", "1000.00"]),
        ("amount_to=0.00", []),
        ("amount_from=10&amount_to=10.00&status__exact=pending", ["10.00"]),
        ("amount_from=10&amount_to=10.00&status__exact=paid", []),
    ],
)
def test_orders_between_two_amounts(amounts, query, found):
    assert amounts(query) == found


@pytest.mark.parametrize("bound", ["x", "-1", "1e3", "NaN", "0.001", "１", "9" * 40])
def test_a_bound_that_is_no_amount_finds_nothing(amounts, bound):
    assert amounts(f"amount_from={bound}") == []
