"""An attempt that its gateway reports paid, but not rightly, is a case for staff: it is asked about
ever more rarely while they have it, and no more once they have ended it. A right payment is booked
whenever it is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest

from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.invariants import CHECKS
from payments.models import PaymentException, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import orders_expire
from payments.services.exceptions import exception_write_off_ask
from payments.services.stuck import attempts_stuck_report
from payments.services.sweeping import attempts_sweep
from refunds.services.cases import case_write_off_decide
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope
from tests.clinic import report_paid, started_attempt

pytestmark = pytest.mark.django_db

BEGUN_AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LIN, WANG = Actor(new_id(), Role.STAFF, "林"), Actor(new_id(), Role.STAFF, "王")


@dataclass
class Gateway:
    """It says that every trade is paid, with ``facts``, and remembers when it was asked."""

    facts: dict[str, Any]
    asked: list[datetime] = field(default_factory=list)

    def query(self, number: str) -> TradeReport:
        self.asked.append(clock.now())
        facts: dict[str, Any] = {"transaction_id": f"T{number}", "amount": Decimal("30.00")}
        return TradeReport(number, TradeState.PAID, **facts | self.facts)

    def gaps(self) -> list[timedelta]:
        return [after - before for before, after in zip(self.asked, self.asked[1:], strict=False)]


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway({"amount": Decimal("29.00")})
    with patch.object(MockGateway, "query_payment", lambda _mock, number: gateway.query(number)):
        yield gateway


@pytest.fixture
def attempt(gateway) -> PaymentTransaction:
    return started_attempt()


def sweep_until(end: datetime, *others: Callable[[], object]) -> None:
    """Sweep as beat does, and do ``others`` too, but only where something is due."""
    while True:
        pending = PaymentTransaction.objects.pending().exclude(next_check_at=None)
        due = pending.order_by("next_check_at").values_list("next_check_at", flat=True).first()
        if due is None or due > end:
            return
        with clock.frozen(due):
            for deed in (attempts_sweep, *others):
                deed()


def write_off(case: PaymentException) -> None:
    exception_write_off_ask(actor=LIN, exception_id=case.pk, reason="已在商户平台退回")
    case_write_off_decide(actor=WANG, exception_id=case.pk, is_confirmed=True, notes="已核对")


def state(attempt: PaymentTransaction) -> tuple[str, bool]:
    attempt.refresh_from_db()
    return attempt.status, attempt.next_check_at is not None


def complaints_about(attempt: PaymentTransaction) -> list[str]:
    """Of the audit."""
    with clock.frozen(
        clock.now() if attempt.next_check_at is None else attempt.next_check_at - DAY
    ):
        found = [one for check in CHECKS for one in check(Scope())]
    return [one.message for one in found if one.object_id == str(attempt.id)]


def is_ever_rarer(gaps: list[timedelta]) -> bool:
    return all(later >= earlier for earlier, later in pairwise(gaps)) and gaps[-1] == DAY


@pytest.mark.parametrize("others", [(), (orders_expire,)], ids=["alone", "its order expires"])
def test_it_is_asked_about_ever_more_rarely(gateway, attempt, others):
    sweep_until(BEGUN_AT + 30 * DAY, *others)
    assert is_ever_rarer(gateway.gaps()[8:])
    assert len(gateway.asked) < 60
    assert state(attempt) == ("pending", True)
    assert complaints_about(attempt) == []


def test_so_is_one_in_another_currency_or_under_a_number_that_is_taken(gateway, attempt):
    gateway.facts = {"currency": "USD"}
    sweep_until(BEGUN_AT + timedelta(minutes=10))
    taken = started_attempt()
    report_paid(taken)
    ours = f"MOCK-{attempt.out_trade_no}"
    PaymentTransaction.objects.filter(id=taken.id).update(external_transaction_id=ours)
    gateway.facts = {}
    sweep_until(BEGUN_AT + 30 * DAY)
    assert is_ever_rarer(gateway.gaps()[8:])
    kinds = PaymentException.objects.values_list("kind", flat=True)
    assert set(kinds) == {"wrong_amount", "mismatch"}


def test_it_is_told_of_once(gateway, attempt):
    sweep_until(BEGUN_AT + 2 * DAY, orders_expire, attempts_stuck_report)
    assert PaymentException.objects.count() == 1


def test_it_ends_with_its_case_and_is_asked_about_no_more(gateway, attempt):
    sweep_until(BEGUN_AT + 3 * DAY)
    write_off(PaymentException.objects.get())
    sweep_until(BEGUN_AT + 5 * DAY)
    assert state(attempt) == ("failed", False)
    assert attempt.error_code == "HELD"
    assert complaints_about(attempt) == []
    asked = len(gateway.asked)
    sweep_until(BEGUN_AT + 400 * DAY, orders_expire)
    assert len(gateway.asked) == asked


def test_its_order_can_be_paid_by_another_attempt_then(gateway, attempt):
    sweep_until(BEGUN_AT + timedelta(minutes=3))
    write_off(PaymentException.objects.get())
    sweep_until(BEGUN_AT + timedelta(minutes=20))
    order = attempt.order
    owner = Actor(order.user_id, Role.PATIENT)
    with clock.frozen(BEGUN_AT + timedelta(minutes=21)):
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    assert order.transactions.get(status="pending").out_trade_no != attempt.out_trade_no


@pytest.mark.parametrize("is_written_off", [False, True], ids=["open", "written off"])
@pytest.mark.parametrize("door", ["callback", "query"])
def test_a_right_payment_is_booked_whenever_it_is_told(gateway, attempt, door, is_written_off):
    sweep_until(BEGUN_AT + timedelta(minutes=10))
    if is_written_off:
        write_off(PaymentException.objects.get())
    gateway.facts = {}
    with clock.frozen(BEGUN_AT + timedelta(minutes=11)):
        if door == "callback":
            report_paid(attempt, trade_no=f"T{attempt.out_trade_no}")
    sweep_until(BEGUN_AT + 2 * DAY)
    assert state(attempt) == ("success", False)
    assert attempt.disposition == "applied"


def test_another_wrong_message_is_another_case(gateway, attempt):
    sweep_until(BEGUN_AT + timedelta(minutes=10))
    write_off(PaymentException.objects.get())
    gateway.facts = {"amount": Decimal("28.00")}
    sweep_until(BEGUN_AT + 10 * DAY)
    assert PaymentException.objects.get(closed_at=None).amount == Decimal("28.00")
    assert state(attempt) == ("pending", True)


def test_a_new_attempt_does_not_wait_for_the_case_of_an_older_one(gateway):
    """What is not paid at all is asked about as always."""
    attempt = started_attempt()
    report_paid(attempt, amount="29.00")
    unpaid = TradeReport(attempt.out_trade_no or "", TradeState.UNPAID)
    with patch.object(MockGateway, "query_payment", lambda _mock, _number: unpaid):
        sweep_until(BEGUN_AT + DAY)
    assert state(attempt) == ("pending", True)
    assert attempt.next_check_at is not None
    assert attempt.next_check_at <= BEGUN_AT + DAY + timedelta(minutes=30)
