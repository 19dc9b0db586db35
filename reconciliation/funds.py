"""The third leg: what a fund bill says moved, against the trade bill, and its own continuity."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from gateways.interface import BillRow, FundKind, FundRow
from reconciliation.matching import FAILED, FEE_OF_FEN, FEE_TOLERANCE, SUCCESS

REFUNDS = frozenset({FundKind.REFUND, FundKind.FEE_BACK, FundKind.REFUND_CLOSED})
FEES = frozenset({FundKind.FEE, FundKind.FEE_BACK})


# What a line of the kind changes the account by, as the amount is told in a trade bill.
SIGNS = {
    **{FundKind.PAYMENT: 1, FundKind.FEE: -1, FundKind.REFUND: -1, FundKind.FEE_BACK: -1},
    FundKind.REFUND_CLOSED: 1,
}


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

    def left(self) -> Iterator[tuple[str, int]]:
        """What nobody took."""
        for key, fen in self._first.items():
            yield key, fen
            for further in self._further.get(key, ()):
                yield key, further

    def _take_first(self, key: str) -> int:
        taken = self._first.pop(key)
        if further := self._further.get(key):
            self._first[key] = further.pop()
        return taken


@dataclass(slots=True)
class Funds:
    """A fund bill, in fen: payments in, refunds out, fees taken (those given back below zero)."""

    by_kind: dict[FundKind, Moves] = field(
        default_factory=lambda: {kind: Moves() for kind in SIGNS}
    )
    gaps: list[Gap] = field(default_factory=list)
    opening_fen: int | None = None
    closing_fen: int | None = None
    charged_fen: int = 0  # fees, less those given back
    lines: int = 0

    def add(self, row: FundRow) -> None:
        if row.kind in FEES:
            self.charged_fen -= row.change_fen
        if row.kind in self.by_kind:
            self.by_kind[row.kind].add(key_of(row), fen_of(row))

    def moves(self, row: BillRow) -> Moves:
        """Where the money of a trade bill's line is."""
        return self.by_kind[FundKind.REFUND if row.is_refund else FundKind.PAYMENT]

    def charges(self, row: BillRow) -> Moves:
        """Where the fee of a trade bill's line is."""
        return self.by_kind[FundKind.FEE_BACK if row.is_refund else FundKind.FEE]

    def left(self) -> "Counter[tuple[FundKind, str, int]]":
        """What no line of a trade bill took; a refund that came back the same day is none, and one
        that came back later is one of its own."""
        came_back = self.by_kind[FundKind.REFUND_CLOSED]
        gone = Counter(
            (kind, key, fen)
            for kind, moves in self.by_kind.items()
            if kind is not FundKind.REFUND_CLOSED
            for key, fen in moves.left()
            if fen and not (kind is FundKind.REFUND and came_back.take((key,), fen))
        )
        return gone + Counter((FundKind.REFUND_CLOSED, *left) for left in came_back.left())


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


def key_of(row: FundRow) -> str:
    """By what number a fund bill knows its line's money."""
    return row.out_refund_no or row.transaction_id or row.out_trade_no or row.flow_no


def fen_of(row: FundRow) -> int:
    return SIGNS[row.kind] * row.change_fen


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
    share belongs to one that differs. Those ``without`` come last and take what is left, too: what
    is in ``funds`` afterwards is nobody's.
    """
    found = FundsCompared()
    unmoved: list[BillRow] = []
    uncharged: list[BillRow] = []
    for row in rows:
        if not moves_money(row):
            continue
        keys = keys_of(row)
        if row.settled_fen and not funds.moves(row).take(keys, row.settled_fen):
            unmoved.append(row)
        if not funds.charges(row).take(keys, round(row.fee / FEE_OF_FEN)):
            uncharged.append(row)
    told = {row.number for row in unmoved}
    for row in sorted(unmoved, key=lambda row: row.number in without):
        moved = funds.moves(row).take_any(keys_of(row))
        if row.number in without:
            continue
        if moved is None:
            found.missing.append(row)
        else:
            found.amounts.append((row, moved))
    for row in sorted(uncharged, key=lambda row: row.number in without):
        taken = (funds.charges(row).take_any(keys_of(row)) or 0) * FEE_OF_FEN
        is_told = row.number in without or row.number in told
        if not is_told and abs(taken - row.fee) > FEE_TOLERANCE:
            found.fees.append((row, taken))
    return found


def moves_money(row: BillRow) -> bool:
    return row.state != FAILED if row.is_refund else row.state == SUCCESS


# --- over several days --------------------------------------------------------------------------


class Claim(NamedTuple):
    """What a line of a trade bill takes out of the account's bill."""

    kind: FundKind
    keys: tuple[str, ...]
    fen: int


def claims_of(row: BillRow) -> Iterator[Claim]:
    if not moves_money(row):
        return
    keys, fee = keys_of(row), round(row.fee / FEE_OF_FEN)
    if row.settled_fen:
        yield Claim(FundKind.REFUND if row.is_refund else FundKind.PAYMENT, keys, row.settled_fen)
    if fee:
        yield Claim(FundKind.FEE_BACK if row.is_refund else FundKind.FEE, keys, fee)


def unmet(claims: Iterable[Claim], funds: Funds) -> list[Claim]:
    """Those of ``claims`` that ``funds`` has nothing for; the others take it out."""

    def is_met(claim: Claim) -> bool:
        tolerated = (0, -1, 1) if claim.kind in FEES else (0,)
        moves = funds.by_kind[claim.kind]
        return any(moves.take(claim.keys, claim.fen + by) for by in tolerated)

    return [claim for claim in claims if not is_met(claim)]


def funds_about(rows: Iterable[FundRow], keys: Set[str]) -> Funds:
    funds = Funds()
    for row in rows:
        if key_of(row) in keys:
            funds.add(row)
            funds.lines += 1
    return funds


def lines_about(rows: Iterable[BillRow], keys: Set[str]) -> list[BillRow]:
    return [row for row in rows if not keys.isdisjoint(keys_of(row))]


def moved_later(funds: Funds, own: Iterable[BillRow], missing: list[BillRow]) -> list[BillRow]:
    """Those of ``missing`` that a later day's ``funds`` do not have either, after the lines of
    that day's ``own`` trade bill took theirs."""
    unmet((claim for row in own for claim in claims_of(row)), funds)
    return [row for row in missing if not funds.moves(row).take(keys_of(row), row.settled_fen)]


def rows_left(rows: Iterable[FundRow], funds: Funds) -> list[FundRow]:
    """The lines of what is left in ``funds``: of equal ones the last."""
    left = funds.left()
    if not left:
        return []

    def said(row: FundRow) -> tuple[FundKind, str, int]:
        return row.kind, key_of(row), fen_of(row) if row.kind in SIGNS else 0

    found = []
    for row in reversed([row for row in rows if said(row) in left]):
        if left[said(row)]:
            left[said(row)] -= 1
            found.append(row)
    return found[::-1]
