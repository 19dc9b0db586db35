"""The audit trail is found by who did something, and by the numbers that people know."""

import uuid
from decimal import Decimal

import pytest
from django.test import Client

from balances.services import balance_top_up
from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from refunds.services.requests import refund_request, refund_review
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def story(client):
    """An order that is paid and partly given back, by 刘新."""
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    balance_top_up(user_id=owner.id, amount=Decimal("9.00"), reason="x", actor=SYSTEM)
    command = OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("3.00"))
    order = order_create(actor=owner, command=command)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    refund = refund_request(actor=owner, order_id=order.id, amount=Decimal("1.00"), reason="x")
    reviewer = StaffUser.objects.create_user("liuxin", last_name="刘", first_name="新")
    refund_review(actor=reviewer.as_actor(), refund_id=refund.id, is_approved=True, notes="x")
    client.force_login(StaffUser.objects.create_superuser("root", password=None))
    payment = PaymentTransaction.objects.get(order=order, transaction_type="payment")
    return {"order": order, "payment": payment, "refund": refund, "reviewer": reviewer}


def found(client: Client, term: str) -> list[AuditEvent]:
    answer = client.get("/admin/audit/auditevent/", {"q": term})
    assert answer.status_code == 200
    return list(answer.context["cl"].queryset)


@pytest.mark.parametrize("term", ["刘新", "刘", "liuxin", " 刘新 "])
def test_a_colleagues_name_finds_what_they_did(client, story, term):
    events = found(client, term)
    assert {event.actor_id for event in events} == {story["reviewer"].pk}
    assert "refund_approved" in {event.action for event in events}


@pytest.mark.parametrize(
    ("name", "field"),
    [("order", "order_no"), ("payment", "transaction_no"), ("refund", "refund_no")],
)
def test_a_number_finds_what_happened_to_it(client, story, name, field):
    term = getattr(story[name], field)
    for written in (term, term.lower()):
        assert {event.object_id for event in found(client, written)} == {str(story[name].pk)}


@pytest.mark.parametrize("term", ["王五", "nobody", "%", "ORD1", "\u202e", "药" * 300])
def test_what_is_not_there_finds_nothing(client, story, term):
    assert found(client, term) == []
