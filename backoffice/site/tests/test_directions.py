"""Characters that turn round the direction of reading are spelled out wherever staff read."""

import uuid
from decimal import Decimal

import pytest

from backoffice.site.display import DIRECTIONS, directions_shown
from payments.services.orders import OrderCommand, order_create
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import Actor, Role


def test_each_of_them_is_spelled_out_and_nothing_else():
    assert directions_shown("退款\u202e00.01\u2069") == "退款[U+202E]00.01[U+2069]"
    assert directions_shown("退款 1.00 元\n") == "退款 1.00 元\n"


@pytest.mark.django_db
def test_an_orders_page_spells_them_out(client):
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    command = OrderCommand(
        user_id=owner.id,
        order_type="other",
        amount=Decimal("1.00"),
        description="\u202e00.001 款退\u2066<b>",
    )
    order = order_create(actor=owner, command=command)
    client.force_login(StaffUser.objects.create_superuser("root", password=None))
    page = client.get(f"/admin/payments/paymentorder/{order.pk}/change/").content.decode()
    assert "[U+202E]00.001 款退[U+2066]&lt;b&gt;" in page
    assert DIRECTIONS.search(page) is None
