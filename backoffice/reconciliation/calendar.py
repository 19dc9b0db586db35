"""Which business days agree with the gateways' bills: days down, merchant numbers across."""

import calendar
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Min, QuerySet

from backoffice.reconciliation.words import CELL_TONES, FIRST_DAY, CellState, day_url, percent_text
from backoffice.site.display import badge
from backoffice.site.words import method_text
from config.gateways.selectors import gateway_config_current
from gateways.interface import GATEWAY_METHODS
from gateways.registry import merchant_of
from reconciliation.models import Difference, ReconciledDay
from tcmpay.common import clock
from tcmpay.common.money import ZERO, Money
from tcmpay.common.sealing import ConfigSecretUnreadable

ONE_DAY = timedelta(days=1)
# A bill comes the next morning; from this hour on (Asia/Shanghai) it is missing.
MISSING_FROM = time(15)


@dataclass(frozen=True, slots=True, order=True)
class Merchant:
    """One merchant number at one gateway: a column."""

    method: str
    number: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One merchant number on one day."""

    merchant: Merchant
    state: CellState
    open: int = 0
    row: ReconciledDay | None = None

    @property
    def name(self) -> str:
        return method_text(self.merchant.method)

    @property
    def shown(self) -> str:
        text = str(self.state.label)
        if self.state == CellState.OPEN:
            text = f"{text} {self.open}"
        return badge(text, CELL_TONES[self.state])


@dataclass(frozen=True, slots=True)
class DayLine:
    """One business day with a cell for each merchant number."""

    day: date
    cells: Sequence[Cell]

    @property
    def url(self) -> str:
        return day_url(self.day)

    @property
    def rows(self) -> list[ReconciledDay]:
        return [cell.row for cell in self.cells if cell.row is not None]

    @property
    def verified(self) -> str:
        """The share of the day's yuan that bills prove."""
        verified: Money = sum((row.verified for row in self.rows), start=ZERO)
        return percent_text(verified, sum((row.total for row in self.rows), start=ZERO))

    @property
    def state(self) -> CellState:
        """The one that asks most of the reader."""
        states = {cell.state for cell in self.cells}
        order = (
            CellState.OPEN,
            CellState.MISSING,
            CellState.DOUBTFUL,
            CellState.WAITING,
            CellState.AGREED,
        )
        return next((state for state in order if state in states), CellState.NONE)

    @property
    def open(self) -> int:
        return sum(cell.open for cell in self.cells)

    @property
    def is_weekend(self) -> bool:
        return self.day.weekday() >= 5


@dataclass(frozen=True, slots=True)
class Month:
    """A month's days that are over or running, the newest first."""

    first: date
    merchants: Sequence[Merchant]
    days: Sequence[DayLine]
    is_last: bool

    @property
    def columns(self) -> list[tuple[str, str]]:
        """What stands over each column: the gateway and the merchant number."""
        return [(method_text(one.method), one.number) for one in self.merchants]

    @property
    def earlier(self) -> date:
        return (self.first - ONE_DAY).replace(day=1)

    @property
    def later(self) -> date:
        return _month_end(self.first) + ONE_DAY


def month_of(text: str) -> Month:
    """The month that ``text`` ("2026-11") names; where it names none, yesterday's, which is the
    newest that a bill can be of: on the first of a month the last one."""
    today = clock.today()
    first = _month_start(text, today)
    days = [first + timedelta(days=ahead) for ahead in range(_month_end(first).day)]
    shown = [day for day in reversed(days) if day <= today]
    merchants = merchants_between(first, days[-1])
    return Month(
        first=first,
        merchants=merchants,
        days=list(day_lines(shown, merchants)),
        is_last=days[-1] >= today,
    )


def day_lines(days: Sequence[date], merchants: Sequence[Merchant]) -> Iterator[DayLine]:
    rows = {
        (row.day, Merchant(row.payment_method, row.merchant)): row
        for row in ReconciledDay.objects.filter(day__in=days).select_related(
            "trade_bill", "fund_bill"
        )
    }
    among = Difference.objects.filter(day__day__in=days)
    opened, doubtful = _counts(among.open()), _counts(among.doubtful())
    began = _began(merchants)
    now = clock.now()
    for day in days:
        cells = []
        for merchant in merchants:
            row = rows.get((day, merchant))
            number = opened.get(row.pk, 0) if row else 0
            waits = doubtful.get(row.pk, 0) if row else 0
            state = _state(row, number, waits, day, began[merchant], now)
            cells.append(Cell(merchant, state, number, row))
        yield DayLine(day, cells)


def merchants_between(first: date, last: date) -> list[Merchant]:
    """Those that have bills of these days, and those that are configured now."""
    found = ReconciledDay.objects.filter(day__gte=first, day__lte=last)
    pairs = {Merchant(*pair) for pair in found.values_list("payment_method", "merchant").distinct()}
    methods = list(GATEWAY_METHODS)
    return sorted(pairs | set(_configured()), key=lambda one: (methods.index(one.method), one))


def _configured() -> Iterator[Merchant]:
    for method in GATEWAY_METHODS:
        try:
            number = merchant_of(method, gateway_config_current(method).values)
        except ConfigSecretUnreadable:
            continue  # the configuration's page says so
        if number:
            yield Merchant(method, number)


def _counts(differences: QuerySet[Difference]) -> Mapping[object, int]:
    return dict(differences.order_by().values_list("day").annotate(rows=Count("pk")))


def _began(merchants: Iterable[Merchant]) -> Mapping[Merchant, date]:
    """Since when bills are expected: from the first day that has one; none yet, from yesterday."""
    found = {
        Merchant(method, number): first
        for method, number, first in ReconciledDay.objects.order_by()
        .values_list("payment_method", "merchant")
        .annotate(first=Min("day"))
    }
    yesterday = clock.today() - ONE_DAY
    return {merchant: found.get(merchant, yesterday) for merchant in merchants}


def _state(
    row: ReconciledDay | None, opened: int, doubtful: int, day: date, began: date, now: datetime
) -> CellState:
    if opened:
        return CellState.OPEN
    if row is not None and (row.trade_bill_id is not None or row.is_without_movement):
        return CellState.DOUBTFUL if doubtful else CellState.AGREED
    if day < began:
        return CellState.NONE
    # Also today's: it is not over.
    is_due = now >= datetime.combine(day + ONE_DAY, MISSING_FROM, tzinfo=clock.SHANGHAI)
    return CellState.MISSING if is_due else CellState.WAITING


def _month_start(text: str, today: date) -> date:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = date.max
    # Before the first years of the tables there is nothing, after this month nothing yet.
    is_known = FIRST_DAY <= first <= today
    return first if is_known else (today - ONE_DAY).replace(day=1)


def _month_end(first: date) -> date:
    return first.replace(day=calendar.monthrange(first.year, first.month)[1])
