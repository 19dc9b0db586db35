"""What a run finds: one difference, before it is a row."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from gateways.interface import BillRow, FundRow, OddLine
from reconciliation.models import BillFile
from reconciliation.states import DifferenceType
from tcmpay.common.money import Money, fen_to_yuan


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A difference (yuan) and what it is about, the same in every run; ``bill`` holds its line."""

    difference_type: DifferenceType
    fact: str
    reason: str
    out_trade_no: str = ""
    refund_no: str = ""
    gateway_no: str = ""
    ours: Money | None = None
    theirs: Money | None = None
    bill: BillFile | None = None
    line_number: int | None = None
    line_text: str = ""
    order_id: UUID | None = None
    transaction_id: UUID | None = None
    refund_id: UUID | None = None
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What our books have of a number: the attempt, or the refund with its payment."""

    order_id: UUID
    transaction_id: UUID
    refund_id: UUID | None = None

    @property
    def links(self) -> dict[str, Any]:
        return {
            "order_id": self.order_id,
            "transaction_id": self.transaction_id,
            "refund_id": self.refund_id,
        }


def number_of_row(row: BillRow) -> str:
    """The number that a line goes by: ours, else the gateway's."""
    if row.is_refund:
        return row.out_refund_no or row.refund_id or row.transaction_id
    return row.out_trade_no or row.transaction_id


def of_row(
    kind: DifferenceType,
    row: BillRow,
    bill: BillFile | None,
    reason: str,
    *,
    fact: str = "",
    ours_fen: int | None = None,
    held: Held | None = None,
    **other: Any,
) -> Found:
    """A difference about a line of a trade bill; ``theirs`` is what the line says was ordered."""
    return Found(
        difference_type=kind,
        fact=fact or number_of_row(row),
        reason=reason,
        out_trade_no=row.out_trade_no[:64],
        refund_no=row.out_refund_no[:64] if row.is_refund else "",
        gateway_no=(row.transaction_id or row.refund_id)[:64],
        ours=None if ours_fen is None else fen_to_yuan(ours_fen),
        bill=bill,
        line_number=row.number,
        **{"theirs": fen_to_yuan(row.amount_fen), **(held.links if held else {}), **other},
    )


def of_funds(row: FundRow, bill: BillFile, *, expected_fen: int) -> Found:
    """A balance that does not follow from the line before."""
    texts = {"expected": fen_to_yuan(expected_fen), "stated": fen_to_yuan(row.balance_fen)}
    return Found(
        difference_type=DifferenceType.FUND_GAP,
        fact=row.flow_no or f"{bill.day}/{row.number}",
        reason=_("余额应为 %(expected)s 元，账单写 %(stated)s 元") % texts,
        out_trade_no=row.out_trade_no[:64],
        refund_no=row.out_refund_no[:64],
        gateway_no=(row.transaction_id or row.flow_no)[:64],
        ours=texts["expected"],
        theirs=texts["stated"],
        bill=bill,
        line_number=row.number,
    )


def of_odd_lines(bill: BillFile, lines: Iterable[OddLine]) -> Iterator[Found]:
    """Lines that nobody can read; the same text at another place of another file is the same."""
    times: Counter[str] = Counter()
    for line in lines:
        digest = hashlib.sha256(line.text.encode("utf-8", "replace")).hexdigest()[:24]
        times[digest] += 1
        yield Found(
            difference_type=DifferenceType.LINE,
            fact=f"{bill.bill_type}/{bill.day}/{digest}/{times[digest]}",
            reason=_("第 %(number)s 行：%(reason)s")
            % {"number": line.number, "reason": line.reason},
            bill=bill,
            line_number=line.number,
            line_text=line.text,
        )
