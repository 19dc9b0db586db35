"""Laying a bill's lines against our books: one pass, by number, without models or statements.

A million lines pass here: everything that costs is outside of the loop. What does not agree comes
out as it is, to be told apart afterwards (telling.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from gateways.interface import BillRow
from reconciliation.our_books import OurBooks

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
    # Lines whose number is not (or no longer) in our books of the day.
    unknown: list[BillRow] = field(default_factory=list)
    # Lines of another of the merchant's apps.
    of_another_app: list[BillRow] = field(default_factory=list)
    # Lines of our numbers that differ: with our fen.
    amounts: list[tuple[BillRow, int]] = field(default_factory=list)
    states: list[tuple[BillRow, int]] = field(default_factory=list)
    # Fees that the rate does not give, with what it gives.
    fees_off: list[tuple[BillRow, int]] = field(default_factory=list)


def match(rows: Iterable[BillRow], books: OurBooks, apps: frozenset[str]) -> Matched:
    """Take out of ``books`` what the bill has; what stays there the bill lacks."""
    found = Matched()
    payments, refunds = books.payments, books.refunds
    rates: dict[str, int | None] = {}
    lines = their_payments = their_refunds = receipts = refunded = fees = 0
    for row in rows:
        (
            _n, is_refund, out_trade_no, _t, out_refund_no, _r, amount_fen, settled_fen,
            fee, fee_rate, _moment, state, app_id, _merchant,
        ) = row  # fmt: skip
        lines += 1
        fees += fee
        if is_refund:
            if state != FAILED:
                their_refunds += 1
                refunded += amount_fen
                ours = refunds.pop(out_refund_no, None)
            else:
                ours = None  # nothing moved; one that did may follow under the same number
        else:
            their_payments += 1
            receipts += amount_fen
            ours = payments.pop(out_trade_no, None)
        if app_id and app_id not in apps and apps:
            found.of_another_app.append(row)
        elif ours is None:
            found.unknown.append(row)
        elif ours != amount_fen:
            found.amounts.append((row, ours))
        elif not (is_refund or state == SUCCESS):
            found.states.append((row, ours))
        elif fee_rate:
            try:
                rate = rates[fee_rate]
            except KeyError:
                rate = rates[fee_rate] = rate_of(fee_rate)
            if rate is not None:
                # Fen by millionths, in hundred-thousandths of a yuan.
                due = settled_fen * rate // 1000
                if not -FEE_TOLERANCE <= fee + (due if is_refund else -due) <= FEE_TOLERANCE:
                    found.fees_off.append((row, -due if is_refund else due))
    found.lines, found.fees = lines, fees
    found.their_payments, found.their_receipts_fen = their_payments, receipts
    found.their_refunds, found.their_refunded_fen = their_refunds, refunded
    return found


def rate_of(text: str) -> int | None:
    """The rate that ``text`` writes ("0.60%"), in millionths; None where it is none."""
    try:
        rate = Decimal(text.strip().removesuffix("%"))
        millionths = rate * 10_000 if text.strip().endswith("%") else rate * 1_000_000
        return int(millionths) if 0 <= millionths <= 1_000_000 else None
    except ArithmeticError:  # no number, not a number, too large a one
        return None
