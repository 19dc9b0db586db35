"""One payer's many refunds never hold up the others', and told ones not those to be told."""

from datetime import timedelta

import pytest

from payments.models import PaymentException, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from refunds.models import Refund
from refunds.services import stuck, submission
from refunds.services.requests import refund_request, refund_review
from refunds.services.stuck import refunds_stuck_report
from refunds.services.submission import refunds_sweep
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tests.clinic import new_order, patient, report_paid

ADMIN = Actor(new_id(), Role.ADMIN)
BATCH = 4


@pytest.fixture(autouse=True)
def _switches(db, settings, monkeypatch):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    settings.REFUND_SECOND_APPROVAL_OVER = None
    monkeypatch.setattr(submission, "SWEEP_BATCH", BATCH)
    monkeypatch.setattr(stuck, "BATCH", BATCH)


def approved(owner: Actor) -> Refund:
    """Of a new order that was paid at the mock gateway."""
    order = new_order(owner)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    report_paid(PaymentTransaction.objects.get(order=order))
    refund = refund_request(actor=owner, order_id=order.id, amount=order.amount, reason="退号")
    return refund_review(actor=ADMIN, refund_id=refund.id, is_approved=True, notes="")


def test_everybody_gets_money_back_before_anybody_twice():
    greedy = patient()
    for _ in range(9):
        approved(greedy)
    Refund.objects.update(next_check_at=clock.now() - timedelta(hours=1))
    others = [approved(patient()).id for _ in range(BATCH - 1)]
    assert refunds_sweep() == BATCH
    assert Refund.objects.filter(id__in=others, status="success").count() == BATCH - 1
    assert Refund.objects.filter(user_id=greedy.id, status="success").count() == 1


def test_refunds_with_their_case_do_not_stand_before_those_without():
    for _ in range(BATCH + 2):
        approved(patient())
    later = clock.now() + timedelta(hours=1)
    Refund.objects.update(submissions=8, error_code="UNKNOWN", next_check_at=later)
    assert [refunds_stuck_report() for _round in range(3)] == [BATCH, 2, 0]
    assert PaymentException.objects.filter(kind="stuck_refund").count() == BATCH + 2
