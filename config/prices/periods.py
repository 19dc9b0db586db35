"""Periods of one service's price: which one is running, and where a new one fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

YEARS = range(2000, 10_000)


class Period(Protocol):
    effective_date: date
    expiry_date: date | None
    is_active: bool


P = TypeVar("P", bound=Period)


class PricePeriodRefused(ValueError):
    """``field`` names the date that doesn't fit, ``text`` says why."""

    def __init__(self, field: str, text: str | Promise) -> None:
        super().__init__(field)
        self.field = field
        self.text = text


def covers(period: Period, day: date) -> bool:
    is_begun = period.effective_date <= day
    return is_begun and (period.expiry_date is None or period.expiry_date >= day)


def running_period(periods: Sequence[P], today: date) -> P | None:
    """The period that covers ``today``: an active one, else one that was switched off."""
    running = [period for period in periods if covers(period, today)]
    return max(running, key=lambda p: (p.is_active, p.effective_date), default=None)


def charged_on(periods: Sequence[P], day: date) -> P | None:
    """The period whose price is charged on ``day``; of overlapping ones the later beginning."""
    charged = [period for period in periods if period.is_active and covers(period, day)]
    return max(charged, key=lambda period: period.effective_date, default=None)


@dataclass(frozen=True, slots=True)
class Stretch(Generic[P]):
    """Days, both included, on which one price (or none) is charged."""

    first_day: date
    last_day: date
    period: P | None


def stretches(periods: Sequence[P], first_day: date, last_day: date) -> list[Stretch[P]]:
    """What is charged on each day from ``first_day`` to ``last_day``, without a gap."""
    turns = {first_day}
    for period in periods:
        turns.add(period.effective_date)
        if period.expiry_date is not None and period.expiry_date < date.max:
            turns.add(period.expiry_date + timedelta(days=1))
    days = sorted(day for day in turns if first_day <= day <= last_day)
    found: list[Stretch[P]] = []
    for day, next_day in pairwise([*days, last_day + timedelta(days=1)]):
        charged = charged_on(periods, day)
        start = day
        if found and found[-1].period is charged:
            start = found.pop().first_day
        found.append(Stretch(start, next_day - timedelta(days=1), charged))
    return found


def period_for(
    others: Sequence[P], *, begin: date, end: date | None, today: date, is_end_given: bool
) -> tuple[P | None, date | None]:
    """Fit a period between ``others``: the period that must end the day before, and our end.

    Raises PricePeriodRefused when it can't be done without an overlap or by touching what has
    already ended.
    """
    if begin.year not in YEARS:
        raise PricePeriodRefused("effective_date", _("日期超出范围"))
    if end is not None and (end < begin or end.year not in YEARS):
        raise PricePeriodRefused("expiry_date", _("失效日期不能早于生效日期"))
    if any(begin < other.effective_date <= today for other in others):
        raise PricePeriodRefused("effective_date", _("生效日期不能早于当前价格的生效日期"))
    before = max(
        (other for other in others if covers(other, begin)),
        key=lambda other: other.effective_date,
        default=None,
    )
    if before is not None and before.expiry_date is not None and before.expiry_date < today:
        raise PricePeriodRefused("effective_date", _("该日期属于已结束的价格"))
    following = min(
        (other.effective_date for other in others if other.effective_date > begin), default=None
    )
    if following is None:
        return before, end
    if not is_end_given:
        return before, following - timedelta(days=1)
    if end is None or end >= following:
        raise PricePeriodRefused("expiry_date", _("与之后的价格时间重叠，请填写更早的失效日期"))
    return before, end


def overlaps(periods: Sequence[P]) -> list[tuple[P, P]]:
    """Neighbours in time of which the earlier does not end before the later begins."""
    ordered = sorted(periods, key=lambda period: period.effective_date)
    found = []
    for earlier, later in pairwise(ordered):
        if earlier.expiry_date is None or earlier.expiry_date >= later.effective_date:
            found.append((earlier, later))
    return found
