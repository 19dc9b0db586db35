"""What the pages of prices show: what is in force when, and what a change would do."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from config.models import PriceConfig
from config.prices.periods import charged_on, stretches
from config.prices.plan import PricePlan, amount_of
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.money import Money

MONTHS_BACK, MONTHS_AHEAD = 3, 8
OUTLOOK_DAYS = 730
MONTHS_FROM, MONTHS_TO = date(2000, 1, 1), date(9990, 1, 1)


@dataclass(frozen=True)
class Line:
    """From ``first_day`` on ``amount`` (yuan) is charged; None: the service has no price."""

    first_day: date
    last_day: date | None
    amount: Money | None
    list_price: Money | None

    @property
    def is_discounted(self) -> bool:
        return self.amount != self.list_price


def lines(periods: Sequence[PriceConfig], first_day: date, last_day: date) -> list[Line]:
    """What is charged from day to day, equal prices joined."""
    found: list[Line] = []
    for stretch in stretches(periods, first_day, last_day):
        period = stretch.period
        amount = amount_of(period) if period else None
        list_price = period.price if period else None
        start = stretch.first_day
        if found and (found[-1].amount, found[-1].list_price) == (amount, list_price):
            start = found.pop().first_day
        found.append(Line(start, stretch.last_day, amount, list_price))
    return found


@dataclass(frozen=True)
class Outlook:
    """What is charged from today on, before and after a change."""

    before: list[Line]
    after: list[Line]


def outlook(before: Sequence[PriceConfig], after: Sequence[PriceConfig]) -> Outlook:
    today = clock.today()
    days = [one.effective_date for one in after] + [
        one.expiry_date for one in after if one.expiry_date
    ]
    last = max([today, *(day for day in days if day < MONTHS_TO)]) + timedelta(days=OUTLOOK_DAYS)
    return Outlook(lines(before, today, last), lines(after, today, last))


def after_plan(periods: Sequence[PriceConfig], plan: PricePlan) -> list[PriceConfig]:
    """The periods as they would be: a plan has changed those that are there in memory."""
    return [*periods, plan.row] if plan.is_new else list(periods)


def ends_in_nothing(periods: Sequence[PriceConfig], plan: PricePlan) -> bool:
    """Whether the service can't be ordered any more after the last day of the planned period.

    ``periods`` are those after the plan.
    """
    end = plan.row.expiry_date
    if end is None or not plan.row.is_active:
        return False
    return charged_on(periods, end + timedelta(days=1)) is None


# --- the calendar -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One month of one service: each change of what is charged, the first from the month's first
    day on."""

    month: date
    lines: list[Line]
    is_now: bool

    @property
    def has_turn(self) -> bool:
        return len(self.lines) > 1


@dataclass(frozen=True)
class Row:
    service_type: str
    service_name: str
    cells: list[Cell]


@dataclass(frozen=True)
class Calendar:
    months: list[date]
    rows: list[Row]
    earlier: str
    later: str
    this_month: date


def calendar(asked: str) -> Calendar:
    """Twelve months around the ``asked`` one (``2026-11``), this month where that is no month."""
    this_month = clock.today().replace(day=1)
    middle = _month(asked) or this_month
    months = [month_add(middle, offset) for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]
    by_service: dict[str, list[PriceConfig]] = defaultdict(list)
    for period in PriceConfig.objects.order_by("service_type", "effective_date"):
        by_service[period.service_type].append(period)
    rows = [
        Row(
            service_type=service_type,
            service_name=periods[-1].service_name,
            cells=[_cell(periods, month, this_month) for month in months],
        )
        for service_type, periods in by_service.items()
    ]
    return Calendar(
        months=months,
        rows=rows,
        earlier=f"{month_add(middle, -6):%Y-%m}",
        later=f"{month_add(middle, 6):%Y-%m}",
        this_month=this_month,
    )


def _cell(periods: Sequence[PriceConfig], month: date, this_month: date) -> Cell:
    last_day = month_add(month, 1) - timedelta(days=1)
    return Cell(month, lines(periods, month, last_day), month == this_month)


def _month(text: str) -> date | None:
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        return None
    return month if MONTHS_FROM <= month <= MONTHS_TO else None


def month_add(month: date, number: int) -> date:
    years, index = divmod(month.month - 1 + number, 12)
    return date(month.year + years, index + 1, 1)


# --- history ------------------------------------------------------------------------------------
FLAG_WORDS = {True: _("是"), False: _("否")}
NO_VALUE = "—"


def changes_of(event: AuditEvent) -> list[tuple[str, Any, Any]]:
    """What an event changed: the field's name for people, its value before and after in words."""
    before, after = (event.details.get(name, {}) for name in ("before", "after"))
    labels: dict[str, Any] = {field.name: field.verbose_name for field in PriceConfig._meta.fields}
    labels["amount"] = _("收取（元）")
    return [
        (str(labels.get(name, name)), _words(before.get(name)), _words(value))
        for name, value in after.items()
        if before.get(name) != value
    ]


def _words(value: Any) -> Any:
    if isinstance(value, bool):
        return FLAG_WORDS[value]
    return NO_VALUE if value is None else value
