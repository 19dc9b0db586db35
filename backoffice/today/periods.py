"""The spans of business days that pages of sums are asked about: named ones, or from day to day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.utils.translation import gettext as _

from reconciliation.reports import DAYS_MAX
from tcmpay.common.clock import ONE_DAY

FIRST_DAY = date(2000, 1, 1)


@dataclass(frozen=True)
class Period:
    """Business days from ``first`` to ``last``, both included (Asia/Shanghai)."""

    code: str
    name: str
    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    @property
    def query(self) -> str:
        """What an address carries to ask about it."""
        if self.code != RANGE:
            return f"period={self.code}"
        return f"first={self.first.isoformat()}&last={self.last.isoformat()}"


RANGE = "range"


def periods(day: date) -> list[Period]:
    """The named ones, as ``day`` sees them."""
    yesterday, monday, month = day - ONE_DAY, day - timedelta(days=day.weekday()), _month_of(day)
    before = _month_of(month - ONE_DAY)
    return [
        Period("today", _("今日"), day, day),
        Period("yesterday", _("昨日"), yesterday, yesterday),
        Period("month", _("本月"), month, day),
        Period("last_month", _("上月"), before, month - ONE_DAY),
        Period("week", _("本周"), monday, day),
        Period("last_week", _("上周"), monday - timedelta(days=7), monday - ONE_DAY),
        Period("year", _("今年"), date(day.year, 1, 1), day),
    ]


def period_asked(query: Mapping[str, str], named: Sequence[Period], day: date) -> Period:
    """What an address asks about: from day to day, or a name; else the first of ``named``."""
    first, last = _day(query.get("first")), _day(query.get("last"))
    if first is not None or last is not None:
        return _span(first or last or day, last or first or day, day)
    return next((one for one in named if one.code == query.get("period")), named[0])


def _span(first: date, last: date, day: date) -> Period:
    last, first = min(max(first, last, FIRST_DAY), day), min(first, last)
    first = min(max(first, FIRST_DAY, last - timedelta(days=DAYS_MAX - 1)), last)
    return Period(RANGE, "", first, last)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _month_of(day: date) -> date:
    return day.replace(day=1)
