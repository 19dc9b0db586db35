"""The third leg: what a fund bill says moved, against the trade bill, and its own continuity."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from gateways.interface import BillRow, FundKind, FundRow
from reconciliation.matching import FAILED, FEE_OF_FEN, FEE_TOLERANCE, SUCCESS

REFUNDS = frozenset({FundKind.REFUND, FundKind.FEE_BACK})


@dataclass(frozen=True, slots=True)
class Gap:
    """A line whose balance does not follow from the one before (fen)."""

    row: FundRow
    expected_fen: int


class Moves:
    """Amounts (fen) by a number that may have several: Alipay names a refund by its trade."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}  # a million numbers have one
        self._further: dict[str, list[int]] = {}

    def add(self, key: str, fen: int) -> None:
        if key in self._first:
            self._further.setdefault(key, []).append(fen)
        else:
            self._first[key] = fen

    def take(self, keys: Iterable[str], wanted_fen: int) -> int | None:
        """The amount under the first of ``keys`` that there is, taken out: the wanted one where it
        is among several. None where there is none."""
        key = next((key for key in keys if key in self._first), None)
        if key is None:
            return None
        further = self._further.get(key)
        if not further:
            return self._first.pop(key)
        if wanted_fen in further:
            further.remove(wanted_fen)
            return wanted_fen
        taken, self._first[key] = self._first[key], further.pop()
        return taken


@dataclass(slots=True)
class Funds:
    """A fund bill, in fen: payments in, refunds out, fees taken (those given back below zero)."""

    payments: Moves = field(default_factory=Moves)
    fees: Moves = field(default_factory=Moves)
    refunds: Moves = field(default_factory=Moves)
    fees_back: Moves = field(default_factory=Moves)
    gaps: list[Gap] = field(default_factory=list)
    opening_fen: int | None = None
    closing_fen: int | None = None
    lines: int = 0

    def add(self, row: FundRow) -> None:
        if row.kind is FundKind.PAYMENT:
            self.payments.add(_key(row), row.change_fen)
        elif row.kind is FundKind.FEE:
            self.fees.add(_key(row), -row.change_fen)
        elif row.kind is FundKind.REFUND:
            self.refunds.add(_key(row), -row.change_fen)
        elif row.kind is FundKind.FEE_BACK:
            self.fees_back.add(_key(row), -row.change_fen)

    def take(self, row: BillRow) -> int | None:
        """The fen that moved for a trade bill's line, taken out; None where none did."""
        moved = self.refunds if row.is_refund else self.payments
        return moved.take(keys_of(row), row.settled_fen)

    def fee(self, row: BillRow) -> int:
        """The fee (fen) that was taken, or given back, for a trade bill's line."""
        fees = self.fees_back if row.is_refund else self.fees
        return fees.take(keys_of(row), round(row.fee / FEE_OF_FEN)) or 0


def read_funds(rows: Iterable[FundRow], before_fen: int | None) -> Funds:
    """A fund bill's lines; ``before_fen`` is where the day before ended, None where unknown."""
    funds = Funds()
    balance = before_fen
    for row in rows:
        funds.lines += 1
        opening = row.balance_fen - row.change_fen
        if funds.opening_fen is None:
            funds.opening_fen = opening
        if balance is not None and opening != balance:
            funds.gaps.append(Gap(row, balance + row.change_fen))
        balance = row.balance_fen
        funds.add(row)
    funds.closing_fen = balance
    if funds.opening_fen is None:
        funds.opening_fen = balance
    return funds


def _key(row: FundRow) -> str:
    if row.kind in REFUNDS:
        return row.out_refund_no or row.transaction_id or row.out_trade_no
    return row.transaction_id or row.out_trade_no


def keys_of(row: BillRow) -> tuple[str, ...]:
    """By what numbers a fund bill may know the line's money, the surest first."""
    if row.is_refund:
        return (row.out_refund_no, row.refund_id, row.transaction_id, row.out_trade_no)
    return (row.transaction_id, row.out_trade_no)


@dataclass(slots=True)
class FundsCompared:
    """Where the two bills of a day differ."""

    missing: list[BillRow] = field(default_factory=list)
    # With the fen that moved instead of what was settled.
    amounts: list[tuple[BillRow, int]] = field(default_factory=list)
    # With the fee (hundred-thousandths of a yuan) that was taken instead of the line's.
    fees: list[tuple[BillRow, int]] = field(default_factory=list)


def compare_funds(
    rows: Iterable[BillRow], funds: Funds, without: Collection[int | None]
) -> FundsCompared:
    """What was traded against what moved, line by line; the lines ``without`` differ already."""
    found = FundsCompared()
    for row in rows:
        has_moved = row.state != FAILED if row.is_refund else row.state == SUCCESS
        if not has_moved or row.number in without:
            continue
        moved = funds.take(row)
        if moved is None:
            if row.settled_fen:
                found.missing.append(row)
        elif moved != row.settled_fen:
            found.amounts.append((row, moved))
        else:
            taken = funds.fee(row) * FEE_OF_FEN
            if abs(taken - row.fee) > FEE_TOLERANCE:
                found.fees.append((row, taken))
    return found


def moved_later(rows: Iterable[FundRow], missing: list[BillRow]) -> list[BillRow]:
    """Those of ``missing`` that a later day's fund bill does not have either."""
    funds = Funds()
    for row in rows:
        funds.add(row)
    return [row for row in missing if funds.take(row) != row.settled_fen]
