"""Whoever sets a refund going rings the worker, so that nobody waits for the next sweep."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from payments.models import PaymentTransaction
from refunds.models import Refund
from refunds.services.batches import RUN_TASK, batch_confirm, batch_run
from refunds.services.requests import refund_review
from refunds.services.retries import refund_ask_again, refund_retry
from refunds.services.stopping import refund_stop
from refunds.services.submission import (
    BACKOFF_SECONDS,
    SUBMIT_TASK,
    refund_submit,
)
from refunds.services.surplus import surplus_return, surplus_sweep
from refunds.states import ReviewDecision
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, Answers
from tcmpay.accounts.models import StaffUser
from tcmpay.common import bell, clock
from tcmpay.common.ids import new_id
from tests.clinic import staff_actor_of

pytestmark = pytest.mark.django_db
STAFF = stage.REVIEWER


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def approve(refund: Refund) -> None:
    refund_review(actor=STAFF, refund_id=refund.id, is_approved=True, notes="x")


def retry(refund: Refund) -> None:
    refund_retry(actor=STAFF, refund_id=refund.id, reason="x")


def ask_again(refund: Refund) -> None:
    refund_ask_again(actor=STAFF, refund_id=refund.id, reason="x")


def stop(refund: Refund) -> None:
    refund_stop(actor=STAFF, refund_id=refund.id, reason="x")


@pytest.mark.parametrize(
    ("begun", "deed"),
    [
        (stage.pending, approve),
        (stage.failed, retry),
        (stage.sent, ask_again),
        (stage.unsent, stop),
    ],
    ids=lambda one: one.__name__,
)
def test_whatever_makes_a_refund_due_rings(
    rings, begun: Callable[[PaymentTransaction], Refund], deed: Callable[[Refund], None]
):
    refund = begun(stage.paid("wechat"))
    assert (SUBMIT_TASK, (str(refund.id),)) in rings(lambda: deed(refund))


def test_so_do_the_decisions_of_a_batch(rings):
    """Who confirms it rings for the batch, and each refund that it sets going rings for itself."""
    reviewer = StaffUser.objects.create_user(username="lin", is_staff=True)
    reviewer.groups.set([Group.objects.get(name="reviewer")])
    refunds = [stage.pending(stage.paid("wechat")), stage.pending(stage.paid("alipay"))]
    batch_id = new_id()

    def confirm() -> None:
        batch_confirm(
            actor=staff_actor_of(reviewer),
            batch_id=batch_id,
            refund_ids=[refund.id for refund in refunds],
            decision=ReviewDecision.APPROVE,
            notes="医生停诊",
        )

    assert rings(confirm) == [(RUN_TASK, (str(batch_id),))]
    told = rings(lambda: batch_run(batch_id=batch_id))
    assert sorted(told) == sorted((SUBMIT_TASK, (str(refund.id),)) for refund in refunds)


@pytest.mark.parametrize("policy", ["hold", "refund"])
def test_surplus_money_rings_too(rings, settings, policy):
    settings.LATE_PAYMENT_POLICY = policy
    payment = stage.paid_late("wechat")

    def give_back() -> None:
        if policy == "hold":
            surplus_return(actor=STAFF, transaction_id=payment.id, reason="x")
        else:
            surplus_sweep()

    told = rings(give_back)
    assert (SUBMIT_TASK, (str(Refund.objects.get().id),)) in told


@pytest.fixture
def rings(monkeypatch, django_capture_on_commit_callbacks):
    """Does something and answers which bells rang once it was committed."""
    told: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(bell, "_send", lambda task, args: told.append((task, args)))

    def during(deed: Callable[[], None]) -> list[tuple[str, tuple[str, ...]]]:
        told.clear()
        with django_capture_on_commit_callbacks(execute=True):
            deed()
        return told

    return during


def test_what_the_gateway_works_on_is_asked_about_less_and_less_often():
    refund = stage.unsent(stage.paid("wechat"))
    at, waits = BEGUN_AT + timedelta(minutes=1), []
    working = stage.says(stage.RefundState.PROCESSING)
    with stage.gateway_answers(Answers(working, working)):
        for _time in range(len(BACKOFF_SECONDS) + 1):
            with clock.frozen(at):
                assert refund_submit(refund_id=refund.id)
            refund.refresh_from_db()
            assert refund.next_check_at is not None
            waits.append((refund.next_check_at - at).seconds)
            at = refund.next_check_at
    assert waits == [*BACKOFF_SECONDS, BACKOFF_SECONDS[-1]]
