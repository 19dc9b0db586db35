"""The stand-in's own books: one SQLite file in DIR, money as integer fen.

Every deed runs under one lock and one transaction, so each is all or nothing and two requests
never see each other half done.
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

HISTORY_MAX = 5_000
LIST_MAX = 500

SCHEMA = """
CREATE TABLE IF NOT EXISTS trade (
  id INTEGER PRIMARY KEY, channel TEXT NOT NULL, out_trade_no TEXT NOT NULL,
  gateway_no TEXT NOT NULL DEFAULT '', scene TEXT NOT NULL,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), subject TEXT NOT NULL,
  attach TEXT NOT NULL DEFAULT '', notify_url TEXT NOT NULL DEFAULT '',
  return_url TEXT NOT NULL DEFAULT '', buyer TEXT NOT NULL DEFAULT '', state TEXT NOT NULL,
  closed_by TEXT NOT NULL DEFAULT '', failure TEXT NOT NULL DEFAULT '',
  request TEXT NOT NULL DEFAULT '', credential TEXT NOT NULL DEFAULT '',
  credential_at REAL NOT NULL DEFAULT 0, created_at REAL NOT NULL,
  opened_at REAL, deadline REAL, paid_at REAL, closed_at REAL,
  coupon_fen INTEGER NOT NULL DEFAULT 0, coupon_by TEXT NOT NULL DEFAULT '',
  UNIQUE (channel, out_trade_no));
CREATE INDEX IF NOT EXISTS trade_gateway_no ON trade (gateway_no);
CREATE INDEX IF NOT EXISTS trade_credential ON trade (credential);
CREATE INDEX IF NOT EXISTS trade_paid_at ON trade (channel, paid_at);
CREATE TABLE IF NOT EXISTS refund (
  id INTEGER PRIMARY KEY, trade_id INTEGER NOT NULL REFERENCES trade (id),
  channel TEXT NOT NULL, out_refund_no TEXT NOT NULL, refund_id TEXT NOT NULL UNIQUE,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), status TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '', notify_url TEXT NOT NULL DEFAULT '',
  request TEXT NOT NULL DEFAULT '', outside INTEGER NOT NULL DEFAULT 0,
  created_at REAL NOT NULL, settle_at REAL, settle_as TEXT NOT NULL DEFAULT 'SUCCESS',
  settled_at REAL, account TEXT NOT NULL DEFAULT '',
  UNIQUE (trade_id, out_refund_no));
CREATE INDEX IF NOT EXISTS refund_no ON refund (channel, out_refund_no);
CREATE INDEX IF NOT EXISTS refund_created ON refund (channel, created_at);
CREATE INDEX IF NOT EXISTS refund_waiting ON refund (status, settle_at);
CREATE TABLE IF NOT EXISTS notice (
  id INTEGER PRIMARY KEY, notify_id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL,
  kind TEXT NOT NULL, trade_id INTEGER NOT NULL, refund_id INTEGER, url TEXT NOT NULL,
  content TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  next_at REAL, last_answer TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS notice_state ON notice (state, next_at);
CREATE INDEX IF NOT EXISTS notice_trade ON notice (trade_id);
CREATE TABLE IF NOT EXISTS history (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, channel TEXT NOT NULL, number TEXT NOT NULL,
  what TEXT NOT NULL);
"""


# Of books that an earlier version began.
LATER_COLUMNS = {
    "trade": {
        "coupon_fen": "INTEGER NOT NULL DEFAULT 0",
        "coupon_by": "TEXT NOT NULL DEFAULT ''",
    }
}


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


UNPAID = (TradeState.UNOPENED, TradeState.OPEN)
WAS_PAID = (TradeState.PAID, TradeState.FINISHED)


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
    next_at: float | None
    last_answer: str
    created_at: float

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.content)


T = TypeVar("T")
R = TypeVar("R", Trade, Refund, Notice)

TABLES: dict[type, str] = {Trade: "trade", Refund: "refund", Notice: "notice"}


class Store:
    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)
        for table, columns in LATER_COLUMNS.items():
            known = {row["name"] for row in self._db.execute(f"PRAGMA table_info({table})")}
            for name in columns.keys() - known:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def deed(self) -> Iterator[None]:
        """One transaction under the one lock; deeds within a deed join it."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def find(self, kind: type[T], where: str, *values: Any) -> list[T]:
        """All rows of a kind; ``where`` is SQL of this package, values go by placeholder."""
        names = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        found = self.rows(f"SELECT {names} FROM {TABLES[kind]} WHERE {where}", values)
        return [kind(*row) for row in found]

    def first(self, kind: type[T], where: str, *values: Any) -> T | None:
        found = self.find(kind, f"{where} LIMIT 1", *values)
        return found[0] if found else None

    def get(self, kind: type[T], row_id: int) -> T:
        found = self.first(kind, "id = ?", row_id)
        if found is None:
            raise LookupError(f"no {TABLES[kind]} {row_id}")
        return found

    def insert(self, kind: type[T], /, **columns: Any) -> T:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {TABLES[kind]} ({', '.join(columns)}) VALUES ({marks})"
        with self.deed():
            row_id = self._db.execute(sql, tuple(columns.values())).lastrowid
            return self.get(kind, row_id or 0)

    def update(self, row: R, /, **columns: Any) -> R:
        changes = ", ".join(f"{name} = ?" for name in columns)
        sql = f"UPDATE {TABLES[type(row)]} SET {changes} WHERE id = ?"
        with self.deed():
            self._db.execute(sql, (*columns.values(), row.id))
            return self.get(type(row), row.id)

    def trade(self, channel: str, out_trade_no: str) -> Trade | None:
        return self.first(Trade, "channel = ? AND out_trade_no = ?", channel, out_trade_no)

    def trade_by_gateway_no(self, channel: str, gateway_no: str) -> Trade | None:
        if not gateway_no:
            return None
        return self.first(Trade, "channel = ? AND gateway_no = ?", channel, gateway_no)

    def refund(self, channel: str, out_refund_no: str) -> Refund | None:
        return self.first(Refund, "channel = ? AND out_refund_no = ?", channel, out_refund_no)

    def refunds_of(self, trade: Trade) -> list[Refund]:
        return self.find(Refund, "trade_id = ? ORDER BY id", trade.id)

    def remember(self, channel: str, number: str, what: str) -> None:
        """One line of history; the oldest are forgotten."""
        with self.deed():
            line = self._db.execute(
                "INSERT INTO history (at, channel, number, what) VALUES (?, ?, ?, ?)",
                (clock.now(), channel, number, what[:500]),
            )
            self._db.execute(
                "DELETE FROM history WHERE id <= ?", ((line.lastrowid or 0) - HISTORY_MAX,)
            )

    def history(self, limit: int = LIST_MAX) -> list[dict[str, Any]]:
        rows = self.rows("SELECT * FROM history ORDER BY id DESC LIMIT ?", (min(limit, LIST_MAX),))
        return [dict(row) for row in rows]
