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

    def take(self, keys: Iterable[str], wanted_fen: int) -> bool:
        """Take the wanted amount out, where it is under the first of ``keys`` that there is; none
        is there where none is wanted."""
        key = next((key for key in keys if key in self._first), None)
        if key is None:
            return not wanted_fen
        further = self._further.get(key)
        if self._first[key] == wanted_fen:
            self._take_first(key)
        elif further and wanted_fen in further:
            further.remove(wanted_fen)
        else:
            return False
        return True

    def take_any(self, keys: Iterable[str]) -> int | None:
        """Whatever is left under the first of ``keys`` that there is, taken out."""
        key = next((key for key in keys if key in self._first), None)
        return None if key is None else self._take_first(key)

    def _take_first(self, key: str) -> int:
        taken = self._first.pop(key)
        if further := self._further.get(key):
            self._first[key] = further.pop()
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

    def moves(self, row: BillRow) -> Moves:
        """Where the money of a trade bill's line is."""
        return self.refunds if row.is_refund else self.payments

    def charges(self, row: BillRow) -> Moves:
        """Where the fee of a trade bill's line is."""
        return self.fees_back if row.is_refund else self.fees


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
    """What was traded against what moved, line by line; the lines ``without`` differ already.

    First each line takes what it names, so that what is left under a number that several refunds
    share belongs to one that differs.
    """
    found = FundsCompared()
    unmoved: list[BillRow] = []
    uncharged: list[BillRow] = []
    for row in rows:
        if not (row.state != FAILED if row.is_refund else row.state == SUCCESS):
            continue
        keys = keys_of(row)
        if row.settled_fen and not funds.moves(row).take(keys, row.settled_fen):
            unmoved.append(row)
        elif not funds.charges(row).take(keys, round(row.fee / FEE_OF_FEN)):
            uncharged.append(row)
    for row in unmoved:
        if row.number in without:
            continue
        moved = funds.moves(row).take_any(keys_of(row))
        if moved is None:
            found.missing.append(row)
        else:
            found.amounts.append((row, moved))
    for row in uncharged:
        if row.number in without:
            continue
        taken = (funds.charges(row).take_any(keys_of(row)) or 0) * FEE_OF_FEN
        if abs(taken - row.fee) > FEE_TOLERANCE:
            found.fees.append((row, taken))
    return found


def moved_later(rows: Iterable[FundRow], missing: list[BillRow]) -> list[BillRow]:
    """Those of ``missing`` that a later day's fund bill does not have either."""
    funds = Funds()
    for row in rows:
        funds.add(row)
    return [row for row in missing if not funds.moves(row).take(keys_of(row), row.settled_fen)]
