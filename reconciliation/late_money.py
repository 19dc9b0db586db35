"""Money and the line that says why on different days: bills of the days around, read for the few
numbers in question."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

from config.gateways.merchants import Merchant
from gateways.interface import BillRow, FundRow, OddLine, OpenedBill
from reconciliation.contents import bill_opened
from reconciliation.funds import (
    REFUNDS,
    Claim,
    Funds,
    claims_of,
    funds_about,
    key_of,
    keys_of,
    lines_about,
    moved_later,
    moves_money,
    rows_left,
    unmet,
)
from reconciliation.selectors import bill_current
from reconciliation.states import BillType
from tcmpay.common.clock import ONE_DAY

# So many days later a fund bill may still have the money of a day.
FUNDS_LATE_DAYS = 3


@dataclass(frozen=True, slots=True)
class Unexplained:
    """Money that moved without a line of a trade bill; ``is_again`` where a line of its number
    has had its own."""

    row: FundRow
    is_again: bool


def still_missing(merchant: Merchant, day: date, missing: list[BillRow]) -> list[BillRow]:
    """Those of the ``day``'s lines whose money did not move on the days after it either."""
    for ahead in range(1, FUNDS_LATE_DAYS + 1):
        if not missing:
            break
        bills = _Bills(merchant, day + ahead * ONE_DAY)
        keys = _all_keys(missing)
        if (funds := bills.funds(keys)) and funds.lines:
            missing = moved_later(funds, bills.lines(keys)[0], missing)
    return missing


def unexplained(
    merchant: Merchant, day: date, trade: OpenedBill | None, moved: Sequence[FundRow]
) -> list[Unexplained]:
    """Those of the ``moved`` that the ``day``'s trade bill left over which no line of the days
    before waits for either."""
    keys = frozenset(key_of(row) for row in moved)
    if not keys:
        return []
    own = lines_about(trade.rows(), keys) if trade else []
    seen, odd = list(own), list(trade.odd_lines if trade else ())
    waiting: list[Claim] = []
    for back in range(FUNDS_LATE_DAYS, 0, -1):
        bills = _Bills(merchant, day - back * ONE_DAY)
        lines, unreadable = bills.lines(keys)
        claims = [claim for row in lines for claim in claims_of(row)]
        funds = (bills.funds(keys) if claims or waiting else None) or Funds()
        waiting = [*unmet(claims, funds), *unmet(waiting, funds)]
        seen, odd = seen + lines, [*odd, *unreadable]
    left = funds_about(moved, keys)
    unmet(waiting, left)
    had = _numbers(row for row in seen if moves_money(row))
    silent = _numbers(row for row in seen if not moves_money(row))  # told by the line, if at all
    return [
        Unexplained(row, (row.kind in REFUNDS, key_of(row)) in had)
        for row in rows_left(moved, left)
        if (row.kind in REFUNDS, key_of(row)) not in silent and not _is_named(row, odd)
    ]


@dataclass(frozen=True, slots=True)
class _Bills:
    """The bills that count of one merchant's day, read for some numbers."""

    merchant: Merchant
    day: date

    def lines(self, keys: frozenset[str]) -> tuple[list[BillRow], Sequence[OddLine]]:
        with ExitStack() as files:
            opened = self._opened(BillType.TRADE, files)
            return (lines_about(opened.rows(), keys), opened.odd_lines) if opened else ([], ())

    def funds(self, keys: frozenset[str]) -> Funds | None:
        with ExitStack() as files:
            opened = self._opened(BillType.FUND, files)
            return funds_about(opened.fund_rows(), keys) if opened else None

    def _opened(self, bill_type: BillType, files: ExitStack) -> OpenedBill | None:
        bill = bill_current(self.merchant, self.day, bill_type)
        return files.enter_context(bill_opened(bill)) if bill else None


def _all_keys(rows: Sequence[BillRow]) -> frozenset[str]:
    return frozenset(key for row in rows for key in keys_of(row) if key)


def _numbers(rows: Iterator[BillRow]) -> set[tuple[bool, str]]:
    return {(row.is_refund, key) for row in rows for key in keys_of(row)}


def _is_named(row: FundRow, odd: Sequence[OddLine]) -> bool:
    numbers = {row.out_refund_no, row.out_trade_no, row.transaction_id} - {""}
    return any(number in line.text for line in odd for number in numbers)
