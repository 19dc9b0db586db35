"""A large change of a price in small steps is a large change."""

from datetime import datetime, timedelta

import pytest

from config.conftest import ADMIN, NOON
from config.models import PriceChangeRequest, PriceConfig
from config.prices.errors import PriceChangeNeedsSecondPerson
from config.prices.plan import PriceChange
from config.prices.selectors import periods_digest, price_periods
from config.prices.services import (
    price_change,
    price_change_confirm,
    price_change_refuse,
    price_change_withdraw,
)
from tcmpay.audit.marks import check_marks
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.errors import InvalidInput
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope
from tcmpay.common.money import parse_money

pytestmark = pytest.mark.django_db
SERVICE = "prescription"  # 10.00 by the migrations
OTHER = Actor(id=new_id(), role=Role.ADMIN)


def alone(price: str, at: datetime = NOON, **given) -> bool:
    """Whether one person may do it."""
    with clock.frozen(at):
        try:
            change = PriceChange(service_type=SERVICE, price=parse_money(price), **given)
            price_change(actor=ADMIN, change=change, limit_percent=50)
        except PriceChangeNeedsSecondPerson:
            return False
    return True


def asked(change: PriceChange, seen: str) -> PriceChangeRequest:
    waiting = price_change(
        actor=ADMIN, change=change, limit_percent=50, may_wait=True, reason="x", seen=seen
    )
    assert isinstance(waiting, PriceChangeRequest)
    return waiting


def by_two(price: str, at: datetime) -> None:
    with clock.frozen(at):
        change = PriceChange(
            service_type=SERVICE, price=parse_money(price), effective_date=clock.today()
        )
        seen = periods_digest(price_periods(SERVICE))
        waiting = asked(change, seen)
        price_change_confirm(actor=OTHER, request_id=waiting.id)


def now_charged() -> str:
    return f"{price_periods(SERVICE)[-1].price:.2f}"


def test_slices_add_up():
    assert alone("5.10")
    assert not alone("2.60")
    assert now_charged() == "5.10"
    assert alone("14.00"), "nearer to what it was than the bound"
    assert not alone("15.01")


def test_slices_of_new_periods_add_up():
    day = NOON.date()
    assert alone("5.10", effective_date=day)
    assert not alone("2.60", effective_date=day + timedelta(days=1))
    assert alone("5.10", is_active=False)
    assert not alone("2.60", effective_date=day + timedelta(days=1))
    assert not alone("2.60", is_active=True)


@pytest.mark.parametrize(
    "decide",
    [
        lambda waiting: price_change_confirm(actor=OTHER, request_id=waiting.id),
        lambda waiting: price_change_refuse(actor=OTHER, request_id=waiting.id, notes="no"),
        lambda waiting: price_change_withdraw(actor=ADMIN, request_id=waiting.id),
    ],
    ids=["confirmed", "refused", "withdrawn"],
)
def test_a_decided_change_is_no_change_by_sql(decide):
    with clock.frozen(NOON):
        change = PriceChange(
            service_type=SERVICE, price=parse_money("40.00"), effective_date=clock.today()
        )
        decide(asked(change, periods_digest(price_periods(SERVICE))))
    assert not list(check_marks(Scope()))


@pytest.mark.parametrize(("days", "may"), [(6, False), (8, True)])
def test_a_week_later_it_is_measured_anew(days, may):
    assert alone("5.10")
    assert alone("2.60", NOON + timedelta(days=days)) is may


def test_what_two_people_agreed_on_is_measured_against():
    assert alone("5.10")
    by_two("100.00", NOON + timedelta(hours=1))
    later = NOON + timedelta(hours=2)
    assert not alone("10.00", later), "what it was before is far away now"
    assert alone("60.00", later)
    assert not alone("40.00", later), "slices of the agreed price add up too"


def test_a_price_planned_long_ago_is_what_a_change_of_it_is_measured_against():
    before = NOON - timedelta(days=30)
    assert alone("14.00", before, effective_date=NOON.date())
    assert alone("20.00"), "measured against 14.00, not against the 10.00 until yesterday"


def test_a_new_service_is_measured_against_its_first_price():
    PriceConfig.objects.filter(service_type=SERVICE).delete()
    assert alone("30.00", service_name="处方费")
    assert alone("16.00")
    assert not alone("8.00")


# --- a service that is new ----------------------------------------------------------------------

NOTHING_SEEN = periods_digest([])
APPOINTMENTS_FROM = "30.00"  # the cheaper of the two that the migrations insert


def added_alone(service_type: str, price: str, at: datetime = NOON, **given) -> bool:
    """Whether one person may add this service."""
    with clock.frozen(at):
        try:
            change = PriceChange(service_type, parse_money(price), service_name="新服务", **given)
            price_change(actor=ADMIN, change=change, limit_percent=50)
        except PriceChangeNeedsSecondPerson:
            return False
    return True


@pytest.mark.parametrize(
    ("service_type", "given"),
    [("appointment_check", {}), ("pulse_reading", {"order_type": "appointment"})],
)
def test_nobody_alone_adds_a_service_that_undercuts_its_orders(service_type, given):
    assert not added_alone(service_type, "0.01", **given)
    assert not price_periods(service_type), "nothing is written"
    assert not added_alone(service_type, "14.00", **given)
    assert added_alone(service_type, "15.00", **given)


def test_a_discount_counts_as_what_is_charged():
    discount = parse_money("0.01")
    assert not added_alone("appointment_check", APPOINTMENTS_FROM, discount_price=discount)


def test_new_services_do_not_undercut_each_other_in_steps():
    assert added_alone("appointment_check", "15.00")
    assert not added_alone("appointment_quick", "7.50")
    later = NOON + timedelta(days=8)
    assert added_alone("appointment_quick", "7.50", at=later), "a week later it is a price as any"


def test_a_service_that_two_agreed_on_is_one_to_compare_with():
    with clock.frozen(NOON):
        change = PriceChange("appointment_check", parse_money("10.00"), service_name="复查")
        waiting = asked(change, NOTHING_SEEN)
        assert (waiting.amount_before, waiting.amount_after) == (
            parse_money(APPOINTMENTS_FROM),
            parse_money("10.00"),
        )
        price_change_confirm(actor=OTHER, request_id=waiting.id)
    assert price_periods("appointment_check")[0].order_type == "appointment"
    assert added_alone("appointment_quick", "5.00")


def test_a_dear_or_incomparable_service_is_added_by_one():
    assert added_alone("appointment_long", "500.00")
    assert added_alone("herbal_tea", "0.01"), "nothing of the type other is priced yet"
    assert price_periods("herbal_tea")[0].order_type == "other"


def test_a_service_keeps_its_order_type():
    assert added_alone("herbal_tea", "9.00", order_type="prescription")
    with pytest.raises(InvalidInput) as refusal:
        added_alone("herbal_tea", "9.00", order_type="appointment")
    assert list(refusal.value.errors) == ["order_type"]
    assert added_alone("herbal_tea", "8.00"), "without saying it again"
    assert price_periods("herbal_tea")[-1].order_type == "prescription"


def test_a_name_that_tells_a_type_is_not_given_another():
    with pytest.raises(InvalidInput) as refusal:
        added_alone("appointment_check", "40.00", order_type="other")
    assert list(refusal.value.errors) == ["order_type"]


def test_what_moves_no_price_is_not_measured():
    by_two("1.00", NOON)
    later = NOON + timedelta(days=3)
    assert alone("1.00", later, description="换了说明")
