"""Payments with faults, a receiver that was down: in the end it knows what the database says.

EVENTS_PAYMENTS=2000 pytest tests/events/test_random_run.py
"""

import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import RefundState
from payments.models import PaymentTransaction
from payments.services.endings import order_cancel, orders_expire
from payments.services.settlement import trade_report_apply
from refunds.invariants_events import CHECKS as TOLD
from refunds.models import Refund
from refunds.services.retries import refund_retry
from refunds.services.submission import refund_submit
from refunds.services.surplus import surplus_sweep
from refunds.tests import stage
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.errors import DomainError
from tcmpay.common.invariants import Scope
from tests.clinic import new_order, paid_order, patient
from tests.events.conftest import deliver
from tests.events.rebuilt import Rebuilt, from_the_feed
from tests.events.receiver import Got, Receiver, Says
from webhooks.invariants import CHECKS as SENT
from webhooks.models import WebhookDelivery, WebhookEvent

pytestmark = pytest.mark.django_db

PAYMENTS = int(os.environ.get("EVENTS_PAYMENTS") or 150)
EVERY = timedelta(seconds=20)
METHODS = ("wechat", "alipay")


def unpaid() -> None:
    order = new_order(patient())
    if random.random() < 0.5:  # the others expire
        order_cancel(actor=Actor(order.user_id, Role.PATIENT), order_id=order.id)


def paid_at_a_gateway() -> None:
    payment = stage.paid(random.choice(METHODS))
    if random.random() < 0.3:  # told again
        trade_report_apply(method=payment.payment_method, report=stage.trade(payment))
    for _part in range(random.randrange(4)):
        end = random.choice(
            [stage.pending, stage.unsent, done, done, stage.rejected, stage.withdrawn]
        )
        end(payment)


def refunded_in_vain() -> None:
    refusal = GatewayRejected("no money", code="NOT_ENOUGH", reason=RejectReason.OTHER)
    answers = stage.Answers(stage.fails(refusal), stage.says_nothing)
    refund = submitted(stage.paid("wechat"), answers, 0, 5, 10)
    if refund.status == "failed" and random.random() < 0.5:
        refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="again")


def done(payment: PaymentTransaction) -> Refund:
    says = stage.says(RefundState.SUCCESS)
    return submitted(payment, stage.Answers(says, says), 0)


def submitted(payment: PaymentTransaction, answers: stage.Answers, *minutes: int) -> Refund:
    """Sent, or asked about, at these times, with these answers."""
    refund = stage.unsent(payment)
    with stage.gateway_answers(answers):
        for minute in minutes:
            with clock.frozen(clock.now() + timedelta(minutes=minute)):
                refund_submit(refund_id=refund.id)
    refund.refresh_from_db()
    return refund


def paid_wrongly() -> None:
    attempt = stage.started(random.choice(METHODS))
    wrong = stage.trade(attempt, amount=attempt.amount + stage.SOME)
    trade_report_apply(method=attempt.payment_method, report=wrong)


def paid_late() -> None:
    stage.paid_late(random.choice(METHODS))
    surplus_sweep()


DEEDS: list[Callable[[], object]] = [
    *[paid_order] * 4,
    *[paid_at_a_gateway] * 4,
    unpaid,
    refunded_in_vain,
    paid_wrongly,
    paid_late,
]


def moody(_got: Got) -> Says | None:
    """Mostly fine; sometimes it fails, or handles and cuts the line."""
    mood = random.random()
    return Says() if mood < 0.9 else Says(status=503) if mood < 0.97 else None


def down(_got: Got) -> Says:
    return Says(status=502)


def run(receiver: Receiver) -> None:
    for number in range(PAYMENTS):
        # For an hour of its time in the middle, or a third of it where it takes less.
        is_down = PAYMENTS // 3 <= number < max(PAYMENTS // 3 + 180, 2 * PAYMENTS // 3)
        receiver.answer = down if is_down else moody
        with clock.frozen(stage.BEGUN_AT + number * EVERY):
            with suppress(DomainError):  # what is refused promises nothing
                random.choice(DEEDS)()
            if number % 10 == 0:
                orders_expire()
                deliver()


def test_it_knows_what_the_database_says_after_it_was_down(subscribed, receiver, capsys):
    run(receiver)
    receiver.answer = lambda _got: Says()
    ended = stage.BEGUN_AT + PAYMENTS * EVERY
    for hours in (1, 4, 12, 24):
        with clock.frozen(ended + timedelta(hours=hours)):
            orders_expire()
            deliver()
            assert [found for check in (*TOLD, *SENT) for found in check(Scope())] == []
    assert not WebhookDelivery.objects.exclude(status="delivered").exists()
    came = Rebuilt()
    for event in receiver.events:
        came.take(event)
    assert came.differences() == []
    assert len(came.seen) == WebhookEvent.objects.count()
    assert from_the_feed().differences() == []
    # What was taken of each object, the first time that it came, came in the order of versions.
    first: dict[str, list[int]] = {}
    seen: set[str] = set()
    for event in receiver.verified(subscribed.secret):
        if event["id"] not in seen:
            seen.add(event["id"])
            first.setdefault(event["object_id"], []).append(event["object_version"])
    assert all(versions == sorted(versions) for versions in first.values())
    with capsys.disabled():
        taken = len(receiver.events)
        sys.stdout.write(f"{PAYMENTS} payments: {len(came.seen)} events, {taken} taken\n")
    assert {refund.status for refund in Refund.objects.all()} >= {"success", "failed", "cancelled"}
