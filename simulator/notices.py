"""Which event makes which notification, and where it goes."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from simulator import clock
from simulator.alipay import messages as alipay_messages
from simulator.faults import Fault
from simulator.money import yuan
from simulator.store import Notice, NoticeState, Refund, RefundStatus, Trade
from simulator.wechat import messages as wechat_messages

if TYPE_CHECKING:
    from simulator.books import Split
    from simulator.machine import Machine

# The answer to the call that caused it goes first, as a rule.
FIRST_DELAY_SECONDS = 0.1
NO_TRADE = 0  # a notice that is about none
# Unpaid closing is told for these products only [alipay.md section 9].
ALIPAY_TELLS_CLOSED = ("wap", "app")
ALIPAY_TELLS_FINISHED = ("app",)


def trade_paid(machine: Machine, trade: Trade) -> None:
    if trade.channel == "wechat":
        message: dict[str, Any] = wechat_messages.payment_notice(machine, trade)
    else:
        message = alipay_messages.trade_notice(machine, trade, "TRADE_SUCCESS")
    add(machine, "payment", trade, None, trade.notify_url, message)


def trade_closed(machine: Machine, trade: Trade) -> None:
    if trade.channel == "alipay" and trade.scene in ALIPAY_TELLS_CLOSED:
        message = alipay_messages.trade_notice(machine, trade, "TRADE_CLOSED")
        add(machine, "closed", trade, None, trade.notify_url, message)


def trade_finished(machine: Machine, trade: Trade) -> None:
    if trade.scene in ALIPAY_TELLS_FINISHED:
        message = alipay_messages.trade_notice(machine, trade, "TRADE_FINISHED")
        add(machine, "finished", trade, None, trade.notify_url, message)


def refund_settled(machine: Machine, refund: Refund, split: Split) -> None:
    """WeChat tells every end of a refund; Alipay tells done ones, on the payment's address."""
    trade = machine.store.get(Trade, refund.trade_id)
    if trade.channel == "wechat":
        message: dict[str, Any] = wechat_messages.refund_notice(machine, trade, refund, split)
        add(machine, "refund", trade, refund, refund.notify_url, message)
    elif refund.status == RefundStatus.SUCCESS:
        message = alipay_refund_notice(machine, trade, refund)
        add(machine, "refund", trade, refund, trade.notify_url, message)


def echoed(machine: Machine, url: str, answer: dict[str, Any]) -> None:
    """WeChat's test of keys: a real notice that belongs to no payment."""
    if url:
        fault = machine.faults.draw_notice("wechat.notice.echo")
        message = wechat_messages.echo_notice(answer)
        enqueue(machine, "wechat", "echo", url, message, fault)


def alipay_refund_notice(machine: Machine, trade: Trade, refund: Refund) -> dict[str, Any]:
    """refund_fee is the trade's refunded total; out_biz_no names this refund."""
    done = [r for r in machine.store.refunds_of(trade) if r.status == RefundStatus.SUCCESS]
    refunded_fen = sum(r.amount_fen for r in done)
    status = alipay_messages.trade_status(trade, refunded_fen)
    message = alipay_messages.trade_notice(machine, trade, status) | {
        "refund_fee": yuan(refunded_fen),
        "gmt_refund": clock.wall(refund.settled_at or clock.now()),
        "out_biz_no": refund.out_refund_no,
    }
    if status == "TRADE_CLOSED":
        message["gmt_close"] = clock.wall(refund.settled_at or clock.now())
    return message


def new_notify_id(channel: str) -> str:
    if channel == "wechat":
        return f"EV-{secrets.token_hex(16)}"
    return f"{clock.beijing(clock.now()).strftime('%Y%m%d')}00222{secrets.token_hex(10)}"


def add(
    machine: Machine,
    kind: str,
    trade: Trade,
    refund: Refund | None,
    url: str,
    message: dict[str, Any],
) -> None:
    """Tell of a payment or refund, unless it gave no address."""
    if not url:
        return
    numbers = [trade.out_trade_no, trade.gateway_no, *([refund.out_refund_no] if refund else [])]
    fault = machine.faults.draw_notice(f"{trade.channel}.notice", numbers)
    refund_id = refund.id if refund else None
    enqueue(
        machine, trade.channel, kind, url, message, fault, trade_id=trade.id, refund_id=refund_id
    )


def enqueue(
    machine: Machine,
    channel: str,
    kind: str,
    url: str,
    message: dict[str, Any],
    fault: Fault | None,
    *,
    trade_id: int = NO_TRADE,
    refund_id: int | None = None,
) -> None:
    """Put a notification on the books, in the deed's own transaction; delivery follows."""
    state = NoticeState.HELD if machine.settings.hold_notices else NoticeState.WAITING
    if fault and fault.kind == "notice_lost":
        state = NoticeState.LOST
    late = fault.seconds if fault and fault.kind == "notice_late" else 0.0
    due = clock.now() + FIRST_DELAY_SECONDS + late
    notice = machine.store.insert(
        Notice,
        notify_id=new_notify_id(channel),
        channel=channel,
        kind=kind,
        trade_id=trade_id,
        refund_id=refund_id,
        url=url,
        content=json.dumps(message, ensure_ascii=False),
        state=state,
        next_at=due,
        created_at=clock.now(),
    )
    if state == NoticeState.WAITING:
        machine.notifier.send_later(notice.id, due)
        if fault and fault.kind == "notice_twice":
            machine.notifier.send_later(notice.id, due)
