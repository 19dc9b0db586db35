"""Differences planted between a day's bills and a merchant's books, by a seed.

A payment or refund that a merchant does not know (theirs_only, foreign), or holds unpaid (state),
is a real one here: queries and refunds know it. All others are in the bills alone. The totals of
the files agree with their rows all the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from sqlite3 import Row
from string import ascii_uppercase, digits
from typing import Any

from simulator import books, clock, statements
from simulator.machine import Machine
from simulator.money import fee_fen, yuan
from simulator.statements import STRANGE, Line
from simulator.store import WAS_PAID, Move, Refund, RefundStatus, Trade, TradeState

# In the order of planting: first what is hardest to place.
TYPES = (
    "wrong_day", "state", "ours_only", "amount", "fee", "duplicate", "fund_missing", "line",
    "theirs_only", "foreign", "fund_gap",
)  # fmt: skip
MIDNIGHT_SECONDS = 3_600
OTHER_APPID = "wxother0000000001"
SCENES = {"wechat": "native", "alipay": "qr"}


class Planter:
    """Plants on one day of one channel; ``planted`` tells what."""

    def __init__(
        self, machine: Machine, channel: str, day: date, seed: int, prefix: str = ""
    ) -> None:
        self.machine, self.store, self.channel, self.day = machine, machine.store, channel, day
        self.random = random.Random(f"{seed}/{channel}/{day}")
        self.start, self.end = clock.day_bounds(day)
        self.planted: list[dict[str, Any]] = []
        self.gaps: list[tuple[float, int]] = []
        lines = statements.lines(self.store, channel, self.start, self.end)
        spoiled = {line.trade.id for line in lines if line.planted or line.trade.planted}
        self.prefix = prefix
        self.lines = [line for line in lines if line.trade.id not in spoiled and self._knows(line)]
        self.random.shuffle(self.lines)

    def plant(self, counts: dict[str, int]) -> list[dict[str, Any]]:
        """Raises Refused when the day has too little to plant on; then nothing is planted."""
        for kind in TYPES:
            for _ in range(counts.get(kind, 0)):
                getattr(self, f"_{kind}")()
        self._tell_gaps()
        return self.planted

    # Choosing ------------------------------------------------------------------------------------

    def _knows(self, line: Line) -> bool:
        """True for what the merchant's program asked for and has ended well: by our numbers'
        ``prefix``, where other programs have payments here too."""
        is_ours = line.trade.out_trade_no.startswith(self.prefix) and not line.trade.appid
        refund = line.refund
        return is_ours and (
            refund is None or (refund.status == RefundStatus.SUCCESS and not refund.outside)
        )

    def _take(self, what: str, fits: Callable[[Line], object]) -> Line:
        """A line of a trade that nothing was planted on."""
        chosen = next((line for line in self.lines if fits(line)), None)
        if chosen is None:
            raise books.Refused(f"{self.day} has too little to plant one more {what} on")
        self.lines = [line for line in self.lines if line.trade.id != chosen.trade.id]
        return chosen

    def _moment(self, after: float = 0.0) -> float:
        """Some second of the day, not near midnight where the day is long enough."""
        last = int(min(self.end - MIDNIGHT_SECONDS, clock.now()))
        first = int(max(after, min(self.start + MIDNIGHT_SECONDS, last)))
        return float(self.random.randint(min(first, last), last))

    def _digits(self, count: int) -> str:
        return "".join(self.random.choices(digits, k=count))

    # Writing -------------------------------------------------------------------------------------

    def _mark(self, line: Line, kind: str, by: int = 0) -> None:
        changes: dict[str, Any] = {"planted": kind, "planted_by": by}
        if line.refund:
            self.store.update(line.refund, **changes)
        else:
            self.store.update(line.trade, **changes)

    def _show(self, line: Line, kind: str, fen: int) -> None:
        """What the fund bill says of a move; one that there was not is added."""
        refund_id = line.refund.id if line.refund else None
        where = "trade_id = ? AND refund_id IS ? AND kind = ?"
        if found := self.store.first(Move, where, line.trade.id, refund_id, kind):
            self.store.update(found, shown_fen=fen)
        else:
            self.store.insert(
                Move, channel=self.channel, kind=kind, trade_id=line.trade.id, at=line.at,
                refund_id=refund_id, shown_at=line.at, shown_fen=fen,
            )  # fmt: skip

    def _tell(
        self, kind: str, number: str, refund_no: str, gateway_no: str, ours: int | None,
        theirs: int | None,
    ) -> None:  # fmt: skip
        self.planted.append(
            {
                "type": kind, "out_trade_no": number, "refund_no": refund_no,
                "gateway_no": gateway_no, "day": self.day.isoformat(),
                "ours": None if ours is None else yuan(ours),
                "theirs": None if theirs is None else yuan(theirs),
            }
        )  # fmt: skip

    def _tell_of(
        self, kind: str, of: Line | Trade, ours: int | None, theirs: int | None,
        refund: Refund | None = None,
    ) -> None:  # fmt: skip
        trade, refund = (of.trade, refund or of.refund) if isinstance(of, Line) else (of, refund)
        number = refund.out_refund_no if refund else ""
        self._tell(kind, trade.out_trade_no, number, trade.gateway_no, ours, theirs)

    # In the bills alone --------------------------------------------------------------------------

    def _ours_only(self) -> None:
        """Near midnight the other day's bill might have it: not there."""
        first, last = self.start + MIDNIGHT_SECONDS, self.end - MIDNIGHT_SECONDS
        line = self._take("ours_only", lambda line: first < line.at < last)
        self._mark(line, "ours_only")
        for kind in ("refund", "fee_back") if line.refund else ("payment", "fee"):
            self._show(line, kind, 0)
        self._tell_of("ours_only", line, line.ordered_fen, None)

    def _wrong_day(self) -> None:
        """From the last hour of the day into the first minute of the next."""
        if self.end > clock.now():
            raise books.Refused("wrong_day needs a day after this one")
        line = self._take("wrong_day", lambda line: line.at >= self.end - MIDNIGHT_SECONDS)
        shift = int(self.end - line.at) + self.random.randint(1, 58)
        self._mark(line, "wrong_day", shift)
        self.store.rows(
            "UPDATE move SET shown_at = at + ? WHERE trade_id = ? AND refund_id IS ? AND kind IN"
            " ('payment', 'fee', 'refund', 'fee_back')",
            (shift, line.trade.id, line.refund.id if line.refund else None),
        )
        self._tell_of("wrong_day", line, line.ordered_fen, line.ordered_fen)

    def _amount(self) -> None:
        line, more = self._take("amount", lambda _: True), self.random.randint(1, 99)
        self._mark(line, "amount", more)
        settled_fen = line.settled_fen + more
        money, fee, sign = ("refund", "fee_back", -1) if line.refund else ("payment", "fee", 1)
        self._show(line, money, sign * settled_fen)
        self._show(line, fee, -sign * fee_fen(settled_fen))
        self._tell_of("amount", line, line.ordered_fen, line.ordered_fen + more)

    def _fee(self) -> None:
        """Either the line's fee is not what the rate makes of it, or the fund bill's is not the
        line's. Alipay's bill names no rate: there the fund bill has the right one.

        Told are what is due and what was taken: by the rate, where there is one.
        """
        line = self._take("fee", lambda line: line.refund is None)
        more, is_of_line = self.random.randint(3, 50), self.random.random() < 0.5
        self._mark(line, "fee" if is_of_line else "fund_fee", more)
        if not is_of_line or self.channel == "wechat":
            self._show(line, "fee", -line.fee_fen - more)
        sides = line.fee_fen, line.fee_fen + more
        is_by_rate = is_of_line or self.channel == "wechat"
        self._tell_of("fee", line, *(sides if is_by_rate else reversed(sides)))

    def _duplicate(self) -> None:
        """The line is there twice; the money moved once."""
        line = self._take("duplicate", lambda _: True)
        self._mark(line, "duplicate")
        self._tell_of("duplicate", line, None, line.ordered_fen)

    def _fund_missing(self) -> None:
        line = self._take("fund_missing", lambda line: line.refund is None)
        self._mark(line, "fund_missing")
        self._show(line, "payment", 0)
        self._tell_of("fund_missing", line, line.settled_fen, None)

    def _line(self) -> None:
        """The line breaks off behind its number: that of a refund would be lost."""
        line = self._take("line", lambda line: line.refund is None)
        self._mark(line, "line")
        self._tell_of("line", line, line.ordered_fen, None)

    def _fund_gap(self) -> None:
        """The balance jumps between two lines that are shown."""
        where = "channel = ? AND shown_at >= ? AND shown_at < ? AND shown_fen <> 0"
        moves = self.store.find(Move, where, self.channel, self.start, self.end)
        taken = {move.shown_at for move in moves if move.kind == "gap"}
        moments = sorted({move.shown_at for move in moves} - taken)[:-1]
        if not moments:
            raise books.Refused(f"{self.day} has too little to plant one more fund_gap on")
        at, jump = self.random.choice(moments), self.random.randint(1, 9_999)
        self.store.insert(
            Move, channel=self.channel, kind="gap", at=at, shown_at=at, shown_fen=jump
        )
        self.gaps.append((at, jump))

    def _tell_gaps(self) -> None:
        """Of a gap's next line: the balance that goes on from the line before, and its own."""
        shown = statements.moves(self.store, self.channel, self.start, self.end)
        for at, jump in self.gaps:
            move, balance = next((move, told) for move, told in shown if move["at"] > at)
            self._tell("fund_gap", *numbers_told(self.channel, move), balance - jump, balance)

    # Real payments and refunds -------------------------------------------------------------------

    def _paid(self, kind: str, number: str, appid: str = "") -> None:
        at, fen = self._moment(), self.random.randint(100, 50_000)
        with self.machine.book_clock.told(at):
            trade = self.store.insert(
                Trade, channel=self.channel, out_trade_no=number.format(clock.beijing(at)),
                scene=SCENES[self.channel], amount_fen=fen, subject="商户系统之外的收款",
                state=TradeState.PAID, created_at=at, opened_at=at, paid_at=at, appid=appid,
                buyer=self._digits(16), planted=kind,
            )  # fmt: skip
        gateway_no = books.new_gateway_no(trade, at, self._digits)
        trade = self.store.update(trade, gateway_no=gateway_no)
        books.move_payment(self.store, trade)
        self._tell_of(kind, trade, None, fen)

    def _theirs_only(self) -> None:
        """Two of three are payments of a number like the product's, the others refunds in the
        console of payments that it knows."""
        if self.random.random() < 2 / 3 or not any(map(self._is_refundable, self.lines)):
            suffix = "".join(self.random.choices(ascii_uppercase + digits, k=10))
            return self._paid("theirs_only", f"ORD{{:%Y%m%d%H%M%S}}{suffix}")
        line = self._take("theirs_only", self._is_refundable)
        trade, at = line.trade, self._moment(line.at)
        fen = self.random.randint(1, self.store.refundable_fen(trade))
        refund = self.store.insert(
            Refund, trade_id=trade.id, channel=self.channel, amount_fen=fen, outside=1,
            out_refund_no=f"CONSOLE{self._digits(14)}", reason="商户后台退款",
            refund_id=books.new_refund_id(self.channel, at, self._digits),
            status=RefundStatus.SUCCESS, account="支付用户零钱", created_at=at, settled_at=at,
            planted="theirs_only", **books.shares(self.store, trade, fen),
        )  # fmt: skip
        books.move_refund(self.store, refund, at)
        self._tell_of("theirs_only", trade, None, fen, refund)

    def _is_refundable(self, line: Line) -> bool:
        is_early = line.refund is None and line.at < min(self.end - MIDNIGHT_SECONDS, clock.now())
        return is_early and self.store.refundable_fen(line.trade) > 0

    def _foreign(self) -> None:
        """Another system's number; at WeChat now and then another app of the same merchant."""
        is_app = self.channel == "wechat" and self.random.random() < 0.5
        appid = OTHER_APPID if is_app else ""
        self._paid("foreign", f"SHOP{{:%Y%m%d}}{self._digits(8)}", appid)

    def _state(self) -> None:
        """A payment that waits for its buyer, or was closed, is paid and nobody is told."""
        where = "channel = ? AND state NOT IN (?, ?) AND created_at >= ? AND created_at < ?"
        found = self.store.find(
            Trade, f"{where} ORDER BY id", self.channel, *WAS_PAID, self.start, self.end
        )
        waiting = [trade for trade in found if trade.out_trade_no.startswith(self.prefix)]
        if not waiting:
            raise books.Refused(f"{self.day} has no unpaid payment to plant one more state on")
        trade = self.random.choice(waiting)
        at = min(trade.created_at + 60, self.end - 1, clock.now())
        number, buyer = books.new_gateway_no(trade, at, self._digits), self._digits(16)
        trade = self.store.update(
            trade, state=TradeState.PAID, gateway_no=trade.gateway_no or number, paid_at=at,
            opened_at=trade.opened_at or at, buyer=trade.buyer or buyer, planted="state",
        )  # fmt: skip
        books.move_payment(self.store, trade)
        self._tell_of("state", trade, trade.amount_fen, trade.amount_fen)


def numbers_told(channel: str, move: Row) -> tuple[str, str, str]:
    """Our number of the payment, of the refund, and the gateway's, as a line of the fund bill has
    them: WeChat's names one of ours, Alipay's never the refund."""
    if channel == "alipay":
        return move["out_trade_no"] or "", "", move["gateway_no"] or move["number"]
    voucher = move["out_refund_no"] or move["out_trade_no"] or move["number"]
    gateway_no = move["refund_id"] or move["gateway_no"] or move["number"]
    is_of_refund = move["kind"] in ("refund", "closed", "fee_back")
    return ("", voucher, gateway_no) if is_of_refund else (voucher, "", gateway_no)


def unplant(machine: Machine, channel: str, day: date) -> int:
    """Take back everything that was planted on a day; how many payments and refunds it was."""
    store, (start, end) = machine.store, clock.day_bounds(day)
    when = "created_at" if channel == "wechat" else "settled_at"
    of_day = "channel = ? AND {0} >= ? AND {0} < ? AND planted <> ''".format
    trades = store.find(Trade, of_day("paid_at"), channel, start, end)
    refunds = store.find(Refund, of_day(when), channel, start, end)
    for trade in trades:
        if trade.planted in (*STRANGE, "state"):
            store.rows("DELETE FROM move WHERE trade_id = ?", (trade.id,))
            store.rows("DELETE FROM refund WHERE trade_id = ?", (trade.id,))
        if trade.planted in STRANGE:
            store.rows("DELETE FROM trade WHERE id = ?", (trade.id,))
        elif trade.planted == "state":
            state = TradeState.CLOSED if trade.closed_at else TradeState.OPEN
            store.update(trade, planted="", planted_by=0, state=state, paid_at=None)
        else:
            store.update(trade, planted="", planted_by=0)
    for refund in refunds:
        if refund.planted == "theirs_only":
            store.rows("DELETE FROM move WHERE refund_id = ?", (refund.id,))
            store.rows("DELETE FROM refund WHERE id = ?", (refund.id,))
        else:
            store.update(refund, planted="", planted_by=0)
    values = channel, start, end
    moved = "channel = ? AND at >= ? AND at < ?"
    store.rows(f"DELETE FROM move WHERE fen = 0 AND {moved}", values)
    store.rows(f"UPDATE move SET shown_fen = fen, shown_at = at WHERE {moved}", values)
    return len(trades) + len(refunds)
