"""What sweeps have in common: a broken row is left behind, a stopped task ends, a slow one too."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from unittest.mock import patch

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.db.models import F, QuerySet
from django.test.utils import CaptureQueriesContext

from gateways.errors import GatewayUnknown
from gateways.interface import RefundReport, RefundState, TradeState
from gateways.mock import MockGateway
from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel, orders_expire
from payments.services.sweeping import attempts_sweep
from refunds.errors import NoSurplus, SurplusRefundExists
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refund_submit, refunds_sweep
from refunds.services.surplus import surplus_refund_begin, surplus_return, surplus_sweep
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tests.clinic import new_order, patient, report_paid

ADMIN = Actor(new_id(), Role.ADMIN)
LATER = timedelta(hours=2, minutes=4)


@pytest.fixture(autouse=True)
def _switches(db, settings):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    settings.LATE_PAYMENT_POLICY = "refund"


def attempt_begun() -> PaymentTransaction:
    owner = patient()
    order = new_order(owner)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    return PaymentTransaction.objects.get(order=order)


def paid_too_late() -> None:
    attempt = attempt_begun()
    owner = Actor(attempt.order.user_id, Role.PATIENT)
    order_cancel(actor=owner, order_id=attempt.order_id)
    report_paid(attempt)


def refund_approved() -> None:
    attempt = attempt_begun()
    report_paid(attempt)
    owner = Actor(attempt.order.user_id, Role.PATIENT)
    refund = refund_request(
        actor=owner, order_id=attempt.order_id, amount=attempt.amount, reason="退号"
    )
    refund_review(actor=ADMIN, refund_id=refund.id, is_approved=True, notes="")


# What makes a row due, the sweep, and what it does with each row.
SWEEPS = {
    "attempts": (attempt_begun, attempts_sweep, "payments.services.sweeping.attempt_check"),
    "expiry": (attempt_begun, orders_expire, "payments.services.endings.order_expire"),
    "surplus": (paid_too_late, surplus_sweep, "refunds.services.surplus.surplus_refund_begin"),
    "refunds": (refund_approved, refunds_sweep, "refunds.services.submission.refund_submit"),
}
each_sweep = pytest.mark.parametrize(("prepare", "sweep", "step"), SWEEPS.values(), ids=SWEEPS)


def due(prepare: Callable[[], object]) -> None:
    for _row in range(3):
        prepare()


@each_sweep
def test_a_broken_row_holds_up_none(prepare, sweep, step):
    due(prepare)
    with clock.frozen(clock.now() + LATER), patch(step, side_effect=ValueError) as tried:
        sweep()
    assert tried.call_count == 3


@each_sweep
def test_it_says_how_many_and_once_done_none_is_left(prepare, sweep, step):
    due(prepare)
    with clock.frozen(clock.now() + LATER):
        told = [sweep(), sweep()]
    assert [getattr(one, "expired", one) for one in told] == [3, 0]


def test_with_the_policy_hold_no_surplus_is_looked_for(settings):
    paid_too_late()
    settings.LATE_PAYMENT_POLICY = "hold"
    assert surplus_sweep() == 0
    assert not Refund.objects.exists()


def test_surplus_that_another_refund_took_meanwhile_is_not_given_back_again():
    paid_too_late()
    payment = PaymentTransaction.objects.get(disposition="late")
    PaymentTransaction.objects.update(refund_reserved=F("amount"))
    assert surplus_refund_begin(payment.id, payment.order_id) is None
    with pytest.raises(NoSurplus):
        surplus_return(actor=ADMIN, transaction_id=payment.id, reason="退回")
    assert not Refund.objects.exists()


def test_surplus_whose_refund_failed_is_retried_by_staff_and_not_begun_anew():
    paid_too_late()
    surplus_sweep()
    Refund.objects.update(status="failed", next_check_at=None)
    payment = PaymentTransaction.objects.get(disposition="late")
    PaymentTransaction.objects.update(refund_reserved=0)
    assert surplus_sweep() == 0
    assert surplus_refund_begin(payment.id, payment.order_id) is None
    with pytest.raises(SurplusRefundExists):
        surplus_return(actor=ADMIN, transaction_id=payment.id, reason="退回")
    assert Refund.objects.count() == 1


# What asks a gateway again and again does so ever more rarely: seconds between two questions.
def waits(sweep: Callable[[], int], rows: QuerySet, times: int) -> list[float]:
    found, now = [], clock.now()
    for _question in range(times):
        due_at = rows.values_list("next_check_at", flat=True).get()
        found.append((due_at - now).total_seconds())
        now = due_at
        with clock.frozen(now):
            assert sweep() == 1
    return found[1:]


def test_an_attempt_that_nobody_pays_is_asked_about_ever_more_rarely(monkeypatch):
    attempt = attempt_begun()
    rows = PaymentTransaction.objects.filter(id=attempt.id)
    with patch("payments.services.sweeping.attempt_check", return_value=TradeState.UNPAID):
        asked = waits(attempts_sweep, rows, 9)
    assert asked == [60, 60, 120, 300, 600, 900, 1800, 1800]
    assert rows.get().checks == 9


def test_a_refund_under_way_is_asked_about_ever_more_rarely():
    refund_approved()
    under_way = RefundReport("", RefundState.PROCESSING)
    with (
        patch.object(MockGateway, "refund", return_value=under_way),
        patch.object(MockGateway, "query_refund", return_value=under_way),
    ):
        asked = waits(refunds_sweep, Refund.objects.all(), 11)
    assert asked == [15, 60, 60, 60, 120, 300, 600, 1200, 1800, 1800]
    assert Refund.objects.get().submissions == 11


@pytest.mark.parametrize("name", ["attempts", "refunds"])
def test_where_no_answer_comes_it_is_asked_again_within_five_minutes(name):
    prepare, sweep, _step = SWEEPS[name]
    prepare()
    rows = {"attempts": PaymentTransaction, "refunds": Refund}[name].objects.all()
    unanswered = GatewayUnknown("no answer")
    with (
        patch.object(MockGateway, "query_payment", side_effect=unanswered),
        patch.object(MockGateway, "refund", side_effect=unanswered),
        patch.object(MockGateway, "query_refund", side_effect=unanswered),
    ):
        asked = waits(sweep, rows, 9)
    assert asked[-3:] == [300, 300, 300]
    assert max(asked) == 300


@each_sweep
def test_a_task_that_is_stopped_goes_no_further(prepare, sweep, step):
    due(prepare)
    with (
        clock.frozen(clock.now() + LATER),
        patch(step, side_effect=SoftTimeLimitExceeded) as tried,
        pytest.raises(SoftTimeLimitExceeded),
    ):
        sweep()
    assert tried.call_count == 1


@pytest.mark.parametrize("name", ["attempts", "expiry", "refunds"])
def test_what_asks_a_slow_gateway_ends_in_time_and_goes_on_later(name):
    prepare, sweep, step = SWEEPS[name]
    due(prepare)
    slow = count(step=30)
    with (
        clock.frozen(clock.now() + LATER),
        patch("tcmpay.common.sweep.time.monotonic", lambda: next(slow)),
        patch(step) as tried,
    ):
        sweep()
        assert tried.call_count == 1


def test_refunds_that_failed_or_were_not_due_after_all_are_not_counted():
    due(refund_approved)
    broken, early, _done = Refund.objects.order_by("created_at")
    Refund.objects.filter(id=broken.id).update(next_check_at=clock.now() - timedelta(hours=1))

    def step(*, refund_id) -> bool:
        if refund_id == broken.id:
            Refund.objects.filter(id=early.id).update(next_check_at=clock.now() + LATER)
            raise ValueError
        return refund_submit(refund_id=refund_id)

    with patch("refunds.services.submission.refund_submit", step):
        assert refunds_sweep() == 1


@each_sweep
def test_only_keys_are_sorted(prepare, sweep, step):
    due(prepare)
    with (
        clock.frozen(clock.now() + LATER),
        patch(step),
        CaptureQueriesContext(connection) as captured,
    ):
        sweep()
    [sorting] = [query["sql"] for query in captured if "ROW_NUMBER" in query["sql"]]
    assert "metadata" not in sorting
    assert "response_data" not in sorting
    assert "refund_reason" not in sorting
