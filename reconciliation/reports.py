"""Reports of a day, a month, any span of days: closed days as they were signed, open ones as they
are now and marked so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from balances.selectors import LedgerMoves, ledger_moves
from reconciliation.errors import SpanRefused
from reconciliation.figures import (
    MOVES,
    Fees,
    Figures,
    balance_opening,
    cells_of,
    closes_between,
    coupons_of,
    coupons_of_days,
    fees_of,
    fees_of_days,
    moves_of,
)
from reconciliation.money import Cell, DayMoney, Days, Sums, money_of_days
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.money import ZERO, Money

DAYS_MAX = 1100  # three years
Surplus = Mapping[tuple[str, str], Sums]


@dataclass(frozen=True, slots=True)
class ReportDay:
    """One business day; ``version`` of its close, None while it is open. Amounts are yuan."""

    day: date
    version: int | None
    cells: Mapping[Cell, Sums]
    fees: Fees
    coupons: Fees
    surplus: Surplus
    moves: LedgerMoves
    opening: Money
    closing: Money
    signature: str = ""

    @property
    def is_closed(self) -> bool:
        return self.version is not None

    @property
    def line(self) -> "Line":
        surplus = sum(self.surplus.values(), Sums())
        return Line(
            self.day.isoformat(),
            sum(self.cells.values(), Sums()),
            sum(self.fees.values(), ZERO),
            surplus,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A line of sums. ``net`` is receipts less refunds less fees; surplus money is apart."""

    name: str
    sums: Sums = field(default_factory=Sums)
    fees: Money = ZERO
    surplus: Sums = field(default_factory=Sums)

    @property
    def net(self) -> Money:
        return self.sums.receipts - self.sums.refunds - self.fees


# By what receipts and refunds can be told apart. Bills tell of fees by method and merchant number,
# never by service: there the fees stay out.
GROUPS: Mapping[str, Callable[[Cell], str]] = {
    "method": lambda cell: cell.method,
    "merchant": lambda cell: _account(cell.method, cell.merchant),
    "order_type": lambda cell: cell.order_type,
    "service": lambda cell: cell.service,
}
FEES_BY: Mapping[str, Callable[[str, str], str]] = {
    "method": lambda method, merchant: method,
    "merchant": lambda method, merchant: _account(method, merchant),
}


def _account(method: str, merchant: str) -> str:
    return f"{method} {merchant}".strip()


@dataclass(frozen=True, slots=True)
class Report:
    """Every day from ``first`` to ``last``, in order."""

    first: date
    last: date
    days: list[ReportDay]

    @property
    def total(self) -> Line:
        lines = [one.line for one in self.days]
        return Line(
            "",
            sum((line.sums for line in lines), Sums()),
            sum((line.fees for line in lines), ZERO),
            sum((line.surplus for line in lines), Sums()),
        )

    @property
    def open_days(self) -> list[date]:
        return [one.day for one in self.days if not one.is_closed]

    @property
    def moves(self) -> LedgerMoves:
        """What all days moved on users' balances."""
        return LedgerMoves(
            **{name: sum((getattr(one.moves, name) for one in self.days), ZERO) for name in MOVES}
        )

    def by(self, what: str) -> list[Line]:
        """A line for each method, merchant (number), order_type or service."""
        sums: dict[str, Sums] = {}
        fees: dict[str, Money] = {}
        surplus: dict[str, Sums] = {}
        for one in self.days:
            for cell, more in one.cells.items():
                name = GROUPS[what](cell)
                sums[name] = sums.get(name, Sums()) + more
            if what in FEES_BY:
                for key, fee in one.fees.items():
                    name = FEES_BY[what](*key)
                    fees[name] = fees.get(name, ZERO) + fee
                for key, more in one.surplus.items():
                    name = FEES_BY[what](*key)
                    surplus[name] = surplus.get(name, Sums()) + more
        return [
            Line(name, sums.get(name, Sums()), fees.get(name, ZERO), surplus.get(name, Sums()))
            for name in sorted({*sums, *fees, *surplus})
        ]


def report(first: date, last: date) -> Report:
    """Every day from ``first`` to ``last``, not beyond today. Raises SpanRefused."""
    if first > last or (last - first).days >= DAYS_MAX:
        raise SpanRefused()
    last = min(last, clock.today())
    closes = {close.day: close for close in closes_between(first, last)}
    span = [first + number * ONE_DAY for number in range((last - first).days + 1)]
    open_days = [day for day in span if day not in closes]
    rows = _Rows(open_days)
    days = []
    for day in span:
        close = closes.get(day)
        if close is not None:
            days.append(_as_signed(day, close.version, close.figures, close.signature))
        else:
            days.append(rows.day(day, days[-1].closing if days else None))
    return Report(first, last, days)


def _as_signed(day: date, version: int, figures: Figures, signature: str) -> ReportDay:
    balance = figures["balance"]
    return ReportDay(
        day=day,
        version=version,
        cells=cells_of(figures),
        fees=fees_of(figures),
        coupons=coupons_of(figures),
        surplus=_surplus_of(figures),
        moves=moves_of(balance),
        opening=Decimal(balance["opening"]),
        closing=Decimal(balance["closing"]),
        signature=signature,
    )


def _surplus_of(figures: Figures) -> dict[tuple[str, str], Sums]:
    """By account; how many there were is kept for the whole day only."""
    found: dict[tuple[str, str], Sums] = {}
    for told in figures["by_merchant"]:
        sums = Sums(receipts=Decimal(told["surplus_in"]), refunds=Decimal(told["surplus_out"]))
        if sums != Sums():
            found[told["method"], told["merchant"]] = sums
    return found


class _Rows:
    """What the open days among some hold now, read at once."""

    def __init__(self, days: list[date]) -> None:
        self._money: Days = {}
        self._fees: dict[date, Fees] = {}
        self._coupons: dict[date, Fees] = {}
        self._moves: dict[date, LedgerMoves] = {}
        if days:
            self._money = money_of_days(days[0], days[-1])
            self._fees = fees_of_days(days[0], days[-1])
            self._coupons = coupons_of_days(days[0], days[-1])
            self._moves = ledger_moves(days[0], days[-1])

    def day(self, day: date, opening: Money | None) -> ReportDay:
        """``opening``: where the day before ended, if that is known."""
        money, moves = self._money.get(day, DayMoney()), self._moves.get(day, LedgerMoves())
        begun = balance_opening(day) if opening is None else opening
        return ReportDay(
            day=day,
            version=None,
            cells=money.cells,
            fees=self._fees.get(day, {}),
            coupons=self._coupons.get(day, {}),
            surplus={
                key: Sums(receipts=sums.receipts, refunds=sums.refunds)
                for key, sums in money.surplus.items()
            },
            moves=moves,
            opening=begun,
            closing=begun + moves.net,
        )


def told(line: Line) -> dict[str, Any]:
    """For templates and files: the figures of a line by their names."""
    return {
        "name": line.name,
        "receipts_number": line.sums.receipts_number,
        "receipts": line.sums.receipts,
        "refunds_number": line.sums.refunds_number,
        "refunds": line.sums.refunds,
        "fees": line.fees,
        "net": line.net,
        "surplus_in": line.surplus.receipts,
        "surplus_out": line.surplus.refunds,
    }
