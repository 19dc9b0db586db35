"""Does what a story says to the product and to the model, and compares after every step."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.db import transaction
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from backoffice.ops.audit import audit
from balances.invariants import LEDGER
from balances.models import UserBalance
from balances.services import balance_freeze, balance_top_up, balance_unfreeze
from gateways.interface import (
    CallbackNotice,
    CallbackRequest,
    RefundReport,
    RefundState,
    TradeReport,
    TradeState,
)
from payments.invariants_seals import CALLBACKS, EXCHANGES
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.callbacks import Incoming, callback_handle
from payments.services.endings import order_cancel, orders_expire
from payments.services.orders import OrderCommand, order_create
from payments.services.sweeping import attempts_sweep
from refunds.models import Refund as RefundRow
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.retries import refund_retry
from refunds.services.submission import refunds_sweep
from refunds.services.surplus import surplus_sweep
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.seals import chain_seal
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.errors import DomainError
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope
from tests.events.rebuilt import from_the_feed
from tests.stateful import model as rules
from tests.stateful.book import BOOKS, Book, Mood, channel, gateway_of, trade_key
from tests.stateful.model import OK, Attempt, Model, Order, Refund
from webhooks.services.dispatch import sequences_give

USERS, ADMINS = 2, 3
METHODS = ("wechat", "alipay")
PICK = st.integers(min_value=0, max_value=11)
AMOUNTS = st.sampled_from(["0.01", "9.99", "10.00", "20.00", "20.01", "30.00", "100.00"])
AUDIT_EVERY = 4
SETTLING_ROUNDS = 4


class Stories(RuleBasedStateMachine):
    """Two payers, three reviewers, two gateways."""

    def __init__(self) -> None:
        super().__init__()
        # Rolled back at the end; marked as a test case's own, so that durable units may run in it.
        self._transaction = transaction.atomic()
        self._transaction._from_testcase = True
        self._transaction.__enter__()
        self._patches = [
            patch("payments.services.attempts.channel_for_new_attempt", channel),
            patch("payments.services.attempts.channel_of", gateway_of),
            patch("refunds.services.submission.refund_channel_of", gateway_of),
            patch("refunds.services.checking.refund_channel_of", gateway_of),
            override_settings(
                MOCK_CALLBACKS=False,
                ORDER_PRICE_POLICY="open",
                ORDER_EXPIRE_MINUTES=120,
                LATE_PAYMENT_POLICY="refund",
                REFUND_SECOND_APPROVAL_OVER=rules.SECOND_APPROVAL_OVER,
            ),
        ]
        for one in self._patches:
            one.__enter__() if isinstance(one, override_settings) else one.start()
        BOOKS.clear()
        BOOKS.update({method: Book(method) for method in METHODS})
        self.now = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
        self.model = Model()
        self.users: list[UUID] = []
        self.admins = [new_id() for _ in range(ADMINS)]
        self.steps = 0

    def teardown(self) -> None:
        try:
            if self.users:
                self.settle()
        finally:
            for one in reversed(self._patches):
                one.__exit__(None, None, None) if isinstance(one, override_settings) else one.stop()
            transaction.set_rollback(True)
            self._transaction.__exit__(None, None, None)

    # --- doing and comparing ---

    def do(self, deed: Callable[..., Any], **arguments: Any) -> tuple[str, Any]:
        """What the product's caller was told, and what it got."""
        with clock.frozen(self.now):
            try:
                return OK, deed(**arguments)
            except DomainError as refusal:
                return refusal.code, None

    def hear(self) -> set[str]:
        """Let the model learn what the gateways have said; returns who was not answered."""
        unanswered: set[str] = set()
        for book in BOOKS.values():
            self._hear_refunds(book)
            unanswered |= self.model.heard(book.said, self.now)
            book.said.clear()
        return unanswered

    def _hear_refunds(self, book: Book) -> None:
        for call, number, answer in book.said:
            if call in {"refund", "query_refund"}:
                order, refund = self.refund_of(number)
                said = str(answer)
                self.model.refund_told(order, refund, call, said, self.now, book.method)

    def refund_of(self, number: str) -> tuple[Order, Refund]:
        """By the number that the gateway knows it by (R4: the refund's own, or with a suffix)."""
        row = RefundRow.objects.get(refund_no=number[:27])
        return self.model.orders[row.order_id], self.model.orders[row.order_id].refunds[row.id]

    def pick_order(self, pick: int) -> tuple[UUID, Order]:
        return list(self.model.orders.items())[-1 - pick % len(self.model.orders)]

    def pick_refund(self, pick: int) -> tuple[UUID, Order, Refund] | None:
        found = [
            (refund_id, order, refund)
            for order in self.model.orders.values()
            for refund_id, refund in order.refunds.items()
        ]
        return found[-1 - pick % len(found)] if found else None

    def pick_attempt(self, pick: int) -> tuple[Order, Attempt] | None:
        found = [
            (order, attempt)
            for order in self.model.orders.values()
            for attempt in order.attempts.values()
        ]
        return found[-1 - pick % len(found)] if found else None

    # --- accounts ---

    @initialize()
    def people(self) -> None:
        for _user in range(USERS):
            user_id = new_id()
            self.users.append(user_id)
            self.model.accounts[user_id] = rules.Account()
            self.top_up(len(self.users) - 1, "50.00")

    @rule(user=st.integers(0, USERS - 1), amount=AMOUNTS)
    def top_up(self, user: int, amount: str) -> None:
        user_id, value = self.users[user], Decimal(amount)
        told, _ = self.do(
            balance_top_up, user_id=user_id, amount=value, reason="story", actor=SYSTEM
        )
        self.model.accounts[user_id].available += value
        assert told == OK

    @rule(user=st.integers(0, USERS - 1), amount=AMOUNTS, is_freeze=st.booleans())
    def freeze_or_unfreeze(self, user: int, amount: str, is_freeze: bool) -> None:
        user_id, value = self.users[user], Decimal(amount)
        deed = balance_freeze if is_freeze else balance_unfreeze
        told, _ = self.do(deed, user_id=user_id, amount=value, reason="story", actor=SYSTEM)
        expected = self.model.freeze if is_freeze else self.model.unfreeze
        assert told == expected(self.model.accounts[user_id], value)

    # --- orders ---

    @rule(user=st.integers(0, USERS - 1), amount=AMOUNTS)
    def order(self, user: int, amount: str) -> None:
        owner = self.users[user]
        command = OrderCommand(user_id=owner, order_type="other", amount=Decimal(amount))
        told, row = self.do(order_create, actor=Actor(owner, Role.PATIENT), command=command)
        assert told == OK
        expires_at = self.now + timedelta(hours=2)
        self.model.orders[row.id] = Order(owner, Decimal(amount), expires_at)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK)
    def pay_from_balance(self, pick: int) -> None:
        order_id, order = self.pick_order(pick)
        told, _ = self._pay(order_id, order, "balance")
        for key in self.hear():
            self.model.find(key)[1].is_owed = True
        assert told == self.model.pay_balance(order, self.now)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, method=st.sampled_from(METHODS))
    def start_at_gateway(self, pick: int, method: str) -> None:
        order_id, order = self.pick_order(pick)
        told, _ = self._pay(order_id, order, method)
        self._note_new_attempts(order_id, order)
        unanswered = self.hear()
        expected = self.model.payable(order, self.now)
        if expected == OK and unanswered:
            expected = "GATEWAY_UNAVAILABLE"
        assert told == expected
        assert len(order.open_attempts()) <= 1

    def _pay(self, order_id: UUID, order: Order, method: str) -> tuple[str, Any]:
        command = PayCommand(order_id=order_id, payment_method=method)
        return self.do(pay, actor=Actor(order.owner, Role.PATIENT), command=command)

    def _note_new_attempts(self, order_id: UUID, order: Order) -> None:
        for row in PaymentTransaction.objects.filter(order_id=order_id, out_trade_no__isnull=False):
            number, method = row.out_trade_no or "", row.payment_method
            key = trade_key(method, number)
            order.attempts.setdefault(key, Attempt(key, number, method, self.now))

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, is_admin=st.booleans())
    def cancel(self, pick: int, is_admin: bool) -> None:
        order_id, order = self.pick_order(pick)
        actor = Actor(self.admins[0], Role.ADMIN) if is_admin else Actor(order.owner, Role.PATIENT)
        told, _ = self.do(order_cancel, actor=actor, order_id=order_id)
        unanswered = self.hear()
        assert told == self.model.cancel(order, bool(unanswered))

    # --- time ---

    @rule(minutes=st.sampled_from([1, 5, 61, 119, 122, 130]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def seal(self) -> None:
        """As every hour: what happens afterwards must not reach back into what is sealed."""
        for chain in (LEDGER, TRAIL, CALLBACKS, EXCHANGES):
            assert self.do(chain_seal, chain=chain)[0] == OK

    @rule()
    def expire(self) -> None:
        self.do(orders_expire)
        unanswered = self.hear()
        self.model.expire(self.now, unanswered)

    @rule()
    def sweep_attempts(self) -> None:
        self.do(attempts_sweep)
        unknown = {
            key
            for book in BOOKS.values()
            for call, key, answer in book.said
            if call == "query" and answer == TradeState.NOT_FOUND
        }
        self.hear()
        for key in unknown:
            self._give_up_if_never_arrived(*self.model.find(key))

    def _give_up_if_never_arrived(self, order: Order, attempt: Attempt) -> None:
        is_old = self.now >= attempt.started_at + rules.NEVER_ARRIVED_AFTER
        is_over = is_old and not attempt.is_answered and not attempt.is_owed
        if attempt.method == "wechat" and is_over:
            self.model.closed(attempt.key)

    @rule(method=st.sampled_from(METHODS), mood=st.sampled_from(Mood))
    def mood(self, method: str, mood: Mood) -> None:
        BOOKS[method].mood = mood

    # --- what gateways and buyers do ---

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, is_told=st.booleans())
    def buyer_pays(self, pick: int, is_told: bool) -> None:
        chosen = self.pick_attempt(pick)
        if chosen and BOOKS[chosen[1].method].pay(chosen[1].number) and is_told:
            self.callback(pick)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK)
    def callback(self, pick: int) -> None:
        """However late, however often."""
        chosen = self.pick_attempt(pick)
        if not chosen or not self._is_paid_there(chosen[1]):
            return
        attempt = chosen[1]
        verdict = self._tell(attempt.method, BOOKS[attempt.method].report(attempt.number))
        assert verdict == self.model.paid(attempt.key)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, off=st.sampled_from(["-0.01", "0.01"]))
    def callback_with_wrong_amount(self, pick: int, off: str) -> None:
        chosen = self.pick_attempt(pick)
        if not chosen or chosen[1].status == "success":
            return
        order, attempt = chosen
        amount = order.amount + Decimal(off)
        report = TradeReport(attempt.number, TradeState.PAID, f"T{attempt.number}", amount)
        assert self._tell(attempt.method, report) == "wrong_amount"

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK)
    def callback_of_a_close(self, pick: int) -> None:
        """Of a trade that nobody can pay any more; also of one that is paid and known to be, as
        Alipay says once everything was given back.
        """
        chosen = self.pick_attempt(pick)
        if not chosen:
            return
        attempt = chosen[1]
        if BOOKS[attempt.method].close(attempt.number) or attempt.status == "success":
            verdict = self._tell(attempt.method, TradeReport(attempt.number, TradeState.CLOSED))
            self.model.closed(attempt.key)
            assert verdict == "closed"

    @rule(method=st.sampled_from(METHODS))
    def callback_of_a_stranger(self, method: str) -> None:
        report = TradeReport("ORDUNKNOWN", TradeState.PAID, "T1", Decimal("1.00"))
        assert self._tell(method, report) == "unknown_order"

    def _is_paid_there(self, attempt: Attempt) -> bool:
        trade = BOOKS[attempt.method].trades.get(attempt.number)
        return trade is not None and trade.state is TradeState.PAID

    def _tell(self, method: str, report: TradeReport) -> str:
        return self._notify(method, CallbackNotice("", "story", trade=report))

    def _notify(self, method: str, notice: CallbackNotice) -> str:
        request = CallbackRequest({}, new_id().bytes, "application/json", self.now)
        incoming = Incoming(method, request)
        told, row = self.do(callback_handle, incoming=incoming, notice=notice, is_mock=False)
        assert told == OK
        return str(row.verdict)

    # --- refunds ---

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, amount=AMOUNTS, is_admin=st.booleans())
    def ask_refund(self, pick: int, amount: str, is_admin: bool) -> None:
        order_id, order = self.pick_order(pick)
        value = Decimal(amount)
        actor = Actor(self.admins[0], Role.ADMIN) if is_admin else Actor(order.owner, Role.PATIENT)
        told, row = self.do(
            refund_request, actor=actor, order_id=order_id, amount=value, reason="story"
        )
        assert told == self.model.may_refund(order, value)
        if row is not None:
            order.refunds[row.id] = Refund(order.applied, value, actor.id)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, by=st.integers(0, ADMINS), is_approved=st.booleans())
    def review(self, pick: int, by: int, is_approved: bool) -> None:
        if not (chosen := self.pick_refund(pick)):
            return
        refund_id, order, refund = chosen
        reviewer = [*self.admins, order.owner][by]
        told, _ = self.do(
            refund_review,
            actor=Actor(reviewer, Role.ADMIN),
            refund_id=refund_id,
            is_approved=is_approved,
            notes="",
        )
        assert told == self.model.review(order, refund, reviewer, is_approved)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, is_admin=st.booleans())
    def withdraw(self, pick: int, is_admin: bool) -> None:
        if not (chosen := self.pick_refund(pick)):
            return
        refund_id, order, refund = chosen
        by = self.admins[0] if is_admin else order.owner
        role = Role.ADMIN if is_admin else Role.PATIENT
        told, _ = self.do(refund_withdraw, actor=Actor(by, role), refund_id=refund_id)
        assert told == self.model.withdraw(refund, by)

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, by=st.integers(0, ADMINS))
    def retry(self, pick: int, by: int) -> None:
        if not (chosen := self.pick_refund(pick)):
            return
        refund_id, order, refund = chosen
        person = [*self.admins, order.owner][by]
        actor = Actor(person, Role.ADMIN)
        told, _ = self.do(refund_retry, actor=actor, refund_id=refund_id, reason="story")
        assert told == self.model.retry(order, refund, person)

    @rule()
    def sweep_refunds(self) -> None:
        self.do(refunds_sweep)
        self.hear()

    @rule()
    def sweep_surplus(self) -> None:
        expected = list(self.model.surplus_without_refund())
        _, begun = self.do(surplus_sweep)
        assert begun == len(expected)
        for order, attempt in expected:
            row = RefundRow.objects.get(
                transaction__out_trade_no=attempt.number,
                transaction__payment_method=attempt.method,
            )
            refund = Refund(attempt.key, order.amount, None, "processing", is_automatic=True)
            order.refunds[row.id] = refund

    @precondition(lambda self: self.model.orders)
    @rule(pick=PICK, state=st.sampled_from([RefundState.SUCCESS, RefundState.CLOSED]))
    def slow_refund_ends(self, pick: int, state: RefundState) -> None:
        """A refund that is in process at a gateway ends there, and a notice tells of it."""
        slow = [
            (book, number, trade)
            for book in BOOKS.values()
            for trade in book.trades.values()
            for number, (_amount, now) in trade.refunds.items()
            if now is RefundState.PROCESSING
        ]
        if not slow:
            return
        book, number, trade = slow[pick % len(slow)]
        amount = trade.refunds[number][0]
        trade.refunds[number] = amount, state
        report = RefundReport(number, state, refund_id=f"M{number}", amount=amount)
        assert self._notify(book.method, CallbackNotice("", "story", refund=report))
        self.do(notices_take)
        order, refund = self.refund_of(number)
        self.model.refund_state(order, refund, state)
        book.said.clear()

    # --- after every step ---

    @invariant()
    def agrees_with_the_model(self) -> None:
        for user_id, account in self.model.accounts.items():
            row = UserBalance.objects.get(user_id=user_id)
            assert (row.balance, row.frozen_balance) == (account.available, account.frozen)
        for order_id, order in self.model.orders.items():
            self._compare(PaymentOrder.objects.get(id=order_id), order)
        self.steps += 1
        if self.steps % AUDIT_EVERY == 0:
            self.audit(is_strict=False)

    def _compare(self, row: PaymentOrder, order: Order) -> None:
        assert row.status == order.status
        assert bool(row.payment_time) == order.is_paid
        for attempt in row.transactions.filter(out_trade_no__isnull=False):
            expected = order.attempts[trade_key(attempt.payment_method, attempt.out_trade_no or "")]
            assert (attempt.status, attempt.disposition, attempt.is_close_owed) == (
                expected.status,
                expected.disposition,
                expected.is_owed,
            )
        assert {r.id: r.status for r in row.refunds.all()} == {
            refund_id: refund.status for refund_id, refund in order.refunds.items()
        }

    @invariant()
    def gateways_never_give_back_more_than_they_got(self) -> None:
        for book in BOOKS.values():
            for number, trade in book.trades.items():
                assert trade.refunded <= trade.amount, number
                assert not trade.refunds or trade.state is TradeState.PAID

    def audit(self, *, is_strict: bool) -> None:
        with clock.frozen(self.now):
            found = [
                f"{finding.code} {finding.message}"
                for _check, findings in audit(Scope())
                for finding in findings
                if not finding.is_notice and (is_strict or not finding.is_unfinished)
            ]
        assert not found, found

    def settle(self) -> None:
        """Everybody recovers and the sweeps run for a day: both books say the same."""
        for book in BOOKS.values():
            book.mood = Mood.FINE
            for trade in book.trades.values():
                for number, (amount, state) in trade.refunds.items():
                    if state is RefundState.PROCESSING:
                        trade.refunds[number] = amount, RefundState.SUCCESS
        for _round in range(SETTLING_ROUNDS):
            self.now += timedelta(hours=3)
            for sweep in (self.expire, self.sweep_attempts, self.sweep_surplus, self.sweep_refunds):
                sweep()
                self.agrees_with_the_model()
        self.seal()
        while self.do(sequences_give)[1]:
            pass
        assert from_the_feed().differences() == []
        self.audit(is_strict=True)
        for book in BOOKS.values():
            self._compare_books(book)

    def _compare_books(self, book: Book) -> None:
        assert not PaymentTransaction.objects.filter(status="pending").exists()
        for number, trade in book.trades.items():
            payment = PaymentTransaction.objects.get(
                payment_method=book.method, out_trade_no=number
            )
            assert (payment.status == "success") == (trade.state is TradeState.PAID), number
            done = payment.refunds.filter(status="success")
            assert sum((r.refund_amount for r in done), rules.ZERO) == trade.refunded
            if payment.disposition in {"late", "second"}:
                is_failed = payment.refunds.filter(status="failed").exists()
                assert is_failed or trade.refunded == trade.amount
