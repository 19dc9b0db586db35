"""What both gateways' bills rest on: the payments and refunds of a time, and the fee."""

from __future__ import annotations

from simulator.money import yuan
from simulator.store import Refund, Store, Trade

FEE_RATE_PER_MILLE = 6


def day_trades(store: Store, channel: str, start: float, end: float) -> list[Trade]:
    where = "channel = ? AND paid_at >= ? AND paid_at < ? ORDER BY paid_at, id"
    return store.find(Trade, where, channel, start, end)


def day_refunds(store: Store, channel: str, start: float, end: float) -> list[Refund]:
    where = "channel = ? AND created_at >= ? AND created_at < ? AND status <> 'CLOSED'"
    return store.find(Refund, f"{where} ORDER BY created_at, id", channel, start, end)


def fee_text(fen: int) -> str:
    """Fees are told with five decimals of a yuan: thousandths of a fen."""
    return yuan(fen * FEE_RATE_PER_MILLE, 5)


def fee_fen(fen: int) -> int:
    return (fen * FEE_RATE_PER_MILLE + 500) // 1_000
