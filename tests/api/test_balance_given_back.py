"""A balance goes back over its top-ups, oldest first; what can't is a case (CONTRACT 11)."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from balances.errors import InsufficientBalance, MovementRepeated, OwnBalance
from payments.errors import OwnCase
from payments.models import PaymentException, PaymentOrder
from payments.services.exceptions import exception_write_off_ask
from refunds.errors import LeftAskedAlready, TooManyTopUps
from refunds.models import Refund
from refunds.services import balance_give_back as service
from refunds.services.balance_give_back import balance_give_back
from refunds.services.cases import case_write_off_decide
from refunds.services.requests import refund_replace, refund_review
from tcmpay.common.actor import Actor, Role
from tests.api.kit import nothing_moves
from tests.api.test_topups import found
from tests.api.test_topups_given_back import held


@pytest.fixture
def staff():
    return Actor(uuid.uuid4(), Role.STAFF, "财务")


@pytest.fixture
def topups(story, clock, patient):
    """40, 50 and 60 yuan, an hour apart."""
    made = []
    for amount in ("40.00", "50.00", "60.00"):
        made.append(story.topped_up(patient, amount))
        clock.advance(hours=1)
    return made


def give_back(staff, patient, amount, request_id=None):
    return balance_give_back(
        actor=staff,
        user_id=patient.id,
        amount=Decimal(amount),
        reason="患者申请退回余额",
        request_id=request_id or uuid.uuid4(),
    )


def asked() -> list[tuple[str, str]]:
    refunds = Refund.objects.order_by("order__payment_time")
    return [(one.order.order_no, f"{one.refund_amount}") for one in refunds]


def test_the_oldest_goes_back_first(story, patient, admin, staff, topups):
    given = give_back(staff, patient, "70.00")
    oldest, second, _newest = topups
    assert asked() == [(oldest["order_no"], "40.00"), (second["order_no"], "30.00")]
    assert given.left == 0
    assert held(story, patient) == ("80.00", "70.00")
    assert {(one.status, one.requested_by) for one in given.refunds} == {("pending", staff.id)}
    for refund in given.refunds:
        story.review({"id": refund.id}, admin)
    story.worker_runs()
    assert held(story, patient) == ("80.00", "0.00")
    assert found() == []


def test_what_went_back_already_is_passed_over(story, patient, staff, topups):
    give_back(staff, patient, "45.00")
    give_back(staff, patient, "50.00")
    oldest, second, newest = topups
    assert sorted(asked()) == sorted(
        [
            (oldest["order_no"], "40.00"),
            (second["order_no"], "5.00"),
            (second["order_no"], "45.00"),
            (newest["order_no"], "5.00"),
        ]
    )


def test_no_more_is_asked_for_than_is_available(story, patient, staff, topups):
    story.paid_from_balance(patient, "100.00")
    with nothing_moves(), pytest.raises(InsufficientBalance):
        give_back(staff, patient, "50.01")
    assert give_back(staff, patient, "50.00").left == 0


def test_what_has_no_way_back_is_a_case(story, patient, staff, topups):
    story.fund(patient, "20.00")
    assert give_back(staff, patient, "160.00").left == Decimal("10.00")
    assert held(story, patient) == ("20.00", "150.00")
    case = PaymentException.objects.get(kind="give_back_left")
    assert (case.amount, case.closed_at) == (Decimal("10.00"), None)
    assert patient.name in case.reason
    assert found() == []


def test_a_topup_of_more_than_a_year_ago_has_no_way_back(story, patient, staff, clock, topups):
    clock.set(clock.now + timedelta(days=364) - timedelta(hours=1, minutes=30))
    assert give_back(staff, patient, "150.00").left == Decimal("90.00")
    (_one,) = asked()


def test_a_form_sent_twice_asks_once(story, patient, staff, topups):
    form = uuid.uuid4()
    give_back(staff, patient, "10.00", form)
    with nothing_moves(), pytest.raises(MovementRepeated):
        give_back(staff, patient, "10.00", form)


def test_a_form_that_is_a_case_alone_is_one_once(story, patient, staff):
    story.fund(patient, "20.00")
    form = uuid.uuid4()
    assert give_back(staff, patient, "10.00", form).left == Decimal("10.00")
    with nothing_moves(), pytest.raises(MovementRepeated):
        give_back(staff, patient, "10.00", form)
    assert PaymentException.objects.count() == 1


def test_what_a_case_is_about_is_asked_for_once(story, patient, staff):
    story.fund(patient, "100.00")
    form = uuid.uuid4()
    give_back(staff, patient, "60.00", form)
    with nothing_moves(), pytest.raises(LeftAskedAlready) as refused:
        give_back(staff, patient, "40.01")
    assert refused.value.facts == {"available": Decimal("40.00"), "needed": Decimal("40.01")}
    give_back(staff, patient, "40.00")
    with nothing_moves(), pytest.raises(MovementRepeated):
        give_back(staff, patient, "60.00", form)
    PaymentException.objects.update(closed_at=timezone.now())
    assert give_back(staff, patient, "100.00").left == Decimal("100.00"), "once staff are done"


def test_nobody_ends_a_case_about_their_own_balance(story, patient, staff):
    story.fund(patient, "20.00")
    give_back(staff, patient, "10.00")
    case = PaymentException.objects.get()
    assert case.order is None
    own = Actor(patient.id, Role.STAFF)
    with nothing_moves(), pytest.raises(OwnCase):
        exception_write_off_ask(actor=own, exception_id=case.id, reason="x")
    exception_write_off_ask(actor=staff, exception_id=case.id, reason="x")
    with nothing_moves(), pytest.raises(OwnCase):
        case_write_off_decide(actor=own, exception_id=case.id, is_confirmed=True, notes="x")


def test_nobody_asks_for_their_own_balance(patient, topups):
    with nothing_moves(), pytest.raises(OwnBalance):
        give_back(Actor(patient.id, Role.STAFF), patient, "10.00")


def test_several_small_ones_are_reviewed_as_the_large_one(settings, patient, staff, topups):
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("60.00")
    assert {one.approvals_needed for one in give_back(staff, patient, "60.00").refunds} == {1}
    assert {one.approvals_needed for one in give_back(staff, patient, "61.00").refunds} == {2}


def test_one_that_replaces_a_part_is_reviewed_by_as_many(settings, patient, staff, topups):
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("60.00")
    part = give_back(staff, patient, "61.00").refunds[0]
    first, second, third = (Actor(uuid.uuid4(), Role.STAFF) for _ in range(3))
    refund_review(actor=first, refund_id=part.id, is_approved=True, notes="")
    new = refund_replace(actor=second, refund_id=part.id, amount=Decimal("39.99"), notes="x")
    assert new.approvals_needed == 2
    once = refund_review(actor=third, refund_id=new.id, is_approved=True, notes="")
    assert once.status == "pending"


def test_it_does_not_reach_over_too_many(monkeypatch, patient, staff, topups):
    monkeypatch.setattr(service, "GIVE_BACK_PARTS_MAX", 2)
    with nothing_moves(), pytest.raises(TooManyTopUps):
        give_back(staff, patient, "91.00")
    assert give_back(staff, patient, "90.00").left == 0


def test_money_that_came_late_is_not_of_the_balance(story, patient, staff):
    order = story.topup(patient, "30.00")
    story.pay(order, patient, "alipay")
    story.cancel(order, patient)
    story.gateway_reports(order)
    story.fund(patient, "30.00")
    assert give_back(staff, patient, "30.00").left == Decimal("30.00")
    assert PaymentOrder.objects.get().status == "cancelled"
