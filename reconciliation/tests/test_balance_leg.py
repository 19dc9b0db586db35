"""Payments from the balance against the ledger: what agrees, what midnight parts, what differs."""

from datetime import timedelta
from decimal import Decimal

import pytest

from balances.models import BalanceTransaction
from payments.models import PaymentOrder
from reconciliation.figures import BalanceLeg, balance_leg
from reconciliation.tests.days import (
    DAY,
    NOON,
    funded,
    paid_from_balance,
    patient,
    refund_begun,
)
from tcmpay.common.clock import ONE_DAY

pytestmark = pytest.mark.django_db


@pytest.fixture
def order():
    """Paid 30.00 from the balance, of which 10.00 went back."""
    owner = patient()
    funded(owner, "100.00")
    order = paid_from_balance(owner)
    refund_begun(order.id, "10.00")
    return order


def leg(orders="20.00", ledger="20.00", over_midnight="0.00", unexplained=0):
    return BalanceLeg(Decimal(orders), Decimal(ledger), Decimal(over_midnight), unexplained)


def test_sound_books(order):
    assert balance_leg(DAY) == leg()
    assert balance_leg(DAY + ONE_DAY) == leg("0.00", "0.00")


def test_an_entry_on_the_other_side_of_midnight_is_explained(order):
    BalanceTransaction.objects.filter(related_id=order.id).update(created_at=NOON + ONE_DAY)
    assert balance_leg(DAY) == leg(ledger="-10.00", over_midnight="30.00")
    assert balance_leg(DAY + ONE_DAY) == leg("0.00", "30.00", "-30.00")


def test_another_amount_is_one_fact_that_differs(order):
    BalanceTransaction.objects.filter(related_id=order.id).update(amount="29.99")
    assert balance_leg(DAY) == leg(ledger="19.99", unexplained=1)


@pytest.mark.parametrize("kind", ["order", "refund"])
def test_an_entry_that_is_gone(order, kind):
    BalanceTransaction.objects.filter(related_type=kind).delete()
    assert balance_leg(DAY).unexplained == 1


def test_an_entry_of_an_order_that_was_not_paid_that_day(order):
    PaymentOrder.objects.update(paid_on=DAY - timedelta(days=9), payment_method="wechat")
    assert balance_leg(DAY) == leg(orders="-10.00", unexplained=1)
