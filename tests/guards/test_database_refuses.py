"""What must never be is refused by the database itself, whoever writes it."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import IntegrityError, models
from django.db.transaction import atomic

from balances.models import BalanceTransaction, UserBalance
from payments.models import PaymentOrder, PaymentTransaction
from refunds.models import Refund, RefundApproval
from tcmpay.audit.models import AuditEvent
from tcmpay.common.ids import new_id
from tcmpay.limits.models import IdempotencyKey
from tests.guards.conftest import Stage

CHANGES = {
    "a negative balance": (UserBalance, {"balance": Decimal("-0.01")}),
    "a negative frozen balance": (UserBalance, {"frozen_balance": Decimal("-0.01")}),
    "an order about nothing": (PaymentOrder, {"amount": Decimal("0.00")}),
    "an unknown state of an order": (PaymentOrder, {"status": "odd"}),
    "a paid order without a time": (PaymentOrder, {"payment_time": None}),
    "refunds beyond the payment": (PaymentTransaction, {"refund_reserved": Decimal("30.01")}),
    "a failed payment that is applied": (PaymentTransaction, {"status": "failed"}),
    "an entry about nothing": (BalanceTransaction, {"amount": Decimal("0.00")}),
    "an entry that moves money a second time": (BalanceTransaction, {"occasion": 2}),
    "a top-up from the balance": (
        PaymentOrder,
        {"order_type": "topup", "service_type": "", "payment_method": "balance"},
    ),
    "a top-up for an appointment": (
        PaymentOrder,
        {"order_type": "topup", "payment_method": "wechat", "appointment_id": new_id()},
    ),
    "an entry that ends below zero": (BalanceTransaction, {"balance_after": Decimal("-0.01")}),
    "a refund of nothing": (Refund, {"refund_amount": Decimal("0.00")}),
    "a success without a time": (Refund, {"status": "success"}),
    "a sending without a time": (Refund, {"sendings": 1}),
    "a refusal that waits for nothing": (Refund, {"refused_code": "NO"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_refuses_a_value(stage: Stage, what: str) -> None:
    model, changes = CHANGES[what]
    with pytest.raises(IntegrityError), atomic():
        model.objects.update(**changes)


def copied(row: models.Model, **changes: object) -> models.Model:
    """Another row like it: new id, new number, and what ``changes`` says."""
    copy = type(row)(**{field.attname: getattr(row, field.attname) for field in row._meta.fields})
    copy.id = new_id()
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


def entry() -> BalanceTransaction:
    return BalanceTransaction.objects.get(transaction_type="expense")


TWINS: dict[str, Callable[[Stage], models.Model]] = {
    "two debits of one order": lambda stage: copied(entry(), sequence=99),
    "two entries of one number": lambda stage: copied(entry(), related_id=new_id()),
    "two applied payments of one order": lambda stage: copied(
        stage.payment, transaction_no="TXN2", refund_reserved=0
    ),
    "two events of one version": lambda stage: copied(AuditEvent.objects.first()),
}


@pytest.mark.parametrize("what", TWINS)
def test_it_refuses_a_twin(stage: Stage, what: str) -> None:
    twin = TWINS[what](stage)
    with pytest.raises(IntegrityError), atomic():
        twin.save(force_insert=True)


PAIRS: dict[str, Callable[[Stage, int], models.Model]] = {
    "one number of a trade twice": lambda stage, number: copied(
        stage.payment,
        transaction_no=f"TXN{number}",
        applied_order_id=None,
        refund_reserved=0,
        out_trade_no="N",
    ),
    "one external number twice": lambda stage, number: copied(
        stage.payment,
        transaction_no=f"TXN{number}",
        applied_order_id=None,
        refund_reserved=0,
        external_transaction_id="N",
    ),
    "two live orders of one appointment": lambda stage, number: copied(
        stage.order, order_no=f"ORD{number}", live_appointment_key="N"
    ),
    "two approvals by one person": lambda stage, number: RefundApproval(
        refund=stage.refund, reviewer_id=stage.owner.id
    ),
    "one key twice": lambda stage, number: IdempotencyKey(
        caller_id=stage.owner.id,
        key_hash="h",
        fingerprint="f",
        claimed_at=stage.order.created_at,
    ),
}


@pytest.mark.parametrize("what", PAIRS)
def test_it_refuses_the_second_of_two(stage: Stage, what: str) -> None:
    PAIRS[what](stage, 1).save(force_insert=True)
    with pytest.raises(IntegrityError), atomic():
        PAIRS[what](stage, 2).save(force_insert=True)
