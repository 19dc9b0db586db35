"""What bills show of a time, planted differences included, and what the books have of a day.

Amounts are fen, times POSIX seconds. A payment stands in the bill of the day it was paid on, a
refund in that of the day it was accepted (WeChat) or done (Alipay).
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from datetime import date
from typing import Any

from simulator import clock
from simulator.machine import Machine
from simulator.money import fee_fen, yuan
from simulator.store import CHANNELS, Refund, RefundStatus, Store, Trade

KINDS = ("trade", "fund")
FAULTS = ("late", "missing", "cut", "changed", "unbalanced", "reencoded")
# Bills are made in the morning after; what changes later is not written into them.
MADE_SECONDS = 9 * 3_600
SHIFT_MOST_SECONDS = 7_200
ENCODINGS = {"wechat": "utf-8-sig", "alipay": "gbk"}
# Lines before the first row, and a text of each row that may change without changing what it says.
HEAD_LINES = {"wechat": 1, "alipay": 5}
MARKS = {
    ("wechat", "trade"): "OTHERS", ("wechat", "fund"): "system",
    ("alipay", "trade"): "*买家", ("alipay", "fund"): "支付宝\t",
}  # fmt: skip
# Planted payments that no program of the merchant asked for.
STRANGE = ("theirs_only", "foreign")
AMOUNT = re.compile(r"(?<=[,`])-?\d+\.\d\d(?=,|$)", re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """One line of a trade bill: a payment, or a refund of it."""

    trade: Trade
    refund: Refund | None
    at: float
    ordered_fen: int  # or asked back
    settled_fen: int
    fee_fen: int  # what a payment costs, what a refund gives back

    @property
    def planted(self) -> str:
        return (self.refund or self.trade).planted


def line_of(trade: Trade, refund: Refund | None = None) -> Line:
    row = refund or trade
    at = trade.paid_at if refund is None else refund_at(refund)
    shift, more_fen = (row.planted_by * (row.planted == name) for name in ("wrong_day", "amount"))
    settled_fen = row.settled_fen + more_fen
    # What a refund gives back was rounded together with the refunds before it.
    fee = fee_fen(settled_fen) if refund is None or more_fen else refund.fee_fen
    fee += row.planted_by * (row.planted == "fee")
    return Line(trade, refund, (at or 0.0) + shift, row.amount_fen + more_fen, settled_fen, fee)


def refund_at(refund: Refund) -> float | None:
    return refund.created_at if refund.channel == "wechat" else refund.settled_at


def lines(store: Store, channel: str, start: float, end: float) -> list[Line]:
    """A trade bill's lines in the order of their time."""
    begun = "channel = ? AND {0} >= ? AND {0} < ?"
    values = channel, start - SHIFT_MOST_SECONDS, end
    of_refunds = begun.format("created_at" if channel == "wechat" else "settled_at")
    of_refunds += "" if channel == "wechat" else f" AND status = '{RefundStatus.SUCCESS}'"
    paid = store.find(Trade, f"{begun.format('paid_at')} ORDER BY id", *values)
    back = store.find(Refund, f"{of_refunds} ORDER BY id", *values)
    refunded = f"id IN (SELECT trade_id FROM refund WHERE {of_refunds})"
    trades = {trade.id: trade for trade in store.find(Trade, refunded, *values)}
    found = [line_of(trade) for trade in paid]
    found += [line_of(trades[refund.trade_id], refund) for refund in back]
    shown = [
        line
        for line in found
        if start <= line.at < end and line.planted != "ours_only"
        for _ in range(2 if line.planted == "duplicate" else 1)
    ]
    return sorted(shown, key=lambda line: line.at)


def moves(store: Store, channel: str, start: float, end: float) -> list[tuple[sqlite3.Row, int]]:
    """A fund bill: each move that is shown with the balance after it, which goes on from the day
    before. Planted gaps move the balance without a line."""
    ((balance,),) = store.rows(
        "SELECT coalesce(sum(shown_fen), 0) FROM move WHERE channel = ? AND shown_at < ?",
        (channel, start),
    )
    rows = store.rows(
        "SELECT move.id, move.kind, shown_at AS at, shown_fen AS fen, number, gateway_no,"
        " out_trade_no, subject, move.refund_id AS refund, refund.refund_id, out_refund_no, reason"
        " FROM move LEFT JOIN trade ON trade.id = move.trade_id"
        " LEFT JOIN refund ON refund.id = move.refund_id"
        " WHERE move.channel = ? AND shown_at >= ? AND shown_at < ? AND shown_fen <> 0"
        " ORDER BY shown_at, move.id",
        (channel, start, end),
    )
    shown = []
    for row in rows:
        balance += row["fen"]
        if row["kind"] != "gap":
            shown.append((row, balance))
    return shown


def flow_no(machine: Machine, channel: str, move: sqlite3.Row) -> str:
    owner = machine.keys.wechat["mchid"] if channel == "wechat" else ""
    return f"{owner}{clock.beijing(move['at']):%Y%m%d}{move['id']:010d}"


def made_at(end: float) -> float:
    """When the bill of a time was made; that of the running day is made now."""
    return min(clock.now(), end + MADE_SECONDS)


def fault_of(machine: Machine, channel: str, day: date, kind: str) -> str:
    """What is wrong with this bill, as a tester ordered."""
    fault = _ordered(machine, channel, day, kind)
    is_creating = machine.settings.statement_creating
    return "late" if is_creating else fault[0] if fault else ""


def _ordered(machine: Machine, channel: str, day: date, kind: str) -> list[Any] | None:
    keys = [(channel, d, k) for d in (day.isoformat(), "") for k in (kind, "")]
    return next((machine.bill_faults[key] for key in keys if key in machine.bill_faults), None)


def encoded(
    machine: Machine, channel: str, day: date, kind: str, rows: list[str]
) -> tuple[bytes, bytes]:
    """A bill's file as it is sent, and as it is hashed, with what a tester ordered to be wrong."""
    fault, encoding = _ordered(machine, channel, day, kind), ENCODINGS[channel]
    first, name = HEAD_LINES[channel], fault[0] if fault else ""
    if fault and name == "changed":
        fault[1] += 1
        mark = MARKS[channel, kind]
        rows[first] = rows[first].replace(mark, f"{fault[1]}{mark}")
    if name == "unbalanced":
        rows[first] = AMOUNT.sub(lambda found: f"{float(found[0]) + 1:.2f}", rows[first])
    if name == "reencoded":
        encoding = next(other for other in ENCODINGS.values() if other != encoding)
    content = ("\r\n".join(rows) + "\r\n").encode(encoding, "replace")
    return content[: len(content) * 2 // 3] if name == "cut" else content, content


def books_of_day(machine: Machine, day: date) -> dict[str, Any]:
    """What really happened, by the gateways' success times, whatever the bills say, in yuan.

    ``strange`` is apart from the sums: payments and refunds that no program of the merchant asked
    for. ``withdrawn`` and the balances have everything.
    """
    return {"day": day.isoformat()} | {
        channel: _sums(machine.store, channel, *clock.day_bounds(day)) for channel in CHANNELS
    }


def _sums(store: Store, channel: str, start: float, end: float) -> dict[str, Any]:
    strange = f"trade.planted IN {STRANGE} OR trade.appid <> '' OR ifnull(refund.outside, 0)"
    found: dict[int, dict[str, int]] = {0: {}, 1: {}}
    for name, fen, tables, where in (
        ("receipts", "trade.amount_fen", "trade LEFT JOIN refund ON refund.id = 0",
         "trade.channel = ? AND trade.paid_at"),
        ("refunds", "refund.amount_fen", "trade JOIN refund ON refund.trade_id = trade.id",
         "refund.channel = ? AND refund.status = 'SUCCESS' AND refund.settled_at"),
        ("fees", "-move.fen", "move JOIN trade ON trade.id = move.trade_id"
         " LEFT JOIN refund ON refund.id = move.refund_id",
         "move.channel = ? AND move.kind IN ('fee', 'fee_back') AND move.at"),
    ):  # fmt: skip
        for is_strange, count, sum_fen in store.rows(
            f"SELECT {strange}, count(*), sum({fen}) FROM {tables} WHERE {where} >= ?"
            f" AND {where.split()[-1]} < ? GROUP BY 1",
            (channel, start, end),
        ):
            found[is_strange] |= {name: sum_fen, f"{name}_count": count}

    def told(part: dict[str, int]) -> dict[str, Any]:
        receipts, refunds, fees = (part.get(n, 0) for n in ("receipts", "refunds", "fees"))
        sums = {"receipts": receipts, "refunds": refunds, "fees": fees}
        sums["net"] = receipts - refunds - fees
        counts = {n: part.get(n, 0) for n in ("receipts_count", "refunds_count")}
        return counts | {name: yuan(value) for name, value in sums.items()}

    def moved(what: str, where: str, *values: float) -> str:
        sql = f"SELECT coalesce(sum({what}), 0) FROM move WHERE channel = ? AND {where}"
        return yuan(store.rows(sql, (channel, *values))[0][0])

    return told(found[0]) | {
        "strange": told(found[1]),
        "withdrawn": moved("-fen", "kind = 'withdrawal' AND at >= ? AND at < ?", start, end),
        "opening": moved("fen", "at < ?", start),
        "closing": moved("fen", "at < ?", end),
        "bill_closing": moved("shown_fen", "shown_at < ?", end),
    }
