"""Which event makes which notification, and where it goes. The row is the queue: notify.py."""

from __future__ import annotations

import json
import secrets
from typing import Any

from simulator import clock
from simulator.alipay import messages as alipay
from simulator.faults import NOTICE_KINDS
from simulator.machine import Machine
from simulator.store import Notice, NoticeState, Refund, RefundStatus, Trade
from simulator.wechat import messages as wechat

# The answer to the call that caused it goes first, as a rule.
FIRST_DELAY_SECONDS = 0.1
# Unpaid closing is told for these products only [alipay.md section 9].
ALIPAY_TELLS_CLOSED = ("wap", "app")
ALIPAY_TELLS_FINISHED = ("app",)


def trade_paid(machine: Machine, trade: Trade) -> None:
    if trade.channel == "wechat":
        message = wechat.payment_notice(machine.keys.wechat, trade)
    else:
        message = alipay.trade_notice(machine.keys.alipay, trade, "TRADE_SUCCESS")
    add(machine, "payment", trade, message)


def trade_closed(machine: Machine, trade: Trade) -> None:
    if trade.channel == "alipay" and trade.scene in ALIPAY_TELLS_CLOSED:
        message = alipay.trade_notice(machine.keys.alipay, trade, "TRADE_CLOSED")
        add(machine, "closed", trade, message)


def trade_finished(machine: Machine, trade: Trade) -> None:
    if trade.scene in ALIPAY_TELLS_FINISHED:
        message = alipay.trade_notice(machine.keys.alipay, trade, "TRADE_FINISHED")
        add(machine, "finished", trade, message)


def refund_settled(machine: Machine, refund: Refund) -> None:
    """WeChat tells every end of a refund; Alipay tells done ones, on the payment's address."""
    store = machine.store
    trade = store.trade_of(refund)
    if trade.channel == "wechat":
        message = wechat.refund_notice(machine.keys.wechat, trade, refund)
        add(machine, "refund", trade, message, refund)
    elif refund.status == RefundStatus.SUCCESS:
        refunded_fen = store.refunded_fen(trade)
        message = alipay.refund_notice(machine.keys.alipay, trade, refund, refunded_fen)
        add(machine, "refund", trade, message, refund)


def echoed(machine: Machine, url: str, answer: dict[str, Any]) -> None:
    """WeChat's test of keys: a real notice that belongs to no payment."""
    if url:
        enqueue(machine, "wechat", "echo", url, wechat.echo_notice(answer))


def add(
    machine: Machine, kind: str, trade: Trade, message: dict[str, Any], refund: Refund | None = None
) -> None:
    """Tell of a payment or refund, unless it gave no address."""
    is_own = refund is not None and trade.channel == "wechat"
    url = refund.notify_url if refund and is_own else trade.notify_url
    numbers = [trade.out_trade_no, trade.gateway_no, *([refund.out_refund_no] if refund else [])]
    rows = {"trade_id": trade.id, "refund_id": refund.id if refund else None}
    if url:
        enqueue(machine, trade.channel, kind, url, message, numbers, **rows)


def enqueue(
    machine: Machine,
    channel: str,
    kind: str,
    url: str,
    message: dict[str, Any],
    numbers: list[str] | None = None,
    **rows: int | None,
) -> None:
    """Put a notification on the books, in the same transaction as what it tells."""
    operation = f"{channel}.notice" + (".echo" if kind == "echo" else "")
    fault = machine.faults.draw(operation, numbers or (), NOTICE_KINDS)
    faulty = fault.kind if fault else ""
    state = NoticeState.HELD if machine.settings.hold_notices else NoticeState.WAITING
    late_seconds = fault.seconds if fault and faulty == "notice_late" else 0.0
    machine.store.insert(
        Notice, notify_id=new_notify_id(channel), channel=channel, kind=kind, url=url,
        content=json.dumps(message, ensure_ascii=False), created_at=clock.now(),
        state=NoticeState.LOST if faulty == "notice_lost" else state,
        next_at=clock.now() + FIRST_DELAY_SECONDS + late_seconds,
        extra_copies=int(faulty == "notice_twice"), **rows,
    )  # fmt: skip


def new_notify_id(channel: str) -> str:
    if channel == "wechat":
        return f"EV-{secrets.token_hex(16)}"
    return f"{clock.beijing(clock.now()):%Y%m%d}00222{secrets.token_hex(10)}"
