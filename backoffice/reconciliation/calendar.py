"""Which business days agree with the gateways' bills: days down, merchant numbers across."""

import calendar
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Min, Q
from django.utils.translation import gettext as _

from backoffice.reconciliation.words import CELL_TONES, CellState, day_url, percent_text
from backoffice.site.display import GOOD, WAITING, badge
from backoffice.site.words import method_text
from backoffice.today.periods import FIRST_DAY
from config.gateways.merchants import Merchant
from gateways.interface import GATEWAY_METHODS
from payments.states import PaymentMethod
from reconciliation.figures import balance_leg
from reconciliation.merchants import merchant_running
from reconciliation.models import DailyClose, DayReopening, Difference, ReconciledDay
from reconciliation.our_books import has_mock, merchants_of_day, our_yuan
from reconciliation.selectors import merchant_of, yuan_named
from reconciliation.services.missing import is_missing
from reconciliation.states import CloseStatus
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.money import ZERO, Money

BALANCES = Merchant(PaymentMethod.BALANCE, "")
# Comparing a day with the ledger reads its rows: of the days still open, the newest few.
BALANCE_DAYS_MAX = 3
WITHOUT_BILL = (CellState.WAITING, CellState.MISSING)


@dataclass(frozen=True, slots=True)
class Cell:
    """One merchant number on one day."""

    merchant: Merchant
    state: CellState
    open: int = 0
    row: ReconciledDay | None = None
    # Of the day's yuan (of ours where there is no bill), what no open or doubtful difference names.
    verified: Money = ZERO
    total: Money = ZERO

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
    """One business day with a cell for each merchant number, and its close."""

    day: date
    cells: Sequence[Cell]
    balance: Cell
    close: DailyClose | None = None
    is_reopening_asked: bool = False

    @property
    def url(self) -> str:
        return day_url(self.day)

    @property
    def rows(self) -> list[ReconciledDay]:
        return [cell.row for cell in self.cells if cell.row is not None]

    @property
    def verified(self) -> str:
        """The share of the day's yuan that bills prove."""
        verified: Money = sum((cell.verified for cell in self.cells), start=ZERO)
        return percent_text(verified, sum((cell.total for cell in self.cells), start=ZERO))

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
            CellState.MOCK,
        )
        return next((state for state in order if state in states), CellState.NONE)

    @property
    def open(self) -> int:
        return sum(cell.open for cell in self.cells)

    @property
    def closed(self) -> str:
        """A badge for the day's close."""
        if self.close is None:
            return ""
        if self.is_reopening_asked:
            return badge(_("待同意重新打开"), WAITING)
        tone = GOOD if self.close.status == CloseStatus.SIGNED else WAITING
        return badge(self.close.get_status_display(), tone)

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
        (row.day, merchant_of(row)): row
        for row in ReconciledDay.objects.filter(day__in=days).select_related(
            "trade_bill", "fund_bill"
        )
    }
    differences = _differences(days)
    closes = _closes(days)
    balances = _balances(days, closes)
    ids = [close.pk for close in closes.values()]
    asked = set(
        DayReopening.objects.filter(waiting_close__in=ids).values_list("waiting_close", flat=True)
    )
    began = _began(merchants)
    now, now_day = clock.now(), clock.today()
    for day in days:
        cells = []
        for merchant in merchants:
            row = rows.get((day, merchant))
            found = differences.get(row.pk, []) if row else []
            opened = sum(not one.is_doubtful for one in found)
            state = _state(row, opened, bool(found), day, began[merchant], now)
            total = row.total if row is not None else ZERO
            if state in WITHOUT_BILL and day < now_day:
                total += our_yuan(merchant, day)
            if not total and state in (*WITHOUT_BILL, CellState.AGREED):
                # A gateway's bill has nothing of a mock's money, and there is no other.
                state = CellState.MOCK if has_mock(merchant.method, day) else state
            cells.append(Cell(merchant, state, opened, row, _verified(row, found), total))
        close = closes.get(day)
        is_asked = close is not None and close.pk in asked
        yield DayLine(day, cells, balances[day], close, is_asked)


def _verified(row: ReconciledDay | None, found: Sequence[Difference]) -> Money:
    return max(row.total - yuan_named(row, found), ZERO) if row is not None else ZERO


def _differences(days: Sequence[date]) -> Mapping[object, list[Difference]]:
    """What is open or doubtful, by the compared day."""
    found: dict[object, list[Difference]] = {}
    for row in Difference.objects.filter(day__day__in=days).unproven():
        found.setdefault(row.day_id, []).append(row)
    return found


def _closes(days: Sequence[date]) -> Mapping[date, DailyClose]:
    """Those that count and those that wait for a signature."""
    rows = DailyClose.objects.filter(Q(closed_day__in=days) | Q(waiting_day__in=days))
    return {row.day: row for row in rows.defer("figures", "bills")}


def _balances(days: Sequence[date], closes: Mapping[date, DailyClose]) -> Mapping[date, Cell]:
    """Payments from balances against the ledger: proven where a day is closed, looked at where
    one of the newest is not."""
    cells: dict[date, Cell] = {}
    left = BALANCE_DAYS_MAX
    for day in sorted(days, reverse=True):
        close = closes.get(day)
        state, wrong = CellState.NONE, 0
        if close is not None and close.status == CloseStatus.SIGNED:
            state = CellState.AGREED
        elif day < clock.today() and left:
            left -= 1
            wrong = balance_leg(day).unexplained
            state = CellState.OPEN if wrong else CellState.AGREED
        cells[day] = Cell(BALANCES, state, wrong)
    return cells


def merchants_between(first: date, last: date) -> list[Merchant]:
    """Those that have bills of these days, and those that are configured now; of a single day also
    those whose bill there has to be."""
    found = ReconciledDay.objects.filter(day__gte=first, day__lte=last)
    pairs = {Merchant(*pair) for pair in found.values_list("payment_method", "merchant").distinct()}
    methods = list(GATEWAY_METHODS)
    running = {merchant_running(method) for method in GATEWAY_METHODS}
    every = pairs | {one for one in running if one is not None}
    if first == last:
        every |= set(merchants_of_day(first))
    return sorted(every, key=lambda one: (methods.index(one.method), one))


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
    row: ReconciledDay | None, opened: int, is_doubtful: bool, day: date, began: date, now: datetime
) -> CellState:
    if opened:
        return CellState.OPEN
    if row is not None and (row.trade_bill_id is not None or row.is_without_movement):
        return CellState.DOUBTFUL if is_doubtful else CellState.AGREED
    if day < began:
        return CellState.NONE
    return CellState.MISSING if is_missing(day, now) else CellState.WAITING


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
