"""What must come out: a few dictionaries, and the rules in the words of the contract.

It shares no code with the product. Amounts are yuan as Decimal, moments are datetimes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

OK = "ok"
ZERO = Decimal("0.00")
SECOND_APPROVAL_OVER = Decimal("20.00")
CODE_DEAD_AFTER = timedelta(minutes=2)
REFUNDS_WAITING_MAX = 10
REFUND_KNOWN_AFTER = {"wechat": timedelta(seconds=60), "alipay": timedelta(seconds=15)}
GRACE = timedelta(minutes=3)
NEVER_ARRIVED_AFTER = timedelta(minutes=5)
UNANSWERED = {"silent", "cut"}


@dataclass
class Account:
    available: Decimal = ZERO
    frozen: Decimal = ZERO


@dataclass
class Attempt:
    key: str  # the gateway and its number
    number: str
    method: str
    started_at: datetime  # the newest start, until one was answered
    status: str = "pending"
    is_answered: bool = False
    is_owed: bool = False
    disposition: str = ""


@dataclass
class Refund:
    payment: str  # the attempt's key, or "balance"
    amount: Decimal
    asked_by: UUID | None
    status: str = "pending"
    approved_by: set[UUID] = field(default_factory=set)
    is_automatic: bool = False
    people_needed: int = 1
    # Of the number that it goes by now: how often it was sent, when last, and whether that was
    # refused.
    sendings: int = 0
    sent_at: datetime | None = None
    is_refused: bool = False

    @property
    def holds(self) -> bool:
        return self.status in {"pending", "processing", "success"}


def people_needed(held: Decimal) -> int:
    return 2 if held > SECOND_APPROVAL_OVER else 1


class Refunds(dict[UUID, Refund]):
    """An order's refunds. One needs no fewer people than when it was asked for."""

    def __setitem__(self, key: UUID, refund: Refund) -> None:
        held = self.held_of(refund.payment) + refund.amount
        refund.people_needed = people_needed(held)
        super().__setitem__(key, refund)

    def held_of(self, payment: str) -> Decimal:
        held = (r.amount for r in self.values() if r.payment == payment and r.holds)
        return sum(held, ZERO)


@dataclass
class Order:
    owner: UUID
    amount: Decimal
    expires_at: datetime
    status: str = "pending"
    applied: str = ""
    attempts: dict[str, Attempt] = field(default_factory=dict)
    refunds: Refunds = field(default_factory=Refunds)

    @property
    def is_paid(self) -> bool:
        return bool(self.applied)

    def open_attempts(self) -> list[Attempt]:
        return [a for a in self.attempts.values() if a.status == "pending" and not a.is_owed]

    def left_of(self, payment: str) -> Decimal:
        return self.amount - self.refunds.held_of(payment)


class Model:
    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
        self.orders: dict[UUID, Order] = {}

    # --- who is told what -----------------------------------------------------------------------

    def payable(self, order: Order, now: datetime) -> str:
        if order.status == "expired":
            return "ORDER_EXPIRED"
        if order.status != "pending":
            return "ORDER_NOT_PAYABLE"
        return "ORDER_EXPIRED" if order.expires_at <= now else OK

    def pay_balance(self, order: Order, now: datetime) -> str:
        told = self.payable(order, now)
        account = self.accounts[order.owner]
        if told != OK:
            return told
        if account.available < order.amount:
            return "INSUFFICIENT_BALANCE"
        account.available -= order.amount
        self._become_paid(order, "balance")
        return OK

    def cancel(self, order: Order, is_unanswered: bool) -> str:
        if order.status != "pending":
            return "ORDER_NOT_CANCELLABLE"
        if is_unanswered:
            return "GATEWAY_UNAVAILABLE"
        order.status = "cancelled"
        return OK

    def freeze(self, account: Account, amount: Decimal) -> str:
        if account.available < amount:
            return "INSUFFICIENT_BALANCE"
        account.available -= amount
        account.frozen += amount
        return OK

    def unfreeze(self, account: Account, amount: Decimal) -> str:
        if account.frozen < amount:
            return "INSUFFICIENT_FROZEN_BALANCE"
        account.frozen -= amount
        account.available += amount
        return OK

    def may_refund(self, order: Order, amount: Decimal) -> str:
        if order.status not in {"paid", "partial_refunded"}:
            return "ORDER_NOT_REFUNDABLE"
        waiting = [
            one
            for one in order.refunds.values()
            if one.payment == order.applied and one.status == "pending"
        ]
        if len(waiting) >= REFUNDS_WAITING_MAX:
            return "REFUND_LIMIT"
        return OK if amount <= order.left_of(order.applied) else "REFUND_EXCEEDS_PAID"

    def withdraw(self, refund: Refund, by: UUID) -> str:
        if refund.asked_by != by:
            return "FORBIDDEN"
        if refund.status != "pending":
            return "REFUND_NOT_WITHDRAWABLE"
        refund.status = "cancelled"
        return OK

    def review(self, order: Order, refund: Refund, by: UUID, is_approved: bool) -> str:
        if refund.status != "pending":
            return "REFUND_ALREADY_REVIEWED"
        if by in {refund.asked_by, order.owner}:
            return "SELF_REVIEW"
        if not is_approved:
            refund.status = "cancelled"
            return OK
        if by in refund.approved_by:
            return "REFUND_ALREADY_REVIEWED"
        refund.approved_by.add(by)
        held = order.refunds.held_of(refund.payment)
        refund.people_needed = max(refund.people_needed, people_needed(held))
        if len(refund.approved_by) >= refund.people_needed:
            refund.status = "processing"
            if refund.payment == "balance":
                self.accounts[order.owner].available += refund.amount
                self._refunded(order, refund)
        return OK

    def retry(self, order: Order, refund: Refund, by: UUID) -> str:
        if refund.status != "failed":
            return "REFUND_NOT_RETRYABLE"
        if refund.amount > order.left_of(refund.payment):
            return "REFUND_EXCEEDS_PAID"
        if by == order.owner:
            return "SELF_REVIEW"
        held = order.refunds.held_of(refund.payment) + refund.amount
        if not refund.is_automatic and people_needed(held) > len(refund.approved_by):
            if by in {refund.asked_by, *refund.approved_by}:
                return "REFUND_NEEDS_SECOND_PERSON"
            refund.approved_by.add(by)
        refund.status = "processing"
        return OK

    # --- what time does ---------------------------------------------------------------------------

    def expire(self, now: datetime, unanswered: set[str]) -> None:
        """Past its time an order ends; one that the gateway says nothing about waits a little."""
        for order in self.orders.values():
            if order.status != "pending" or order.expires_at > now:
                continue
            unasked = [a for a in order.open_attempts() if a.key in unanswered]
            if unasked and now < order.expires_at + GRACE:
                continue
            for attempt in unasked:
                attempt.is_owed = True
            order.status = "expired"

    def surplus_without_refund(self) -> Iterable[tuple[Order, Attempt]]:
        for order in self.orders.values():
            for attempt in order.attempts.values():
                is_surplus = attempt.disposition in {"late", "second"}
                tried = any(
                    refund.is_automatic and refund.payment == attempt.key
                    for refund in order.refunds.values()
                )
                if is_surplus and not tried:
                    yield order, attempt

    # --- what gateways say ------------------------------------------------------------------------

    def find(self, key: str) -> tuple[Order, Attempt]:
        for order in self.orders.values():
            if key in order.attempts:
                return order, order.attempts[key]
        raise KeyError(key)

    def paid(self, key: str) -> str:
        """A verified report that the attempt was paid; returns the verdict."""
        order, attempt = self.find(key)
        if attempt.status == "success":
            return "repeat"
        attempt.status, attempt.is_owed = "success", False
        if order.status == "pending":
            self._become_paid(order, key)
            attempt.disposition = "applied"
        else:
            attempt.disposition = "second" if order.is_paid else "late"
        return attempt.disposition

    def closed(self, key: str) -> None:
        attempt = self.find(key)[1]
        if attempt.status == "pending":
            attempt.status, attempt.is_owed = "failed", False

    def heard(self, said: list[tuple[str, str, Any]], now: datetime) -> set[str]:
        """Learn from a gateway's answers; returns the keys that it said nothing about."""
        unanswered = set()
        for call, key, answer in said:
            if call == "create":
                self._started(self.find(key)[1], str(answer), now)
            if answer in UNANSWERED:
                unanswered.add(key)
            elif call in {"query", "close", "create"}:
                self._heard_of_trade(call, key, str(answer), now)
        return unanswered

    def _started(self, attempt: Attempt, answer: str, now: datetime) -> None:
        if not attempt.is_answered:
            attempt.started_at = now
        attempt.is_answered |= answer == "done"

    def _heard_of_trade(self, call: str, key: str, answer: str, now: datetime) -> None:
        order, attempt = self.find(key)
        if call == "query" and answer == "paid":
            self.paid(key)
        elif answer == "closed":
            self.closed(key)
        elif call == "create" and answer == "number_used" and attempt.status == "pending":
            # Its code was shown: it is asked about next, and for as long as that brings nothing.
            attempt.is_owed = True
        elif call == "close" and answer == "not_found" and attempt.status == "pending":
            attempt.is_owed = now < order.expires_at + CODE_DEAD_AFTER
            if not attempt.is_owed:
                attempt.status = "failed"

    def refund_told(
        self, order: Order, refund: Refund, call: str, state: str, now: datetime, method: str
    ) -> None:
        """What a gateway answered, or did not, to a refund or to a question about it."""
        if call == "refund":
            refund.sendings, refund.sent_at = refund.sendings + 1, now
        if state in UNANSWERED or refund.status != "processing":
            return
        if state == "short_of_funds":
            refund.is_refused = True
        elif state == "not_found" and refund.is_refused:
            assert refund.sent_at is not None
            is_known = now >= refund.sent_at + REFUND_KNOWN_AFTER[method]
            if is_known:
                refund.status, refund.is_refused = "failed", False
        elif state != "not_found":
            self.refund_state(order, refund, state)

    def refund_state(self, order: Order, refund: Refund, state: str) -> None:
        """The gateway says how a refund stands: success wins over whatever came before."""
        if refund.status == "success":
            return
        if state == "success":
            if refund.status == "failed" and refund.amount > order.left_of(refund.payment):
                return  # no room for it by now: staff have a case
            self._refunded(order, refund)
        elif state == "closed" and refund.status == "processing":
            refund.status, refund.sendings = "failed", 0
        if refund.status == "processing" or state == "closed":
            refund.is_refused = False

    def _become_paid(self, order: Order, by: str) -> None:
        order.status, order.applied = "paid", by
        for attempt in order.open_attempts():
            attempt.is_owed = attempt.key != by

    def _refunded(self, order: Order, refund: Refund) -> None:
        refund.status = "success"
        if refund.payment != order.applied:
            return
        done = sum(
            (
                one.amount
                for one in order.refunds.values()
                if one.payment == order.applied and one.status == "success"
            ),
            ZERO,
        )
        order.status = "refunded" if done == order.amount else "partial_refunded"
