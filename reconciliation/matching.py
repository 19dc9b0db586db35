"""Laying a bill's lines against our books: one pass, by number, without models or statements.

A million lines pass here, of which nearly all agree: those pass by columns, each step one call for
hundreds of them. What does not agree comes out as it is, to be told apart afterwards (telling.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import compress, repeat
from operator import sub

from gateways.interface import BillRow, TradeLines
from reconciliation.our_books import OurBooks, fingerprints

SUCCESS, PROCESSING, FAILED = "SUCCESS", "PROCESSING", "FAIL"
# Fees are hundred-thousandths of a yuan, and tolerate a fen a line.
FEE_OF_FEN = 1_000
FEE_TOLERANCE = 1_000


@dataclass(slots=True)
class Matched:
    """What came of laying a trade bill against our books."""

    lines: int = 0
    their_payments: int = 0
    their_receipts_fen: int = 0
    their_refunds: int = 0
    their_refunded_fen: int = 0
    fees: int = 0
    coupons_fen: int = 0  # ordered and not settled, less those of refunds
    # Lines whose number is not (or no longer) in our books of the day.
    unknown: list[BillRow] = field(default_factory=list)
    # Lines of another of the merchant's apps.
    of_another_app: list[BillRow] = field(default_factory=list)
    # Lines of our numbers that differ: with our fen.
    amounts: list[tuple[BillRow, int]] = field(default_factory=list)
    states: list[tuple[BillRow, int]] = field(default_factory=list)
    # Fees that the rate does not give, with what it gives.
    fees_off: list[tuple[BillRow, int]] = field(default_factory=list)


def match(
    pieces: Iterable[tuple[int, TradeLines]], books: OurBooks, apps: frozenset[str]
) -> Matched:
    """Take out of ``books`` what the bill has; what stays there the bill lacks.

    Payments that agree go a piece at a time; the other lines become rows and go one by one, those
    of payments once it is known which of ours are left.
    """
    found, rates, later = Matched(), Rates(), list[BillRow]()
    for number, piece in pieces:
        taken = _taken(piece, books, apps)
        wrong = _agree(piece, taken, books, found, rates)
        if taken is None and not wrong:
            continue
        for place, row in enumerate(piece.rows(number)):
            if place in wrong:
                found.fees_off.append((row, wrong[place]))
            elif taken is None or taken[place]:
                continue
            elif row.is_refund:
                _match_row(row, books, apps, found, rates)
            else:
                later.append(row)
    books.name_left()
    for row in later:
        _match_row(row, books, apps, found, rates)
    return found


def _taken(piece: TradeLines, books: OurBooks, apps: frozenset[str]) -> list[bool] | None:
    """Take the piece's payments that agree out of the books; which ones, None: all of its lines."""
    keys, ours = fingerprints(piece.keys()), books.fingerprints
    app = piece.app_ids()
    is_ours = isinstance(app, str) and _is_ours(app, apps)
    if piece.is_refund is None and is_ours and ours.issuperset(keys):
        before = len(ours)
        ours.difference_update(keys)
        if before - len(ours) == piece.count:
            return None
        ours.update(keys)  # one of them twice
    refunds = piece.is_refund or repeat(False)
    names = repeat(app) if isinstance(app, str) else app
    taken = []
    for key, is_refund, name in zip(keys, refunds, names):  # noqa: B905 (repeat never ends)
        agrees = key in ours and not is_refund and _is_ours(name, apps)
        if agrees:
            ours.remove(key)
        taken.append(agrees)
    return taken


def _agree(
    piece: TradeLines, taken: list[bool] | None, books: OurBooks, found: Matched, rates: "Rates"
) -> dict[int, int]:
    """Add up what agrees. Of the fees that its rate does not give, what it gives, by the place."""
    columns: tuple[Sequence[int], ...] = (piece.amount, piece.settled, piece.fee)
    if taken is not None:
        columns = tuple(list(compress(column, taken)) for column in columns)
    amount, settled, fee = columns
    found.lines += len(amount)
    found.their_payments += len(amount)
    received = sum(amount)
    found.their_receipts_fen += received
    books.our_receipts_fen += received
    found.fees += sum(fee)
    found.coupons_fen += received - sum(settled)
    rate = piece.fee_rates()
    if not isinstance(rate, str):
        each = rate if taken is None else compress(rate, taken)
        due = [
            rates.due(text, fen, kept) for text, fen, kept in zip(each, settled, fee, strict=True)
        ]
    elif (value := rates[rate]) is None:
        return {}
    else:
        # Fen by millionths, in hundred-thousandths of a yuan.
        due = [fen * value // 1000 for fen in settled]
    off = list(map(sub, fee, due))
    if not off or (min(off) >= -FEE_TOLERANCE and max(off) <= FEE_TOLERANCE):
        return {}
    places = range(piece.count) if taken is None else compress(range(piece.count), taken)
    return {
        place: owed
        for place, by, owed in zip(places, off, due, strict=True)
        if not -FEE_TOLERANCE <= by <= FEE_TOLERANCE
    }


def _match_row(
    row: BillRow, books: OurBooks, apps: frozenset[str], found: Matched, rates: "Rates"
) -> None:
    found.lines += 1
    found.fees += row.fee
    ours, coupon_fen = None, row.amount_fen - row.settled_fen
    if not row.is_refund:
        found.coupons_fen += coupon_fen
        found.their_payments += 1
        found.their_receipts_fen += row.amount_fen
        ours = books.payments.pop(row.out_trade_no, None)
    elif row.state != FAILED:  # else nothing moved; one that did may follow under the same number
        found.coupons_fen -= coupon_fen
        found.their_refunds += 1
        found.their_refunded_fen += row.amount_fen
        ours = books.refunds.pop(row.out_refund_no, None)
    if not _is_ours(row.app_id, apps):
        found.of_another_app.append(row)
    elif ours is None:
        found.unknown.append(row)
    elif ours != row.amount_fen:
        found.amounts.append((row, ours))
    elif not (row.is_refund or row.state == SUCCESS):
        found.states.append((row, ours))
    elif (due := fee_due(row, rates)) is not None:
        found.fees_off.append((row, due))


def _is_ours(app: str, apps: frozenset[str]) -> bool:
    return not app or app in apps or not apps


def fee_due(row: BillRow, rates: "Rates") -> int | None:
    """The fee (hundred-thousandths of a yuan) by the line's rate, where it bears another."""
    kept = -row.fee if row.is_refund else row.fee
    due = rates.due(row.fee_rate, row.settled_fen, kept)
    if -FEE_TOLERANCE <= kept - due <= FEE_TOLERANCE:
        return None
    return -due if row.is_refund else due


class Rates(dict[str, int | None]):
    """What rates that are written are, in millionths, each read once."""

    def __missing__(self, text: str) -> int | None:
        rate = self[text] = rate_of(text) if text else None
        return rate

    def due(self, text: str, settled_fen: int, fee: int) -> int:
        """The fee by the rate (hundred-thousandths of a yuan); where none is named, ``fee``."""
        rate = self[text]
        return fee if rate is None else settled_fen * rate // 1000


def rate_of(text: str) -> int | None:
    """The rate that ``text`` writes ("0.60%"), in millionths; None where it is none."""
    try:
        rate = Decimal(text.strip().removesuffix("%"))
        millionths = rate * 10_000 if text.strip().endswith("%") else rate * 1_000_000
        return int(millionths) if 0 <= millionths <= 1_000_000 else None
    except ArithmeticError:  # no number, not a number, too large a one
        return None
