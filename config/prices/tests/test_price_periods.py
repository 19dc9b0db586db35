from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import IntegrityError, connection
from django.db.transaction import atomic

from config.conftest import ADMIN
from config.models import PriceConfig
from config.prices.periods import stretches
from config.prices.plan import PriceChange
from config.prices.selectors import price_in_force, price_on, prices_list
from config.prices.services import price_change
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.errors import InvalidInput

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

TODAY = date(2026, 11, 24)
JAN = date(2027, 1, 1)
JUL = date(2027, 7, 1)
DAY = timedelta(days=1)


def set_price(price: str, **rest):
    return price_change(actor=ADMIN, change=PriceChange("consultation", Decimal(price), **rest))


def periods() -> list[tuple[str, date, date | None]]:
    rows = PriceConfig.objects.filter(service_type="consultation").order_by("effective_date")
    return [(f"{row.price:.2f}", row.effective_date, row.expiry_date) for row in rows]


START = date(2024, 1, 1)


def test_without_a_date_the_running_price_changes_and_keeps_what_was_not_given():
    set_price("20.00", discount_price=Decimal("15.00"), description="秋季")
    row = set_price("22.00")
    assert (row.discount_price, row.description) == (Decimal("15.00"), "秋季")
    assert periods() == [("22.00", START, None)]


def test_with_the_running_periods_own_date_it_changes_too():
    set_price("22.00", effective_date=START)
    assert periods() == [("22.00", START, None)]


def test_a_later_date_begins_a_period_and_the_running_one_ends_the_day_before():
    set_price("28.00", effective_date=JAN)
    assert periods() == [("20.00", START, JAN - DAY), ("28.00", JAN, None)]
    assert price_in_force("consultation", JAN - DAY).amount == Decimal("20.00")
    assert price_in_force("consultation", JAN).amount == Decimal("28.00")


def test_a_new_period_takes_the_name_but_not_the_discount():
    set_price("20.00", discount_price=Decimal("15.00"))
    row = set_price("28.00", effective_date=JAN)
    assert (row.service_name, row.discount_price) == ("图文咨询", None)


def test_a_period_between_two_ends_before_the_next():
    set_price("30.00", effective_date=JUL)
    set_price("25.00", effective_date=JAN)
    assert periods() == [
        ("20.00", START, JAN - DAY),
        ("25.00", JAN, JUL - DAY),
        ("30.00", JUL, None),
    ]


@pytest.mark.parametrize("end", [None, JUL, JUL + DAY])
def test_a_period_that_would_reach_into_the_next_is_refused(end):
    set_price("30.00", effective_date=JUL)
    before = periods()
    with pytest.raises(InvalidInput) as refusal:
        set_price("25.00", effective_date=JAN, expiry_date=end)
    assert list(refusal.value.errors) == ["expiry_date"]
    assert periods() == before


def test_a_period_may_end_the_day_before_the_next():
    set_price("30.00", effective_date=JUL)
    set_price("25.00", effective_date=JAN, expiry_date=JUL - DAY)
    assert periods()[1] == ("25.00", JAN, JUL - DAY)


@pytest.mark.parametrize("end", [None, JAN])
def test_the_running_period_cannot_be_stretched_over_the_next(end):
    set_price("30.00", effective_date=JAN)
    with pytest.raises(InvalidInput):
        set_price("20.00", expiry_date=end)


def test_a_date_before_the_running_period_is_refused():
    with pytest.raises(InvalidInput) as refusal:
        set_price("10.00", effective_date=START - DAY)
    assert list(refusal.value.errors) == ["effective_date"]


def test_what_has_ended_is_not_changed():
    set_price("20.00", expiry_date=TODAY - DAY)
    for begin in (START, TODAY - 5 * DAY):
        with pytest.raises(InvalidInput):
            set_price("10.00", effective_date=begin)
    row = set_price("21.00")
    assert (row.effective_date, row.service_name) == (TODAY, "图文咨询")


def test_the_expiry_date_belongs_to_the_period_and_null_takes_it_away():
    set_price("20.00", expiry_date=TODAY)
    assert price_in_force("consultation", TODAY) is not None
    assert price_in_force("consultation", TODAY + DAY) is None
    set_price("20.00", expiry_date=None)
    assert price_in_force("consultation", TODAY + DAY) is not None


def test_the_discount_is_charged_and_null_takes_it_away():
    set_price("20.00", discount_price=Decimal("20.00"))
    set_price("20.00", discount_price=Decimal("15.50"))
    assert price_in_force("consultation", TODAY).amount == Decimal("15.50")
    set_price("20.00", discount_price=None)
    assert price_in_force("consultation", TODAY).amount == Decimal("20.00")


def test_a_discount_that_was_not_given_may_not_be_above_the_new_price():
    set_price("20.00", discount_price=Decimal("15.00"))
    with pytest.raises(InvalidInput) as refusal:
        set_price("14.99")
    assert list(refusal.value.errors) == ["discount_price"]
    assert periods() == [("20.00", START, None)]


def test_a_price_that_was_switched_off_is_switched_on_again():
    set_price("20.00", is_active=False)
    assert price_in_force("consultation", TODAY) is None
    set_price("20.00", is_active=True)
    assert price_in_force("consultation", TODAY) is not None
    assert len(periods()) == 1


def test_today_is_the_business_day():
    with clock.frozen(datetime(2026, 11, 24, 16, 0, tzinfo=UTC)):
        change = PriceChange("massage", Decimal("80.00"), service_name="推拿")
        row = price_change(actor=ADMIN, change=change)
    assert row.effective_date == TODAY + DAY


def test_each_change_has_one_audit_row_with_before_and_after():
    row = set_price("22.00")
    set_price("22.00")  # nothing changes, so nothing is told
    event = AuditEvent.objects.get(object_type="price", object_id=str(row.id))
    assert (event.action, event.actor_id, event.actor_role) == ("price_changed", ADMIN.id, "admin")
    assert event.details["before"] == {"price": "20.00"}
    assert event.details["after"] == {"price": "22.00"}


def test_a_new_period_is_told_of_both_rows():
    row = set_price("28.00", effective_date=JAN)
    events = AuditEvent.objects.filter(object_type="price").order_by("created_at", "id")
    assert [event.action for event in events] == ["price_ended", "price_created"]
    assert events[1].object_id == str(row.id)


SQL = (
    "INSERT INTO price_configs (id, service_type, service_name, price)"
    " VALUES ('0198c5f0-6f2e-7cc3-a2b1-0d4f5a6b7c8d', 'massage', '推拿', 80)"
)


def insert_by_sql() -> None:
    with connection.cursor() as cursor:
        cursor.execute(SQL)


def test_a_price_inserted_by_sql_is_charged_at_once_and_listed_within_a_minute(settings):
    with clock.frozen(datetime.now(UTC)):
        prices_list()
        insert_by_sql()
        assert price_in_force("massage", clock.today()).amount == Decimal("80.00")
        assert all(row["service_type"] != "massage" for row in prices_list())
        if "LocMem" not in settings.CACHES["default"]["BACKEND"]:
            pytest.skip("Redis' clock can't be moved")
        with time_machine.travel(datetime.now(UTC) + timedelta(seconds=60), tick=True):
            assert price_on("massage")["price"] == "80.00"


def test_of_overlapping_rows_written_by_sql_the_later_beginning_is_charged():
    PriceConfig.objects.create(
        service_type="consultation",
        service_name="x",
        price=9,
        effective_date=date(2026, 1, 1),
        expiry_date=date(2026, 12, 31),
    )
    assert price_in_force("consultation", TODAY).amount == Decimal("9.00")
    assert price_on("consultation")["price"] == "9.00"


class BrokenCache:
    def __getattr__(self, name):
        def fail(*args, **kwargs):
            raise ConnectionError("cache is away")

        return fail


def test_a_broken_cache_breaks_neither_answers_nor_changes(
    monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr("config.prices.selectors.cache", BrokenCache())
    monkeypatch.setattr("config.prices.services.cache", BrokenCache())
    with django_capture_on_commit_callbacks(execute=True):
        set_price("22.00")
    assert price_on("consultation")["price"] == "22.00"
    assert len(prices_list()) == 4


@pytest.mark.parametrize(
    "rest", [{}, {"expiry_date": None}, {"effective_date": START}, {"is_active": True}]
)
def test_the_database_refuses_two_periods_that_begin_or_end_together(rest):
    with pytest.raises(IntegrityError), atomic():
        PriceConfig.objects.create(
            **{
                "service_type": "consultation",
                "service_name": "x",
                "price": 9,
                "effective_date": date(2026, 1, 1),
                **rest,
            }
        )


def test_a_period_that_is_switched_off_stands_in_nobodys_way():
    PriceConfig.objects.create(
        service_type="consultation",
        service_name="x",
        price=9,
        effective_date=date(2026, 1, 1),
        is_active=False,
    )
    assert price_in_force("consultation", TODAY).amount == Decimal("20.00")


def test_what_is_charged_from_day_to_day_has_no_gap_and_no_overlap():
    set_price("28.00", effective_date=JAN, expiry_date=JAN + 9 * DAY)
    rows = list(PriceConfig.objects.filter(service_type="consultation"))
    told = [
        (stretch.first_day, stretch.last_day, stretch.period and f"{stretch.period.price:.2f}")
        for stretch in stretches(rows, TODAY, JUL)
    ]
    assert told == [
        (TODAY, JAN - DAY, "20.00"),
        (JAN, JAN + 9 * DAY, "28.00"),
        (JAN + 10 * DAY, JUL, None),
    ]
