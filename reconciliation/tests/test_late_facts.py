"""Random days of money, of which much is told late: a closed day never changes, what comes late
counts in the first open day, and all days together are what the books hold.

CLOSE_RUNS=500   more seeds (scripts/test_long.sh closing)
"""

import os
import random
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from balances.models import UserBalance
from conftest import SEED
from payments.invariants_days import check_closed_days, check_order_days
from payments.models import PaymentTransaction
from payments.selectors import order_statistics
from payments.services.closed_days import closed_through
from payments.services.endings import order_cancel
from payments.states import TransactionStatus
from reconciliation import invariants_closing
from reconciliation.errors import DayIsClosed
from reconciliation.figures import fees_of_days
from reconciliation.models import DailyClose, Difference, ReconciledDay
from reconciliation.services.closing import reopening_approve, reopening_request
from reconciliation.services.running import day_reconcile
from reconciliation.stand import day_stand, days_waiting
from reconciliation.tests.days import (
    DAY,
    FIRST,
    HOUR,
    MINUTE,
    SECOND,
    closed,
    funded,
    paid_from_balance,
    patient,
    refund_begun,
    refund_told,
    started,
    told,
)
from reconciliation.tests.kit import at, imported, merchant, strange_row, wall_clock
from refunds.invariants import check_days
from refunds.models import Refund
from refunds.selectors import refund_statistics
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope
from tcmpay.common.money import ZERO

pytestmark = pytest.mark.django_db

CHECKS = (*invariants_closing.CHECKS, check_order_days, check_closed_days, check_days)
RUNS = int(os.environ.get("CLOSE_RUNS", "4"))
DAYS = 5
STEPS = 40


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True
    settings.LATE_PAYMENT_POLICY = "hold"


@dataclass
class Clinic:
    """What there is, and what the gateways have not told of yet, by when it happened."""

    chance: random.Random
    owner: object = field(default_factory=patient)
    untold: list[tuple[PaymentTransaction, datetime]] = field(default_factory=list)
    untold_refunds: list[tuple[Refund, datetime]] = field(default_factory=list)
    refundable: list[tuple[UUID, bool]] = field(default_factory=list)
    topped_up: Decimal = ZERO

    def step(self, now: datetime) -> None:
        moves = (self.pay_balance, self.start, self.start, self.tell, self.tell, self.refund,
                 self.tell_refund, self.end, self.bill)  # fmt: skip
        self.chance.choice(moves)(now)

    def amount(self) -> str:
        return f"{self.chance.randrange(1, 20_000) / 100:.2f}"

    def top_up(self, now: datetime, amount: str) -> None:
        funded(self.owner, amount, now)
        self.topped_up += Decimal(amount)

    def pay_balance(self, now: datetime) -> None:
        amount = self.amount()
        self.top_up(now, amount)
        order = paid_from_balance(self.owner, amount, now)
        self.refundable.append((order.id, True))

    def start(self, now: datetime) -> None:
        method = self.chance.choice(["wechat", "alipay"])
        self.untold.append((started(self.owner, self.amount(), now, method), now + MINUTE))

    def end(self, now: datetime) -> None:
        """The order ends unpaid: what the gateway will tell of it is surplus."""
        if self.untold and self.chance.random() < 0.5:
            attempt, _paid_at = self.chance.choice(self.untold)
            attempt.order.refresh_from_db()
            if attempt.order.status == "pending":
                with clock.frozen(now):
                    order_cancel(actor=self.owner, order_id=attempt.order_id)

    def tell(self, now: datetime) -> None:
        ready = [one for one in self.untold if one[1] <= now]
        if ready:
            attempt, paid_at = one = self.chance.choice(ready)
            self.untold.remove(one)
            told(attempt, paid_at, now)
            if attempt.disposition == "applied":
                self.refundable.append((attempt.order_id, False))

    def refund(self, now: datetime) -> None:
        if self.refundable:
            order_id, is_balance = one = self.chance.choice(self.refundable)
            self.refundable.remove(one)
            refund = refund_begun(order_id, "0.01", now)
            if not is_balance:
                self.untold_refunds.append((refund, now + MINUTE))

    def bill(self, now: datetime) -> None:
        """A bill of any day that is over, also of one that was closed without: of a shop that we
        know nothing of, whose differences staff end at once."""
        over = (clock.business_day(now) - DAY).days
        day = DAY + ONE_DAY * self.chance.randrange(over) if over > 0 else None
        if day is None:
            return
        moment, fen = wall_clock(at(12 * HOUR, day)), self.chance.randrange(1_000, 9_999_999)
        with clock.frozen(now):
            try:
                line = strange_row(f"SHOP{fen}", fen, moment=moment)
                imported("wechat", [line], day=day, is_replacing=True)
            except DayIsClosed:
                return
            day_reconcile(actor=SYSTEM, merchant=merchant("wechat"), day=day)
        Difference.objects.filter(gone_at=None).update(gone_at=now)

    def tell_refund(self, now: datetime) -> None:
        ready = [one for one in self.untold_refunds if one[1] <= now]
        if ready:
            refund, done_at = one = self.chance.choice(ready)
            self.untold_refunds.remove(one)
            refund_told(refund, done_at, now)


@pytest.mark.parametrize("run", range(RUNS))
def test_a_closed_day_never_changes_and_nothing_is_lost(run):
    clinic = Clinic(random.Random(f"{SEED} {run}"))
    begin = clock.day_start(DAY)
    clinic.top_up(begin, "1.00")
    moments = sorted(clinic.chance.randrange(DAYS * 24 * 60) for _step in range(STEPS))
    signed: dict[date, dict] = {}
    for minutes in moments:
        now = begin + MINUTE * minutes
        clinic.step(now)
        if clinic.chance.random() < 0.4:
            _close_or_open(clinic.chance, now, signed)
        _nothing_changed(signed)
    end = begin + ONE_DAY * DAYS + 2 * HOUR
    for attempt, paid_at in clinic.untold:
        told(attempt, paid_at, end)
    for refund, done_at in clinic.untold_refunds:
        refund_told(refund, done_at, end)
    _nothing_changed(signed)
    with clock.frozen(end + ONE_DAY):
        for day in days_waiting():
            signed[day] = closed(day, end + ONE_DAY).figures
    _nothing_changed(signed)
    _everything_is_there(clinic, signed)


def _close_or_open(chance: random.Random, now: datetime, signed: dict[date, dict]) -> None:
    with clock.frozen(now):
        waiting = days_waiting()
        newest = closed_through()
        if waiting:
            signed[waiting[0]] = closed(waiting[0], now).figures
        elif newest is not None and chance.random() < 0.2:
            asked = reopening_request(actor=FIRST, day=newest, reason="x")
            reopening_approve(actor=SECOND, reopening_id=asked.id)
            del signed[newest]


def _nothing_changed(signed: dict[date, dict]) -> None:
    """Closed days say what was signed, and so do the rows and the statistics."""
    for day, figures in signed.items():
        assert day_stand(day).figures == figures
        start, end = clock.day_start(day), clock.day_start(day + ONE_DAY)
        paid = order_statistics(start_date=start, end_date=end)
        back = refund_statistics(start_date=start, end_date=end)
        assert (figures["receipts_number"], figures["receipts"]) == (
            paid.paid_orders,
            f"{paid.paid_amount:.2f}",
        )
        assert figures["refunds"] == f"{back.refunded_amount:.2f}"
        fees = fees_of_days(day, day).get(day, {})
        assert figures["fees"] == f"{sum(fees.values(), ZERO):.2f}"


def _everything_is_there(clinic: Clinic, signed: dict[date, dict]) -> None:
    def total(name: str) -> Decimal:
        return sum((Decimal(figures[name]) for figures in signed.values()), ZERO)

    done = PaymentTransaction.objects.filter(status=TransactionStatus.SUCCESS)

    def moved(**which) -> Decimal:
        return sum(done.filter(**which).values_list("amount", flat=True), ZERO)

    assert total("receipts") == moved(transaction_type="payment", disposition="applied")
    assert total("refunds") == moved(transaction_type="refund")
    assert total("surplus_in") == moved(disposition__in=("late", "second"))
    assert total("fees") == sum((row.fees_taken for row in ReconciledDay.objects.all()), ZERO)
    assert not PaymentTransaction.objects.filter(status=TransactionStatus.PENDING).exists()
    newest = signed[max(signed)]
    held = sum(UserBalance.objects.values_list("balance", flat=True), ZERO)
    assert newest["balance"]["closing"] == f"{held:.2f}"
    assert sum(Decimal(one["balance"]["topups"]) for one in signed.values()) == clinic.topped_up
    assert DailyClose.objects.filter(status="signed").count() == len(signed)
    found = [str(one.message) for check in CHECKS for one in check(Scope())]
    assert found == []
