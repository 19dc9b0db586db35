"""The spans of days that sums are asked about."""

from datetime import date

import pytest

from backoffice.today.periods import DAYS_MAX, period_asked, periods

DAY = date(2026, 12, 1)  # a Tuesday, the first of a month


def asked(**query: str) -> tuple[date, date]:
    found = period_asked(query, periods(DAY), DAY)
    return found.first, found.last


@pytest.mark.parametrize(
    ("code", "first", "last"),
    [
        ("", date(2026, 12, 1), date(2026, 12, 1)),
        ("nonsense", date(2026, 12, 1), date(2026, 12, 1)),
        ("yesterday", date(2026, 11, 30), date(2026, 11, 30)),
        ("week", date(2026, 11, 30), date(2026, 12, 1)),
        ("last_week", date(2026, 11, 23), date(2026, 11, 29)),
        ("month", date(2026, 12, 1), date(2026, 12, 1)),
        ("last_month", date(2026, 11, 1), date(2026, 11, 30)),
        ("year", date(2026, 1, 1), date(2026, 12, 1)),
    ],
)
def test_named_spans_as_the_first_of_a_month_sees_them(code, first, last):
    assert asked(period=code) == (first, last)


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({"first": "2026-11-03", "last": "2026-11-05"}, date(2026, 11, 3), date(2026, 11, 5)),
        ({"first": "2026-11-05", "last": "2026-11-03"}, date(2026, 11, 3), date(2026, 11, 5)),
        ({"first": "2026-11-03"}, date(2026, 11, 3), date(2026, 11, 3)),
        ({"last": "2026-11-03"}, date(2026, 11, 3), date(2026, 11, 3)),
        ({"first": "2026-11-03", "last": "x"}, date(2026, 11, 3), date(2026, 11, 3)),
        ({"first": "2026-11-03", "last": "9999-12-31"}, date(2026, 11, 3), DAY),
        ({"first": "2030-01-01", "last": "2031-01-01"}, DAY, DAY),
        ({"first": "0001-01-01", "last": "0001-01-02"}, date(2000, 1, 1), date(2000, 1, 1)),
    ],
)
def test_a_span_from_day_to_day_stays_within_what_there_is(query, first, last):
    assert asked(**query) == (first, last)


def test_a_span_is_no_longer_than_its_bound():
    first, last = asked(first="2001-01-01", last="2026-12-01")
    assert (last - first).days + 1 == DAYS_MAX
