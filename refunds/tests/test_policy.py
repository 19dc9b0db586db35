"""Which rule holds for a request, and what it proposes."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.transaction import atomic

from refunds.errors import RulesOverlap
from refunds.models import RefundPolicyRule
from refunds.policy import appointment_time, propose
from refunds.services.rules import rule_save
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.clinic import waiting_refund

pytestmark = pytest.mark.django_db


def rule(percentage, hours_from=None, hours_to=None, order_type="appointment", **more):
    made = RefundPolicyRule(
        order_type=order_type,
        hours_from=hours_from,
        hours_to=hours_to,
        percentage=percentage,
        **more,
    )
    made.save()
    return made


@pytest.mark.parametrize(
    ("percentage", "can_replace"), [(0, False), (1, True), (99, True), (100, False)]
)
def test_a_proposal_replaces_what_asks_for_more_than_it(percentage, can_replace):
    rule(percentage)
    proposal = propose(refund_with(hours=30), taken=Decimal("0.00"))
    assert proposal.can_replace == can_replace


def refund_with(hours=None, amount="30.00", paid="30.00"):
    moment = clock.now() + timedelta(hours=hours) if hours is not None else None
    metadata = {"appointment_time": moment.isoformat()} if moment else None
    return waiting_refund(amount, paid=paid, metadata=metadata)


@pytest.mark.parametrize(
    ("hours", "percentage"), [(30, 100), (24.1, 100), (23.9, 80), (2.1, 80), (1.9, 50), (-1, 0)]
)
def test_the_rule_of_the_hours_before_the_appointment_holds(hours, percentage):
    for part in ((100, 24, None), (80, 2, 24), (50, 0, 2), (0, None, 0)):
        rule(*part)
    found = propose(refund_with(hours), taken=Decimal("0.00"))
    assert found.rule.percentage == percentage
    assert found.amount == Decimal(30) * percentage / 100


@pytest.mark.parametrize(
    ("hours", "percentage"),
    [(24, 100), (Decimal("23.9999"), 80), (2, 80), (Decimal("1.9999"), 50), (0, 50)],
)
def test_a_border_belongs_to_the_rule_that_begins_there(hours, percentage):
    """``from`` is inclusive, ``to`` is not: no request falls between two rules, or under both."""
    for part in ((100, 24, None), (80, 2, 24), (50, 0, 2), (0, None, 0)):
        rule(*part)
    with clock.frozen(clock.now()):
        refund = refund_with(float(hours))
    assert propose(refund, taken=Decimal("0.00")).rule.percentage == percentage


def test_without_an_appointment_time_the_rule_without_hours_holds():
    rule(100, 24, None)
    assert propose(refund_with(), taken=Decimal("0.00")) is None
    rule(60)
    found = propose(refund_with(), taken=Decimal("0.00"))
    assert (found.rule.percentage, found.hours) == (60, None)


def test_the_types_own_rule_comes_before_the_general_one():
    rule(10, order_type="")
    assert propose(refund_with(5), taken=Decimal("0.00")).rule.percentage == 10
    rule(70, order_type="appointment")
    assert propose(refund_with(5), taken=Decimal("0.00")).rule.percentage == 70


def test_what_others_took_is_subtracted_and_never_below_zero():
    rule(50)
    refund = refund_with(amount="15.00")
    found = propose(refund, taken=Decimal("10.00"))
    assert (found.allowed, found.amount, found.excess) == (15, 5, 10)
    assert propose(refund, taken=Decimal("20.00")).amount == 0


def test_half_a_cent_is_rounded_up():
    rule(50)
    refund = waiting_refund("0.01", paid="0.01")
    assert propose(refund, taken=Decimal("0.00")).amount == Decimal("0.01")


def test_a_rule_that_is_off_holds_for_nothing():
    rule(50, is_active=False)
    assert propose(refund_with(), taken=Decimal("0.00")) is None


@pytest.mark.parametrize(
    "text", ["", "soon", 5, None, ["2026-01-01"], "2026-13-01T00:00:00", "x" * 100,
             "0001-01-01T00:00:00+14:00"]
)  # fmt: skip
def test_an_unreadable_time_is_no_time(text):
    assert appointment_time({"appointment_time": text}) is None


def test_a_time_without_an_offset_is_shanghais():
    assert appointment_time({"appointment_time": "2026-12-01T09:00:00"}) == appointment_time(
        {"appointment_time": "2026-12-01T01:00:00Z"}
    )


@pytest.mark.parametrize(
    ("hours", "is_refused"),
    [((0, 24), True), ((23, None), True), ((None, 1), True), ((24, 48), False),
     ((None, 0), False), ((None, None), False)],
)  # fmt: skip
def test_rules_of_one_type_never_overlap(hours, is_refused):

    rule(80, 0, 24)
    new = RefundPolicyRule(
        order_type="appointment", hours_from=hours[0], hours_to=hours[1], percentage=10
    )
    with atomic():
        if is_refused:
            with pytest.raises(RulesOverlap):
                rule_save(actor=SYSTEM, rule=new)
        else:
            rule_save(actor=SYSTEM, rule=new)
    assert RefundPolicyRule.objects.count() == (1 if is_refused else 2)


def test_the_clinic_s_rules_have_no_say_about_the_user_s_own_money():
    rule(50, order_type="")
    refund = refund_with()
    assert propose(refund, taken=Decimal("0.00")).rule.percentage == 50
    refund.order.order_type = "topup"
    assert propose(refund, taken=Decimal("0.00")) is None
