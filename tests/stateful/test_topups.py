"""Random lives of a balance that is topped up, spent and given back: equal to a model to the cent.

The model knows what is available, what is frozen, what each top-up brought and what its refunds
hold; after every step the product's figures are the model's, and at the end nothing is found by
the audit of ledger, top-ups and refunds.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import balances.invariants
import payments.invariants_topups
import refunds.invariants
import refunds.invariants_give_back
from balances.models import UserBalance
from gateways.interface import RefundReport, RefundState, TradeReport, TradeState
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from payments.services.topups import topup_create
from refunds.models import Refund
from refunds.services.balance_give_back import balance_give_back
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.retries import refund_retry
from refunds.services.states import refund_lock
from refunds.services.submission import _fail, refund_report_apply
from refunds.services.surplus import surplus_sweep
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.db import money_unit
from tcmpay.common.errors import DomainError
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope
from tests.stateful.test_stories import EXAMPLES, STEPS

ZERO, MOST = Decimal("0.00"), Decimal("120.00")
AMOUNTS = st.sampled_from([Decimal(text) for text in ("0.01", "3.33", "10.00", "40.00", "77.77")])
PICK = st.integers(0, 5)
OK = "ok"
BOUNDS = {
    "TOPUP_AMOUNT_MIN": Decimal("0.01"),
    "TOPUP_AMOUNT_MAX": MOST,
    "TOPUP_DAY_MAX": Decimal("100000.00"),
    "TOPUP_BALANCE_MAX": MOST,
}


@dataclass
class TopUp:
    amount: Decimal
    state: str = "pending"
    held: Decimal = ZERO  # of it, by refunds that wait, are under way or are done


@dataclass
class Back:
    topup: UUID
    amount: Decimal
    state: str = "pending"


@dataclass
class Model:
    available: Decimal = ZERO
    frozen: Decimal = ZERO
    topups: dict[UUID, TopUp] = field(default_factory=dict)
    backs: dict[UUID, Back] = field(default_factory=dict)

    @property
    def waiting(self) -> Decimal:
        return sum((t.amount for t in self.topups.values() if t.state == "pending"), ZERO)

    def hold(self, back: Back) -> None:
        self.available -= back.amount
        self.frozen += back.amount
        self.topups[back.topup].held += back.amount

    def free(self, back: Back, state: str) -> None:
        self.available += back.amount
        self.frozen -= back.amount
        self.topups[back.topup].held -= back.amount
        back.state = state

    def spend(self, back: Back) -> None:
        self.frozen -= back.amount
        back.state = "success"


class Lives(RuleBasedStateMachine):
    """One user, one reviewer, one clerk."""

    def __init__(self) -> None:
        super().__init__()
        self._transaction = transaction.atomic()
        self._transaction._from_testcase = True
        self._transaction.__enter__()
        self._settings = override_settings(
            MOCK_CALLBACKS=True,
            TOPUPS=True,
            TOPUP_BOUNDS=BOUNDS,
            LATE_PAYMENT_POLICY="refund",
            ORDER_PRICE_POLICY="open",
            REFUND_SECOND_APPROVAL_OVER=None,
        )
        self._settings.enable()
        self.now = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
        self.model = Model()
        self.user = new_id()
        self.owner = Actor(self.user, Role.PATIENT)
        self.clerk, self.reviewer = (Actor(new_id(), Role.STAFF) for _ in range(2))

    def teardown(self) -> None:
        try:
            checks = (
                *balances.invariants.CHECKS,
                *payments.invariants_topups.CHECKS,
                *refunds.invariants.CHECKS,
                *refunds.invariants_give_back.CHECKS,
            )
            with clock.frozen(self.now):
                found = [one for check in checks for one in check(Scope())]
            assert [one for one in found if not (one.is_notice or one.is_unfinished)] == []
        finally:
            self._settings.disable()
            transaction.set_rollback(True)
            self._transaction.__exit__(None, None, None)

    def do(self, deed: Any, **arguments: Any) -> tuple[str, Any]:
        self.now += timedelta(seconds=90)
        with clock.frozen(self.now):
            try:
                return OK, deed(**arguments)
            except DomainError as refusal:
                return refusal.code, None

    def picked(self, pick: int, *states: str) -> tuple[UUID, Any] | None:
        found = [one for one in self.model.backs.items() if one[1].state in states]
        return found[pick % len(found)] if found else None

    @rule(amount=AMOUNTS)
    def ask(self, amount: Decimal) -> None:
        told, order = self.do(topup_create, actor=self.owner, user_id=self.user, amount=amount)
        model = self.model
        room = MOST - model.available - model.frozen - model.waiting
        assert told == (OK if amount <= room else "BALANCE_LIMIT")
        if order is not None:
            model.topups[order.id] = TopUp(amount)
            command = PayCommand(order_id=order.id, payment_method="wechat")
            assert self.do(pay, actor=self.owner, command=command)[0] == OK

    @precondition(lambda self: self.model.topups)
    @rule(pick=PICK, times=st.integers(1, 2))
    def paid(self, pick: int, times: int) -> None:
        order_id, topup = list(self.model.topups.items())[-1 - pick % len(self.model.topups)]
        attempt = PaymentTransaction.objects.get(order_id=order_id, transaction_type="payment")
        number = attempt.out_trade_no or ""
        report = TradeReport(number, TradeState.PAID, f"42{number}", attempt.amount)
        for _time in range(times):
            assert self.do(trade_report_apply, method="wechat", report=report)[0] == OK
        if topup.state == "pending":
            is_room = self.model.available + self.model.frozen + topup.amount <= MOST
            topup.state = "paid" if is_room else "cancelled"
            self.model.available += topup.amount if is_room else ZERO

    @precondition(lambda self: self.model.topups)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        order_id, topup = list(self.model.topups.items())[-1 - pick % len(self.model.topups)]
        told, _ = self.do(order_cancel, actor=self.owner, order_id=order_id)
        if topup.state == "pending":
            assert told == OK
            topup.state = "cancelled"
        else:
            assert told == "ORDER_NOT_CANCELLABLE"

    @rule()
    def late_money_goes_back(self) -> None:
        assert self.do(surplus_sweep)[0] == OK

    @rule(amount=AMOUNTS)
    def spend(self, amount: Decimal) -> None:
        command = OrderCommand(user_id=self.user, order_type="other", amount=amount)
        _told, order = self.do(order_create, actor=self.owner, command=command)
        paying = PayCommand(order_id=order.id, payment_method="balance")
        told, _ = self.do(pay, actor=self.owner, command=paying)
        is_enough = amount <= self.model.available
        assert told == (OK if is_enough else "INSUFFICIENT_BALANCE")
        self.model.available -= amount if is_enough else ZERO

    @precondition(lambda self: self.model.topups)
    @rule(pick=PICK, amount=AMOUNTS)
    def ask_back(self, pick: int, amount: Decimal) -> None:
        order_id, topup = list(self.model.topups.items())[-1 - pick % len(self.model.topups)]
        told, refund = self.do(
            refund_request, actor=self.owner, order_id=order_id, amount=amount, reason="x"
        )
        if told == "REFUND_LIMIT":
            return
        status = PaymentOrder.objects.get(id=order_id).status
        expected = OK if amount <= self.model.available else "INSUFFICIENT_BALANCE"
        expected = expected if amount <= topup.amount - topup.held else "REFUND_EXCEEDS_PAID"
        is_open = status in ("paid", "partial_refunded")
        assert told == (expected if is_open else "ORDER_NOT_REFUNDABLE")
        if refund is not None:
            self._asked(refund)

    def _asked(self, refund: Refund) -> None:
        back = Back(refund.order_id, refund.refund_amount)
        self.model.backs[refund.id] = back
        self.model.hold(back)

    @rule(amount=AMOUNTS)
    def give_back(self, amount: Decimal) -> None:
        before = self.model.available
        left = sum(
            (t.amount - t.held for t in self.model.topups.values() if t.state == "paid"), ZERO
        )
        told, given = self.do(
            balance_give_back,
            actor=self.clerk,
            user_id=self.user,
            amount=amount,
            reason="x",
            request_id=new_id(),
        )
        assert told == (OK if amount <= before else "INSUFFICIENT_BALANCE")
        if given is not None:
            for refund in given.refunds:
                self._asked(refund)
            assert given.left == max(amount - left, ZERO)

    @rule(pick=PICK, way=st.sampled_from(["withdraw", "reject", "approve"]))
    def decide(self, pick: int, way: str) -> None:
        found = self.picked(pick, "pending")
        if found is None:
            return
        refund_id, back = found
        if way == "withdraw":
            asker = Actor(Refund.objects.get(id=refund_id).requested_by, Role.STAFF)
            assert self.do(refund_withdraw, actor=asker, refund_id=refund_id)[0] == OK
        else:
            told, _ = self.do(
                refund_review,
                actor=self.reviewer,
                refund_id=refund_id,
                is_approved=way == "approve",
                notes="x",
            )
            assert told == OK
        if way == "approve":
            back.state = "processing"
        else:
            self.model.free(back, "cancelled")

    @rule(pick=PICK, is_done=st.booleans())
    def gateway_says(self, pick: int, is_done: bool) -> None:
        found = self.picked(pick, "processing", "failed")
        if found is None:
            return
        refund_id, back = found
        if not is_done:
            if back.state == "processing":
                assert self.do(fails, refund_id=refund_id)[0] == OK
                self.model.free(back, "failed")
            return
        refund = Refund.objects.get(id=refund_id)
        report = RefundReport(refund.refund_no, RefundState.SUCCESS, f"R{refund.refund_no}")
        assert self.do(refund_report_apply, refund_id=refund_id, report=report)[0] == OK
        topup = self.model.topups[back.topup]
        if back.state == "failed":
            if back.amount > min(self.model.available, topup.amount - topup.held):
                return  # a case, until there is room
            self.model.hold(back)
        self.model.spend(back)

    @rule(pick=PICK)
    def retry(self, pick: int) -> None:
        found = self.picked(pick, "failed")
        if found is None:
            return
        refund_id, back = found
        topup = self.model.topups[back.topup]
        told, _ = self.do(refund_retry, actor=self.reviewer, refund_id=refund_id, reason="x")
        expected = OK if back.amount <= self.model.available else "INSUFFICIENT_BALANCE"
        expected = expected if back.amount <= topup.amount - topup.held else "REFUND_EXCEEDS_PAID"
        assert told == expected
        if told == OK:
            back.state = "processing"
            self.model.hold(back)

    @invariant()
    def the_figures_are_the_model_s(self) -> None:
        account = UserBalance.objects.filter(user_id=self.user).first()
        told = (account.balance, account.frozen_balance) if account else (ZERO, ZERO)
        assert told == (self.model.available, self.model.frozen)


@money_unit
def fails(*, refund_id: UUID) -> None:
    _order, payment, refund = refund_lock(refund_id)
    _fail(refund, payment, SYSTEM, code="X", message="refused")


@pytest.mark.django_db
def test_lives_end_as_the_model_says() -> None:
    """The seed is the run's (TEST_SEED); a failure prints the shortest life that shows it."""
    bounds = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(Lives, settings=bounds)
