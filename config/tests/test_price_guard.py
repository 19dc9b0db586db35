"""A large change of a price in small steps is a large change."""

from datetime import datetime, timedelta

import pytest

from config.errors import PriceChangeNeedsSecondPerson
from config.models import PriceChangeRequest, PriceConfig
from config.price_changes import price_change_confirm, price_change_submit
from config.price_plan import PriceChange
from config.selectors import periods_digest, price_periods
from config.services import price_set
from config.tests.conftest import ADMIN, NOON
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tcmpay.common.money import parse_money

pytestmark = pytest.mark.django_db
SERVICE = "prescription"  # 10.00 by the migrations
OTHER = Actor(id=new_id(), role=Role.ADMIN)


def alone(price: str, at: datetime = NOON, **given) -> bool:
    """Whether one person may do it."""
    with clock.frozen(at):
        try:
            price_set(
                actor=ADMIN,
                service_type=SERVICE,
                price=parse_money(price),
                guard_percent=50,
                **given,
            )
        except PriceChangeNeedsSecondPerson:
            return False
    return True


def by_two(price: str, at: datetime) -> None:
    with clock.frozen(at):
        change = PriceChange(
            service_type=SERVICE, price=parse_money(price), effective_date=clock.today()
        )
        seen = periods_digest(price_periods(SERVICE))
        waiting = price_change_submit(actor=ADMIN, change=change, reason="x", seen=seen)
        assert isinstance(waiting, PriceChangeRequest)
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
