"""What sweeps have in common: a broken row is left behind, a stopped task ends, a slow one too."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from unittest.mock import patch

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel, orders_expire
from payments.services.sweeping import attempts_sweep
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refund_submit, refunds_sweep
from refunds.services.surplus import surplus_sweep
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
