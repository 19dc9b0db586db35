"""Whoever writes from memory that is older than the row writes nothing: the update misses."""

from decimal import Decimal

import pytest
from django.db.transaction import atomic

from balances.models import BalanceTransaction, EntryType, RelatedType, UserBalance
from balances.services import Related, _append, _Locked, balance_top_up
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.endings import order_cancel
from payments.services.orders import order_transition
from payments.services.refund_money import refund_reserve
from payments.services.settlement import transaction_transition
from payments.services.sweeping import _claim_check
from payments.states import OrderStatus, TransactionStatus
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_withdraw
from refunds.services.states import refund_transition
from refunds.states import RefundStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.ids import new_id
from tcmpay.common.transitions import LostUpdate
from tests.guards.conftest import Stage


def test_an_order_that_ended_meanwhile_is_not_ended_again(stage: Stage) -> None:
    order = stage.another_order()
    stale = PaymentOrder.objects.get(id=order.id)
    order_cancel(actor=stage.owner, order_id=order.id)
    with pytest.raises(LostUpdate), atomic():
        order_transition(stale, OrderStatus.EXPIRED, Cause(actor=SYSTEM, action="test"))
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_a_refund_that_was_withdrawn_meanwhile_is_not_sent(stage: Stage) -> None:
    stale = Refund.objects.get(id=stage.refund.id)
    refund_withdraw(actor=stage.owner, refund_id=stage.refund.id)
    with pytest.raises(LostUpdate), atomic():
        refund_transition(stale, RefundStatus.PROCESSING, actor=SYSTEM, action="test")
    assert not AuditEvent.objects.filter(action="test").exists()


def test_an_attempt_that_ended_meanwhile_does_not_fail(stage: Stage) -> None:
    attempt = _open_attempt(stage)
    stale = PaymentTransaction.objects.get(id=attempt.id)
    with atomic():
        transaction_transition(attempt, TransactionStatus.FAILED, actor=SYSTEM, action="first")
    with pytest.raises(LostUpdate), atomic():
        transaction_transition(stale, TransactionStatus.FAILED, actor=SYSTEM, action="test")


def test_what_refunds_hold_is_not_overwritten(stage: Stage) -> None:
    stale = PaymentTransaction.objects.get(id=stage.payment.id)
    refund_request(
        actor=stage.owner, order_id=stage.order.id, amount=Decimal("15.00"), reason="test"
    )
    with pytest.raises(LostUpdate), atomic():
        refund_reserve(stale, Decimal("10.00"))
    stage.payment.refresh_from_db()
    assert stage.payment.refund_reserved == Decimal("25.00")


def test_a_balance_that_moved_meanwhile_is_not_overwritten(stage: Stage) -> None:
    stale = UserBalance.objects.get(user_id=stage.owner.id)
    balance_top_up(user_id=stage.owner.id, amount=Decimal("1.00"), reason="test", actor=SYSTEM)
    BalanceTransaction.objects.filter(user_id=stage.owner.id, sequence=3).update(sequence=77)
    related = Related(RelatedType.TOPUP, new_id())
    with pytest.raises(LostUpdate), atomic():
        _append(_Locked(stale, ""), EntryType.INCOME, Decimal("5.00"), related, "test", SYSTEM)
    stale.refresh_from_db()
    assert stale.balance == Decimal("71.00")


def test_two_sweepers_ask_once(stage: Stage) -> None:
    attempt = _open_attempt(stage)
    stale = PaymentTransaction.objects.get(id=attempt.id)
    assert _claim_check(attempt) is True
    assert _claim_check(stale) is False


def _open_attempt(stage: Stage) -> PaymentTransaction:
    attempt = PaymentTransaction(
        transaction_no="TXNOPEN",
        order=stage.another_order(),
        payment_method="wechat",
        amount=Decimal("30.00"),
        out_trade_no="OPEN",
        next_check_at=clock.now(),
    )
    attempt.save(force_insert=True)
    return PaymentTransaction.objects.get(id=attempt.id)
