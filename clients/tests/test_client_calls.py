"""The Python client against the product, over its own stack of middleware."""

import uuid
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from tcmpay_client import Patience, Refused, Tcmpay
from tcmpay_client.transport import Answer

from balances.services import balance_top_up
from tcmpay.common.actor import SYSTEM, Role
from tests.api.kit import Person, someone
from webhooks.services.dispatch import sequences_give

pytestmark = pytest.mark.django_db


def client_of(person: Person, slept: Any = lambda seconds: None) -> Tcmpay:
    pay = Tcmpay("http://testserver", person.token, patience=Patience(attempts=1), sleep=slept)
    django = Client(raise_request_exception=False)

    def once(request: Any) -> Answer:
        parts = urlsplit(request.full_url)
        answer = django.generic(
            request.method,
            f"{parts.path}?{parts.query}",
            request.data or b"",
            content_type=request.headers.get("Content-type", "application/json"),
            headers=request.headers,
        )
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, headers, answer.content)

    pay._transport._once = once  # type: ignore[method-assign]
    return pay


@pytest.fixture(autouse=True)
def _demo(settings) -> None:
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"


@pytest.fixture
def patient() -> Person:
    person = someone(Role.PATIENT)
    balance_top_up(user_id=person.id, amount=Decimal("100.00"), reason="x", actor=SYSTEM)
    return person


@pytest.fixture
def service() -> Tcmpay:
    return client_of(someone(Role.SERVICE))


def order_body(patient: Person, amount: str = "30.00") -> Any:
    return {"user_id": patient.name, "order_type": "consultation", "amount": Decimal(amount)}


def test_from_an_order_to_its_refund(patient, service):
    mine = client_of(patient)
    order = service.create_order(order_body(patient))
    assert (order["status"], order["amount"]) == ("pending", Decimal("30.00"))
    paid = mine.pay_order({"order_id": order["id"], "payment_method": "balance"})
    assert paid["order_no"] == order["order_no"]
    order = mine.wait_for_order(order["id"])
    assert (order["status"], order["refundable_amount"]) == ("paid", Decimal("30.00"))
    refund = service.request_refund(
        {"order_id": order["id"], "refund_amount": Decimal("10.50"), "refund_reason": "未使用"}
    )
    client_of(someone(Role.ADMIN)).review_refund(refund["id"], {"approved": True})
    assert service.get_refund(refund["id"])["status"] == "success"
    assert service.get_order(order["id"])["refunded_amount"] == Decimal("10.50")
    assert mine.get_balance(patient.name)["balance"] == Decimal("80.50")


def test_a_refusal_is_an_error_with_its_code(patient):
    mine = client_of(patient)
    order = mine.create_order(order_body(patient, "500.00"))
    with pytest.raises(Refused) as refused:
        mine.pay_order({"order_id": order["id"], "payment_method": "balance"})
    assert (refused.value.status, refused.value.code) == (400, "INSUFFICIENT_BALANCE")
    with pytest.raises(Refused) as refused:
        mine.create_order(order_body(patient) | {"amount": "0.001"})
    assert list(refused.value.errors) == ["amount"]
    with pytest.raises(Refused) as refused:
        Tcmpay.get_balance(client_of(Person(patient.id, Role.PATIENT, "x.y.z")), patient.name)
    assert (refused.value.code, refused.value.reason) == ("UNAUTHENTICATED", "malformed")


def test_lists_are_gone_through_to_their_end(patient, service):
    made = [service.create_order(order_body(patient))["id"] for _number in range(5)]
    listed = service.orders(user_id=patient.name, status="pending,paid", page_size=2)
    assert [order["id"] for order in listed] == made[::-1]
    assert list(service.orders(ids=made[:2], status="paid")) == []


def test_what_happened_is_told_from_a_sequence_on(patient, service):
    order = service.create_order(order_body(patient))
    sequences_give()
    (made,) = service.events(types="order.created")
    assert (made["object_id"], made["data"]["amount"]) == (order["id"], Decimal("30.00"))
    service.cancel_order(order["id"])
    sequences_give()
    assert [event["type"] for event in service.events(made["sequence"])] == ["order.cancelled"]


def test_waiting_asks_for_nothing_but_changes(patient, service):
    order = service.create_order(order_body(patient))
    slept = []

    def paying(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            client_of(patient).pay_order({"order_id": order["id"], "payment_method": "balance"})

    assert client_of(patient, paying).wait_for_order(order["id"])["status"] == "paid"
    assert len(slept) == 3
    other = service.create_order(order_body(patient))
    assert client_of(patient).wait_for_order(other["id"], seconds_max=4)["status"] == "pending"


def test_a_call_that_is_made_again_with_its_key_is_one(patient, service):
    key = str(uuid.uuid4())
    first = service.create_order(order_body(patient), idempotency_key=key)
    assert service.create_order(order_body(patient), idempotency_key=key) == first


def test_what_has_no_answer_in_json_is_text(patient):
    mine = client_of(patient)
    order = mine.create_order(order_body(patient))
    mine.pay_order({"order_id": order["id"], "payment_method": "wechat"})
    assert mine.get_order_qr_code(order["id"]).startswith("<?xml")
    mine.cancel_order(order["id"])
    assert mine.get_order(order["id"])["status"] == "cancelled"
