"""The stand-in's own books: one SQLite file in DIR, money as integer fen, times as POSIX seconds.

Whatever changes them runs under one lock and in one transaction, so each change is all or nothing
and two requests never see each other half done.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from simulator import clock

EVENTS_MAX = 5_000
LIST_MAX = 500


class TradeState:
    UNOPENED = "UNOPENED"  # Alipay: asked for, but no buyer has opened the cashier yet
    OPEN = "OPEN"
    PAID = "PAID"
    FINISHED = "FINISHED"  # Alipay: paid, the refund window is over
    CLOSED = "CLOSED"  # never paid; a fully refunded trade stays PAID here


class RefundStatus:
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    ABNORMAL = "ABNORMAL"
    CLOSED = "CLOSED"


class NoticeState:
    WAITING = "waiting"
    HELD = "held"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    REFUSED = "refused"  # an address that is not ours to call
    LOST = "lost"  # never sent, on demand


CHANNELS = ("wechat", "alipay")
UNPAID = (TradeState.UNOPENED, TradeState.OPEN)
WAS_PAID = (TradeState.PAID, TradeState.FINISHED)
# What can't be refunded again: everything but CLOSED refunds.
OCCUPYING = (RefundStatus.PROCESSING, RefundStatus.SUCCESS, RefundStatus.ABNORMAL)


@dataclass(frozen=True)
class Trade:
    id: int
    channel: str
    out_trade_no: str
    gateway_no: str
    scene: str
    amount_fen: int
    subject: str
    attach: str
    notify_url: str
    return_url: str
    buyer: str
    state: str
    closed_by: str
    failure: str
    request: str
    credential: str
    credential_at: float
    created_at: float
    opened_at: float | None
    deadline: float | None
    paid_at: float | None
    closed_at: float | None
    coupon_fen: int
    coupon_by: str  # whose coupon: "gateway", which makes up for it, or "merchant", who gets less
    appid: str  # "" for the merchant's own
    planted: str  # which difference the bills shall have (planting.py), and by how much
    planted_by: int

    @property
    def payer_fen(self) -> int:
        """What the payer's own money came to."""
        return self.amount_fen - self.coupon_fen

    @property
    def settled_fen(self) -> int:
        """What the merchant gets, before fees."""
        return self.payer_fen if self.coupon_by == "merchant" else self.amount_fen


@dataclass(frozen=True)
class Refund:
    id: int
    trade_id: int
    channel: str
    out_refund_no: str
    refund_id: str
    amount_fen: int
    status: str
    reason: str
    notify_url: str
    request: str
    outside: int
    created_at: float
    settle_at: float | None
    settle_as: str
    settled_at: float | None
    account: str
    payer_fen: int  # what of it the payer gets, and what leaves the merchant's account
    settled_fen: int
    fee_fen: int  # given back of the payment's
    planted: str
    planted_by: int


@dataclass(frozen=True)
class Notice:
    id: int
    notify_id: str
    channel: str
    kind: str
    trade_id: int
    refund_id: int | None
    url: str
    content: str
    state: str
    attempts: int
    next_at: float | None  # None while it is under way
    last_answer: str
    created_at: float
    extra_copies: int  # sent together with the first try

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.content)


@dataclass(frozen=True)
class Event:
    id: int
    at: float
    channel: str
    number: str
    what: str


@dataclass(frozen=True)
class Move:
    """One change of the merchant's account, and how the fund bill shows it."""

    id: int
    channel: str
    kind: str
    trade_id: int | None
    refund_id: int | None
    number: str  # of what belongs to no trade
    at: float
    fen: int  # negative: it left the account
    shown_at: float
    shown_fen: int  # 0: left out


T = TypeVar("T", Trade, Refund, Notice, Event, Move)

TABLES: dict[type, str] = {
    Trade: "trade", Refund: "refund", Notice: "notice", Event: "history", Move: "move",
}  # fmt: skip
NAMES = {kind: ", ".join(field.name for field in fields(kind)) for kind in TABLES}
CONSTRAINTS = {
    "trade": ", UNIQUE (channel, out_trade_no), CHECK (amount_fen > 0)",
    "refund": ", UNIQUE (trade_id, out_refund_no), UNIQUE (refund_id), CHECK (amount_fen > 0)",
    "notice": ", UNIQUE (notify_id)",
}
INDEXES = (
    "trade_gateway_no ON trade (gateway_no)", "trade_credential ON trade (credential)",
    "trade_paid_at ON trade (channel, paid_at)", "refund_no ON refund (channel, out_refund_no)",
    "refund_created ON refund (channel, created_at)",
    "refund_settled ON refund (channel, settled_at)", "move_at ON move (channel, at, fen)",
    "move_shown ON move (channel, shown_at, shown_fen)", "move_trade ON move (trade_id)",
    "refund_waiting ON refund (status, settle_at)", "notice_state ON notice (state, next_at)",
    "notice_trade ON notice (trade_id)",
)  # fmt: skip
COLUMN_TYPES = {
    "int": "INTEGER NOT NULL DEFAULT 0", "int | None": "INTEGER",
    "float": "REAL NOT NULL DEFAULT 0", "float | None": "REAL", "str": "TEXT NOT NULL DEFAULT ''",
}  # fmt: skip


def columns_of(kind: type) -> dict[str, str]:
    """The columns of a table, as its dataclass has them."""
    columns = {field.name: COLUMN_TYPES[str(field.type)] for field in fields(kind)}
    return columns | {"id": "INTEGER PRIMARY KEY"}


class Store:
    def __init__(self, path: Path) -> None:
        self.changed = threading.Event()  # set after each change
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        for kind, table in TABLES.items():
            columns = columns_of(kind)
            inner = ", ".join(f"{name} {rule}" for name, rule in columns.items())
            constraints = CONSTRAINTS.get(table, "")
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({inner}{constraints})")
            known = {row["name"] for row in self._db.execute(f"PRAGMA table_info({table})")}
            for name in columns.keys() - known:  # of books that an earlier version began
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")
            if "id" in known and "settled_fen" in columns.keys() - known:
                self._db.execute(
                    "UPDATE refund SET payer_fen = amount_fen, settled_fen = amount_fen"
                )
        for index in INDEXES:
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {index}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """One transaction under the one lock; those within it join it."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._end("ROLLBACK")
                raise
            self._end("COMMIT")

    def _end(self, statement: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._db.execute(statement)
            self.changed.set()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def find(self, kind: type[T], where: str, *values: Any) -> list[T]:
        """All rows of a kind; ``where`` is SQL of this package, values go by placeholder."""
        found = self.rows(f"SELECT {NAMES[kind]} FROM {TABLES[kind]} WHERE {where}", values)
        return [kind(*row) for row in found]

    def first(self, kind: type[T], where: str, *values: Any) -> T | None:
        found = self.find(kind, f"{where} LIMIT 1", *values)
        return found[0] if found else None

    def newest(
        self, kind: type[T], where: str = "1", *values: Any, limit: int = LIST_MAX
    ) -> list[T]:
        return self.find(kind, f"{where} ORDER BY id DESC LIMIT ?", *values, limit)

    def get(self, kind: type[T], row_id: int) -> T:
        found = self.first(kind, "id = ?", row_id)
        if found is None:
            raise LookupError(f"no {TABLES[kind]} {row_id}")
        return found

    def insert(self, kind: type[T], /, **columns: Any) -> T:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {TABLES[kind]} ({', '.join(columns)}) VALUES ({marks})"
        with self.atomic():
            row_id = self._db.execute(sql, tuple(columns.values())).lastrowid
            return self.get(kind, row_id or 0)

    def update(self, row: T, /, **columns: Any) -> T:
        changes = ", ".join(f"{name} = ?" for name in columns)
        sql = f"UPDATE {TABLES[type(row)]} SET {changes} WHERE id = ?"
        with self.atomic():
            self._db.execute(sql, (*columns.values(), row.id))
            return self.get(type(row), row.id)

    def log(self, row: Trade | Refund | Notice, what: str) -> None:
        """One line of history; the oldest are forgotten."""
        number = {Trade: "out_trade_no", Refund: "out_refund_no", Notice: "notify_id"}[type(row)]
        event = {"channel": row.channel, "number": getattr(row, number), "what": what[:500]}
        with self.atomic():
            last = self.insert(Event, at=clock.now(), **event).id
            if last % 100 == 0:
                self.rows("DELETE FROM history WHERE id <= ?", (last - EVENTS_MAX,))

    # Questions about trades and refunds ----------------------------------------------------------

    def trade(self, channel: str, out_trade_no: str) -> Trade | None:
        return self.first(Trade, "channel = ? AND out_trade_no = ?", channel, out_trade_no)

    def trade_by_gateway_no(self, channel: str, gateway_no: str) -> Trade | None:
        if not gateway_no:
            return None
        return self.first(Trade, "channel = ? AND gateway_no = ?", channel, gateway_no)

    def trade_of(self, refund: Refund) -> Trade:
        return self.get(Trade, refund.trade_id)

    def refund(self, channel: str, out_refund_no: str) -> Refund | None:
        return self.first(Refund, "channel = ? AND out_refund_no = ?", channel, out_refund_no)

    def refund_of(self, trade: Trade, out_refund_no: str) -> Refund | None:
        return self.first(Refund, "trade_id = ? AND out_refund_no = ?", trade.id, out_refund_no)

    def refunds_of(self, trade: Trade) -> list[Refund]:
        return self.find(Refund, "trade_id = ? ORDER BY id", trade.id)

    def refunded_fen(self, trade: Trade, statuses: Sequence[str] = (RefundStatus.SUCCESS,)) -> int:
        """The sum of a trade's refunds in these states."""
        return sum(r.amount_fen for r in self.refunds_of(trade) if r.status in statuses)

    def refundable_fen(self, trade: Trade) -> int:
        return trade.amount_fen - self.refunded_fen(trade, OCCUPYING)
