"""What may happen to a payment or a refund, whoever wants it: a buyer, the merchant, or a tester.

The protocols (wechat/, alipay/) decide what they answer; what happens is here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from simulator import clock, notices
from simulator.machine import Machine
from simulator.money import fee_fen, yuan
from simulator.store import (
    CHANNELS,
    UNPAID,
    WAS_PAID,
    Move,
    Refund,
    RefundStatus,
    Store,
    Trade,
    TradeState,
)

SETTLED = (RefundStatus.SUCCESS, RefundStatus.ABNORMAL, RefundStatus.CLOSED)
UNSETTLED = (RefundStatus.PROCESSING, RefundStatus.ABNORMAL)


class Refused(Exception):
    """The gateway can't do this now; ``status`` is for the control API."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def digits(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}d}"


def new_gateway_no(trade: Trade, at: float, draw: Callable[[int], str] = digits) -> str:
    """28 digits like the real ones; the row's id keeps them unique."""
    day = f"{clock.beijing(at):%Y%m%d}"
    if trade.channel == "wechat":
        return f"42000{draw(5)}{day}{trade.id:010d}"
    return f"{day}22001{draw(5)}{trade.id:010d}"


def new_refund_id(channel: str, at: float, draw: Callable[[int], str] = digits) -> str:
    prefix = "503" if channel == "wechat" else "208"
    return f"{prefix}{clock.beijing(at):%Y%m%d}{draw(17)}"


def new_buyer(channel: str) -> str:
    return "o" + secrets.token_urlsafe(21)[:27] if channel == "wechat" else "2088" + digits(12)


def is_past(trade: Trade) -> bool:
    return trade.deadline is not None and trade.deadline <= clock.now()


def find_trade(machine: Machine, channel: str, out_trade_no: str) -> Trade | None:
    """The trade as it is now: an Alipay trade whose time is over closes by itself."""
    trade = machine.store.trade(channel, out_trade_no)
    return expire_if_due(machine, trade) if trade else None


def expire_if_due(machine: Machine, trade: Trade) -> Trade:
    """Alipay closes unpaid trades at their time; WeChat's time_expire closes nothing."""
    if trade.channel == "alipay" and trade.state == TradeState.OPEN and is_past(trade):
        return close(machine, trade, by="timeout")
    return trade


def open_cashier(machine: Machine, trade: Trade) -> Trade:
    """A buyer opens Alipay's cashier: from now on the trade exists [alipay.md section 6].

    Raises:
        Refused: the payment request is too old.
    """
    with machine.store.atomic():
        trade = expire_if_due(machine, machine.store.get(Trade, trade.id))
        if trade.state != TradeState.UNOPENED:
            return trade
        if is_past(trade):
            raise Refused("交易已超过支付时间")
        machine.store.log(trade, "买家打开收银台，交易创建")
        at = machine.book_clock.now()
        return machine.store.update(
            trade, state=TradeState.OPEN, gateway_no=new_gateway_no(trade, at), opened_at=at,
            buyer=trade.buyer or new_buyer("alipay"),
        )  # fmt: skip


def pay(
    machine: Machine,
    trade: Trade,
    *,
    is_late: bool = False,
    coupon_fen: int = 0,
    coupon_by: str = "gateway",
    wrong_by_fen: int = 0,
) -> Trade:
    """The buyer pays; the notification follows.

    ``is_late``: also past its last moment, or after it was closed: the payment had been under way
    when the close was answered. ``wrong_by_fen``: so much more than was asked for.

    Raises:
        Refused: paid, or closed or past its last moment and not ``is_late``; a coupon that leaves
            nothing to pay.
    """
    with machine.store.atomic():
        trade = machine.store.get(Trade, trade.id)
        if not is_late:
            trade = expire_if_due(machine, trade)
        if trade.state in WAS_PAID:
            raise Refused("订单已支付")
        if trade.state == TradeState.CLOSED and not is_late:
            raise Refused("订单已关闭，网关不会再收款（可用 pay_late）")
        if not 0 <= coupon_fen < trade.amount_fen:
            raise Refused("优惠券应少于订单金额", 400)
        if not is_late and is_past(trade):
            raise Refused("已超过 time_expire，买家不能再支付（可用 pay_late）")
        moment = machine.book_clock.take()
        number = trade.gateway_no or new_gateway_no(trade, moment)
        trade = machine.store.update(
            trade, state=TradeState.PAID, gateway_no=number,
            opened_at=min(trade.opened_at or moment, moment), paid_at=moment, closed_at=None,
            closed_by="",
            buyer=trade.buyer or new_buyer(trade.channel),
            amount_fen=trade.amount_fen + wrong_by_fen, coupon_fen=coupon_fen,
            coupon_by=coupon_by if coupon_fen else "",
        )  # fmt: skip
        coupon = f"（用券 {yuan(coupon_fen)}）" if coupon_fen else ""
        what = f"{'迟到' if is_late else ''}付款 {yuan(trade.amount_fen)}{coupon}"
        machine.store.log(trade, what)
        move_payment(machine.store, trade)
        notices.trade_paid(machine, trade)
        return trade


def move(
    store: Store, trade: Trade, kind: str, fen: int, at: float, refund: Refund | None = None
) -> None:
    """What a trade or refund changes of the merchant's account."""
    if fen:
        store.insert(
            Move, channel=trade.channel, kind=kind, trade_id=trade.id, at=at, fen=fen, shown_at=at,
            shown_fen=fen, refund_id=refund.id if refund else None,
        )  # fmt: skip


def move_payment(store: Store, trade: Trade) -> None:
    at = trade.paid_at or 0.0
    move(store, trade, "payment", trade.settled_fen, at)
    move(store, trade, "fee", -fee_fen(trade.settled_fen), at)


def move_refund(store: Store, refund: Refund, at: float) -> None:
    trade = store.trade_of(refund)
    move(store, trade, "refund", -refund.settled_fen, at, refund)
    move(store, trade, "fee_back", refund.fee_fen, at, refund)


def withdraw(machine: Machine, channel: str, amount_fen: int) -> Move:
    """The merchant takes money out of the account."""
    at = machine.book_clock.take()
    return machine.store.insert(
        Move, channel=channel, kind="withdrawal", number=f"W{clock.beijing(at):%Y%m%d}{digits(8)}",
        at=at, fen=-amount_fen, shown_at=at, shown_fen=-amount_fen,
    )  # fmt: skip


def fail(machine: Machine, trade: Trade, *, reason: str, is_payerror: bool = False) -> Trade:
    """The buyer's try fails. The trade stays payable, as at the real gateways.

    ``is_payerror`` makes a WeChat query answer PAYERROR, which only payment codes do in reality.

    Raises:
        Refused: the trade can't be paid any more.
    """
    with machine.store.atomic():
        trade = find_trade(machine, trade.channel, trade.out_trade_no) or trade
        if trade.state not in UNPAID:
            raise Refused("订单已支付或已关闭")
        machine.store.log(trade, f"付款失败：{reason}")
        return machine.store.update(trade, failure="PAYERROR" if is_payerror else reason[:100])


def close(machine: Machine, trade: Trade, *, by: str) -> Trade:
    """End an unpaid trade; ``by`` is merchant, timeout or gateway.

    Raises:
        Refused: it was paid.
    """
    with machine.store.atomic():
        trade = machine.store.get(Trade, trade.id)
        if trade.state in WAS_PAID:
            raise Refused("订单已支付，不能关闭")
        if trade.state == TradeState.CLOSED:
            return trade
        closed = machine.store.update(
            trade, state=TradeState.CLOSED, closed_at=machine.book_clock.now(), closed_by=by
        )
        machine.store.log(trade, f"关闭（{by}）")
        if trade.state == TradeState.OPEN:
            notices.trade_closed(machine, closed)
        return closed


def finish(machine: Machine, trade: Trade) -> Trade:
    """Alipay: the refund window is over, TRADE_SUCCESS becomes TRADE_FINISHED.

    Raises:
        Refused: not a paid Alipay trade.
    """
    with machine.store.atomic():
        trade = machine.store.get(Trade, trade.id)
        if trade.channel != "alipay" or trade.state != TradeState.PAID:
            raise Refused("只有已支付的支付宝交易可以结束")
        trade = machine.store.update(trade, state=TradeState.FINISHED)
        machine.store.log(trade, "交易结束 TRADE_FINISHED")
        notices.trade_finished(machine, trade)
        return trade


def refund_begin(
    machine: Machine,
    trade: Trade,
    *,
    out_refund_no: str,
    amount_fen: int,
    reason: str = "",
    notify_url: str = "",
    request: str = "",
    is_outside: bool = False,
) -> Refund:
    """Accept a refund that the protocol has checked; it settles later by itself.

    WeChat takes it from the account at once, Alipay when it is done.
    """
    where = "商户后台退款" if is_outside else "申请退款"
    with machine.store.atomic():
        machine.store.log(trade, f"{where} {out_refund_no} {yuan(amount_fen)}")
        at = machine.book_clock.take()
        refund = machine.store.insert(
            Refund, trade_id=trade.id, channel=trade.channel, out_refund_no=out_refund_no,
            refund_id=new_refund_id(trade.channel, at), amount_fen=amount_fen, reason=reason,
            status=RefundStatus.PROCESSING, notify_url=notify_url, request=request,
            outside=int(is_outside), account="支付用户零钱", created_at=at,
            settle_at=clock.now() + machine.settings.refund_delay_seconds,
            settle_as=machine.settings.refund_outcome, **shares(machine.store, trade, amount_fen),
        )  # fmt: skip
        if trade.channel == "wechat":
            move_refund(machine.store, refund, at)
        return refund


def shares(store: Store, trade: Trade, amount_fen: int) -> dict[str, int]:
    """What of a refund falls to the payer and to the account when a coupon took part, and what
    comes back of the fee: in proportion, so that the parts of all refunds add up to the whole."""
    before = [r for r in store.refunds_of(trade) if r.status != RefundStatus.CLOSED]
    asked_fen = amount_fen + sum(r.amount_fen for r in before)
    payer_fen = asked_fen * trade.payer_fen // trade.amount_fen
    settled_fen = asked_fen * trade.settled_fen // trade.amount_fen
    return {
        "payer_fen": payer_fen - sum(r.payer_fen for r in before),
        "settled_fen": settled_fen - sum(r.settled_fen for r in before),
        "fee_fen": fee_fen(settled_fen) - sum(r.fee_fen for r in before),
    }


def refund_settle(machine: Machine, refund: Refund, status: str) -> Refund:
    """The money has arrived, came back, or the refund was given up; the notice follows.

    Raises:
        Refused: the refund has already ended.
    """
    if status not in SETTLED:
        raise Refused(f"status must be one of {', '.join(SETTLED)}", 400)
    with machine.store.atomic():
        refund = machine.store.get(Refund, refund.id)
        if refund.status not in UNSETTLED:
            raise Refused(f"退款已是 {refund.status}")
        if refund.status == status:
            return refund
        at = machine.book_clock.take()
        refund = machine.store.update(refund, status=status, settled_at=at, settle_at=None)
        machine.store.log(refund, f"退款 {status}")
        trade = machine.store.trade_of(refund)
        if trade.channel == "alipay" and status == RefundStatus.SUCCESS:
            move_refund(machine.store, refund, at)
        elif trade.channel == "wechat" and status == RefundStatus.CLOSED:
            move(machine.store, trade, "closed", refund.settled_fen, at, refund)
            move(machine.store, trade, "fee", -refund.fee_fen, at, refund)
        notices.refund_settled(machine, refund)
        return refund


def refund_outside(machine: Machine, trade: Trade, amount_fen: int, reason: str) -> Refund:
    """A refund made in the merchant console: the merchant's programs never asked for it.

    Raises:
        Refused: not paid, or more than is left.
    """
    with machine.store.atomic():
        trade = machine.store.get(Trade, trade.id)
        if trade.state != TradeState.PAID:
            raise Refused("订单未支付，不能退款")
        if not 1 <= amount_fen <= machine.store.refundable_fen(trade):
            raise Refused("退款金额超过可退金额")
        refund = refund_begin(
            machine,
            trade,
            out_refund_no=f"CONSOLE{digits(14)}",
            amount_fen=amount_fen,
            reason=reason,
            notify_url=machine.settings.console_refund_notify_url,
            is_outside=True,
        )
        if trade.channel == "alipay" and not machine.settings.alipay_refund_async:
            refund = refund_settle(machine, refund, RefundStatus.SUCCESS)
        return refund


def other_attempt(machine: Machine, trade: Trade) -> Trade | None:
    """A trade that looks like another attempt at the same order: one that waits for its buyer
    first, then one that was closed, which only a late payment can still reach.

    Merchants number attempts alike; the stand-in knows no more than the numbers, so it takes the
    longest common beginning, and no less than all but the last three characters of the shorter.
    """
    unpaid = machine.store.find(
        Trade,
        "state IN (?, ?, ?) AND id <> ? ORDER BY state = ?, id DESC LIMIT 500",
        *UNPAID, TradeState.CLOSED, trade.id, TradeState.CLOSED,
    )  # fmt: skip

    def likeness(other: Trade) -> int:
        pairs = zip(trade.out_trade_no, other.out_trade_no, strict=False)
        common = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
        shorter = min(len(trade.out_trade_no), len(other.out_trade_no))
        return common if common >= max(6, shorter - 3) else 0

    best = max(unpaid, key=likeness, default=None)
    return best if best and likeness(best) else None


def trade_shown(machine: Machine, trade: Trade) -> dict[str, Any]:
    """A payment as the control API lists it."""
    names = (
        "channel", "out_trade_no", "gateway_no", "scene", "subject", "amount_fen", "coupon_fen",
        "coupon_by", "state", "closed_by", "notify_url", "credential", "created_at", "deadline",
        "paid_at", "closed_at",
    )  # fmt: skip
    return {name: getattr(trade, name) for name in names} | {
        "refunded_fen": machine.store.refunded_fen(trade),
        "refunding_fen": machine.store.refunded_fen(trade, UNSETTLED),
    }


def refund_shown(machine: Machine, refund: Refund) -> dict[str, Any]:
    names = (
        "channel", "out_refund_no", "refund_id", "amount_fen", "status", "reason", "created_at",
        "settled_at",
    )  # fmt: skip
    number = machine.store.trade_of(refund).out_trade_no
    shown = {name: getattr(refund, name) for name in names}
    return shown | {"out_trade_no": number, "outside": bool(refund.outside)}


def everything(machine: Machine) -> dict[str, Any]:
    """All payments and refunds with their totals in fen, to be compared with a merchant's books."""
    trades = machine.store.find(Trade, "1 ORDER BY id")
    refunds = machine.store.find(Refund, "1 ORDER BY id")
    totals = {}
    for channel in CHANNELS:
        paid = [t for t in trades if t.channel == channel and t.state in WAS_PAID]
        back = [r for r in refunds if r.channel == channel and r.status == RefundStatus.SUCCESS]
        totals[channel] = {
            "paid_count": len(paid),
            "paid_fen": sum(t.amount_fen for t in paid),
            "refunded_count": len(back),
            "refunded_fen": sum(r.amount_fen for r in back),
        }
    return {
        "totals": totals,
        "payments": [trade_shown(machine, trade) for trade in trades],
        "refunds": [refund_shown(machine, refund) for refund in refunds],
    }
