"""Which amounts are taken, and how they are written back (CONTRACT section 1, MONEY section 4)."""

import json
from decimal import Decimal

import pytest

from payments.models import PaymentOrder
from tests.api.kit import nothing_moves
from tests.hostile.corpus import corpus

# (JSON as sent, amount as answered)
TAKEN = [
    ('"30.00"', "30.00"),
    ('"30.0"', "30.00"),
    ('"30"', "30.00"),
    ("30", "30.00"),
    ("30.5", "30.50"),
    ("30.50", "30.50"),
    ("0.1", "0.10"),
    ("1.10", "1.10"),
    ("0.29", "0.29"),
    ("1.13", "1.13"),
    ("8.41", "8.41"),
    ("0.01", "0.01"),
    ('"0.01"', "0.01"),
    ("99999999.99", "99999999.99"),
    ('"99999999.99"', "99999999.99"),
    ("99999999", "99999999.00"),
]
REFUSED: dict[str, list[str]] = corpus("amounts")


def order_body(patient, literal: str) -> str:
    return f'{{"user_id": "{patient.name}", "order_type": "other", "amount": {literal}}}'


@pytest.mark.parametrize(("literal", "written"), TAKEN)
def test_it_takes_the_amount_exactly(api, patient, literal, written):
    order = api.post("orders", content=order_body(patient, literal), by=patient).created()
    assert order["amount"] == written
    assert PaymentOrder.objects.get(id=order["id"]).amount == Decimal(written)


@pytest.mark.parametrize(
    "literal",
    [literal for group in REFUSED.values() for literal in group],
    ids=lambda text: text[:20],
)
def test_it_refuses_what_is_not_an_amount(api, patient, literal):
    with nothing_moves():
        answer = api.post("orders", content=order_body(patient, literal), by=patient)
    answer.invalid()
    assert set(answer.errors) <= {"amount", "body"}


@pytest.mark.parametrize(
    "literal", [literal for group in REFUSED.values() for literal in group][::3]
)
def test_a_refund_is_as_strict(api, story, rich_patient, literal):
    order = story.paid_from_balance(rich_patient)
    body = f'{{"order_id": "{order["id"]}", "refund_amount": {literal}, "refund_reason": "x"}}'
    with nothing_moves():
        answer = api.post("refunds", content=body, by=rich_patient)
    answer.invalid()
    assert set(answer.errors) <= {"refund_amount", "body"}


@pytest.mark.parametrize(
    "literal", [literal for group in REFUSED.values() for literal in group][1::3]
)
def test_a_price_is_as_strict(api, admin, literal):
    with nothing_moves():
        answer = api.put("admin/prices/consultation", content=f'{{"price": {literal}}}', by=admin)
    answer.invalid()
    assert set(answer.errors) <= {"price", "body"}


def test_money_is_a_string_with_two_places_wherever_it_is_answered(api, story, rich_patient, admin):
    order = story.paid_from_balance(rich_patient, "30.5")
    refund = story.refund(order, rich_patient, "0.5")
    story.review(refund, admin)
    statistics = api.get("statistics", by=rich_patient).accepted()
    figures = {
        order["amount"]: "30.50",
        refund["refund_amount"]: "0.50",
        statistics["paid_amount"]: "30.50",
        statistics["refunded_amount"]: "0.50",
    }
    assert all(answered == expected for answered, expected in figures.items())
    account = story.balance(rich_patient)
    assert [account[name] for name in ("balance", "frozen_balance")] == ["70.00", "0.00"]
    assert [account[name] for name in ("total_income", "total_expense")] == ["100.50", "30.50"]
    for entry in story.entries(rich_patient):
        for name in ("amount", "balance_before", "balance_after"):
            assert isinstance(entry[name], str)
            assert json.dumps(entry[name]) == f'"{Decimal(entry[name]):.2f}"'
