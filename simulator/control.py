"""Steering: POST /_control/pay as the contract says, and everything else a tester may want."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from simulator import books, cashier, clock, notify
from simulator.alipay import api as alipay
from simulator.alipay import messages as alipay_messages
from simulator.alipay import trades as alipay_trades
from simulator.machine import Machine
from simulator.store import LIST_MAX, Notice, NoticeState, Refund, Trade
from simulator.web import Request, Response, json_response
from simulator.wechat import messages as wechat_messages
from simulator.wechat import routes as wechat_routes

COPIES_MAX = 50
DELAY_SECONDS_MAX = 3_600.0
HELD_MAX = 10_000


@dataclass(frozen=True)
class Command:
    """One call of the control API."""

    machine: Machine
    body: dict[str, Any]

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.body.get(name, "")
        if not isinstance(value, str) or (required and not value):
            raise books.Refused(f"{name} must be text", 400)
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.body.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise books.Refused(f"{name} must be a number", 400)
        if not least <= value <= most:
            raise books.Refused(f"{name} must be from {least:g} to {most:g}", 400)
        return value

    def trade(self) -> Trade:
        """The payment that channel and out_trade_no name; ``url`` is opened first, if given."""
        channel = self.text("channel", required=True)
        if channel not in books.CHANNELS:
            raise books.Refused("channel must be wechat or alipay", 400)
        if url := self.text("url"):
            cashier.open_address(self.machine, url)
        number = self.text("out_trade_no", required=True)
        trade = books.find_trade(self.machine, channel, number)
        if trade is None:
            hint = (
                "：电脑/手机网站支付在买家打开支付链接之前没有任何请求到达网关，"
                "请先打开链接，或在请求体的 url 中给出支付链接或订单串"
            )
            raise books.Refused(
                f"没有见过商户订单号 {number}{hint if channel == 'alipay' else ''}", 404
            )
        return trade

    def refund(self) -> Refund:
        number = self.text("out_refund_no", required=True)
        trade = self.trade()
        refund = self.machine.store.first(
            Refund, "trade_id = ? AND out_refund_no = ?", trade.id, number
        )
        if refund is None:
            raise books.Refused(f"没有退款 {number}", 404)
        return refund


def pay(command: Command) -> dict[str, Any]:
    """Mark a payment paid; asked again, it says so and pays nothing twice.

    ``coupon_fen`` of it by a coupon of ``coupon_by``: gateway (the default) or merchant.
    """
    trade = command.trade()
    if trade.paid_at is not None:
        return paid_answer(command, trade) | {"already_paid": True}
    return paid_answer(command, pay_open(command, trade, is_late=command.body.get("late") is True))


def pay_open(
    command: Command, trade: Trade, *, is_late: bool = False, wrong_by_fen: int = 0
) -> Trade:
    coupon_by = command.text("coupon_by") or "gateway"
    if coupon_by not in ("gateway", "merchant"):
        raise books.Refused("coupon_by must be gateway or merchant", 400)
    coupon_fen = int(command.number("coupon_fen", 0, 0, trade.amount_fen))
    if trade.channel == "alipay" and not is_late:
        trade = books.open_cashier(command.machine, trade)
    return books.pay(
        command.machine,
        trade,
        is_late=is_late,
        coupon_fen=coupon_fen,
        coupon_by=coupon_by,
        wrong_by_fen=wrong_by_fen,
    )


def pay_late(command: Command) -> dict[str, Any]:
    """Pay what is closed, or past its last moment."""
    return paid_answer(command, pay_open(command, command.trade(), is_late=True))


def pay_wrong(command: Command) -> dict[str, Any]:
    """Pay one fen more than was asked for: gateway, bill and notification all say so."""
    return paid_answer(command, pay_open(command, command.trade(), wrong_by_fen=1))


def pay_silently(command: Command) -> dict[str, Any]:
    """Pay, and lose the notification of it."""
    trade = command.trade()
    lost = {
        "operation": f"{trade.channel}.notice",
        "kind": "notice_lost",
        "number": trade.out_trade_no,
    }
    command.machine.faults.change({"once": lost})
    return paid_answer(command, pay_open(command, trade))


def pay_with_coupon(command: Command) -> dict[str, Any]:
    """A tenth by a coupon of the gateway's."""
    trade = command.trade()
    if trade.amount_fen < 2:
        raise books.Refused("一分钱的订单不能用券", 409)
    tenth = max(1, trade.amount_fen // 10)
    coupon = Command(command.machine, command.body | {"coupon_fen": tenth})
    return paid_answer(command, pay_open(coupon, trade))


def pay_twice(command: Command) -> dict[str, Any]:
    """Pay one more attempt at the same order: the named ``other``, or one numbered alike.

    The attempt that is named first is paid as well, unless it is already.
    """
    trade = command.trade()
    if other_number := command.text("other"):
        channel = command.text("other_channel") or trade.channel
        other = books.find_trade(command.machine, channel, other_number)
    else:
        other = books.other_attempt(command.machine, trade)
    if other is None:
        raise books.Refused(
            "没有找到同一订单的另一笔付款：请先在商户系统对同一订单换一种方式再次发起支付", 404
        )
    if trade.paid_at is None:
        pay_open(command, trade, is_late=True)
    return paid_answer(command, pay_open(command, other, is_late=True))


def paid_answer(command: Command, trade: Trade) -> dict[str, Any]:
    return {"paid": True, "payment": books.trade_shown(command.machine, trade)}


def open_url(command: Command) -> dict[str, Any]:
    trade = cashier.open_address(command.machine, command.text("url", required=True))
    return {"payment": books.trade_shown(command.machine, trade)}


def fail(command: Command) -> dict[str, Any]:
    trade = books.fail(
        command.machine,
        command.trade(),
        reason=command.text("reason") or "买家付款失败",
        is_payerror=command.body.get("payerror") is True,
    )
    return {"payment": books.trade_shown(command.machine, trade)}


def close(command: Command) -> dict[str, Any]:
    trade = books.close(command.machine, command.trade(), by="gateway")
    return {"payment": books.trade_shown(command.machine, trade)}


def finish(command: Command) -> dict[str, Any]:
    trade = books.finish(command.machine, command.trade())
    return {"payment": books.trade_shown(command.machine, trade)}


def refund_outside(command: Command) -> dict[str, Any]:
    """A refund in the merchant console; without amount_fen, all that is left."""
    trade = command.trade()
    left = trade.amount_fen - books.occupied_fen(command.machine, trade)
    amount_fen = int(command.number("amount_fen", left, 0, trade.amount_fen))
    reason = command.text("reason") or "商户后台退款"
    refund = books.refund_outside(command.machine, trade, amount_fen, reason)
    return {"refund": books.refund_shown(command.machine, refund)}


def settle(command: Command) -> dict[str, Any]:
    status = command.text("status", required=True).upper()
    refund = books.refund_settle(command.machine, command.refund(), status)
    return {"refund": books.refund_shown(command.machine, refund)}


def notify_again(command: Command) -> dict[str, Any]:
    """Send the latest notification of a payment or refund once more, now, and tell the answers.

    ``twists`` puts wrongs into it, ``copies`` sends several, ``concurrent`` all at once. With
    ``delay_seconds`` it is sent later, untwisted, by the schedule.
    """
    trade = command.trade()
    notice = latest_notice(command, trade)
    twists = checked_twists(command, trade.channel)
    copies = int(command.number("copies", 1, 1, COPIES_MAX))
    delay = command.number("delay_seconds", 0.0, 0.0, DELAY_SECONDS_MAX)
    if delay:
        command.machine.store.update(notice, state=NoticeState.WAITING)
        command.machine.notifier.send_later(notice.id, clock.now() + delay)
        return {"notify_id": notice.notify_id, "scheduled": True}
    workers = copies if command.body.get("concurrent") is True else 1
    with ThreadPoolExecutor(workers) as pool:
        answers = list(
            pool.map(lambda _: notify.deliver_once(command.machine, notice, twists), range(copies))
        )
    received = [notify.is_received(notice.channel, answer) for answer in answers]
    if not twists and any(received) and notice.state != NoticeState.DELIVERED:
        command.machine.store.update(notice, state=NoticeState.DELIVERED, next_at=None)
    command.machine.store.remember(
        trade.channel, trade.out_trade_no, f"再次通知 ×{copies} {' '.join(sorted(twists))}"
    )
    shown = [
        answer.shown() | {"received": is_received}
        for answer, is_received in zip(answers, received, strict=True)
    ]
    return {"notify_id": notice.notify_id, "answers": shown}


def latest_notice(command: Command, trade: Trade) -> Notice:
    store = command.machine.store
    if command.text("out_refund_no"):
        refund = command.refund()
        notice = store.first(Notice, "refund_id = ? ORDER BY id DESC", refund.id)
    elif kind := command.text("kind"):
        notice = store.first(Notice, "trade_id = ? AND kind = ? ORDER BY id DESC", trade.id, kind)
    else:
        notice = store.first(
            Notice, "trade_id = ? AND refund_id IS NULL ORDER BY id DESC", trade.id
        )
    if notice is None:
        raise books.Refused("还没有可以再次发送的通知（未付款，或没有 notify_url）", 404)
    return notice


def checked_twists(command: Command, channel: str) -> frozenset[str]:
    known = {"wechat": wechat_messages.TWISTS, "alipay": alipay_messages.TWISTS}[channel]
    wanted = command.body.get("twists", [])
    if isinstance(wanted, str):
        wanted = [wanted]
    if not isinstance(wanted, list) or not set(map(str, wanted)) <= set(known):
        raise books.Refused(f"twists of {channel}: {', '.join(known)}", 400)
    return frozenset(wanted)


def release(command: Command) -> dict[str, Any]:
    """Let held notifications go: in their order, reversed, or at random; spaced a little."""
    order = command.text("order") or "same"
    if order not in ("same", "reverse", "random"):
        raise books.Refused("order must be same, reverse or random", 400)
    store = command.machine.store
    gap = command.number("gap_seconds", 0.05, 0.0, 60.0)
    with store.deed():
        held = store.find(Notice, "state = ? ORDER BY id LIMIT ?", NoticeState.HELD, HELD_MAX)
        if order == "reverse":
            held.reverse()
        elif order == "random":
            command.machine.random.shuffle(held)
        for notice in held:
            store.update(notice, state=NoticeState.WAITING)
    for place, notice in enumerate(held):
        command.machine.notifier.send_later(notice.id, clock.now() + place * gap)
    return {"released": len(held)}


def settings(command: Command) -> dict[str, Any]:
    try:
        command.machine.settings.change(command.body)
    except ValueError as error:
        raise books.Refused(str(error), 400) from error
    return asdict(command.machine.settings)


def turn_h5_check(command: Command) -> dict[str, Any]:
    """The switch of the page: whether H5 payments from this machine's own address are refused."""
    settings = command.machine.settings
    settings.change({"h5_refuses_loopback": not settings.h5_refuses_loopback})
    return asdict(settings)


def replace_keys(command: Command) -> dict[str, Any]:
    """``{"replace": [names]}``: fresh keys from now on, in DIR and in its config.json."""
    names = command.body.get("replace")
    if not isinstance(names, list):
        raise books.Refused("replace must be a list of names", 400)
    try:
        command.machine.replace_keys([str(name) for name in names])
    except ValueError as error:
        raise books.Refused(str(error), 400) from error
    return {"replaced": names}


def faults(command: Command) -> dict[str, Any]:
    try:
        command.machine.faults.change(command.body)
    except (ValueError, TypeError) as error:
        raise books.Refused(str(error), 400) from error
    return show_faults(command)


def show_faults(command: Command) -> dict[str, Any]:
    """Chances, ordered faults still to come, what was drawn, and the names that may be ordered."""
    operations = {route.operation for route in wechat_routes.ROUTES}
    operations |= {alipay.operation_of(method) for method in alipay_trades.METHODS}
    operations |= {f"{channel}.notice" for channel in books.CHANNELS}
    return command.machine.faults.shown() | {"operations": sorted(operations)}


def show_books(command: Command) -> dict[str, Any]:
    return books.everything(command.machine)


def show_state(command: Command) -> dict[str, Any]:
    """What is going on: the newest payments, refunds, notifications and events."""
    store = command.machine.store
    trades = store.find(Trade, f"1 ORDER BY id DESC LIMIT {LIST_MAX}")
    refunds = store.find(Refund, f"1 ORDER BY id DESC LIMIT {LIST_MAX}")
    notices = store.find(Notice, f"1 ORDER BY id DESC LIMIT {LIST_MAX}")
    return {
        "sign_mode": command.machine.options.sign_mode,
        "settings": asdict(command.machine.settings),
        "payments": [books.trade_shown(command.machine, trade) for trade in trades],
        "refunds": [books.refund_shown(command.machine, refund) for refund in refunds],
        "notices": [notice_shown(notice) for notice in notices],
        "history": store.history(),
    }


def notice_shown(notice: Notice) -> dict[str, Any]:
    names = ("notify_id", "channel", "kind", "url", "state", "attempts", "next_at", "last_answer")
    return {name: getattr(notice, name) for name in names}


Handler = Callable[[Command], dict[str, Any]]

GET: dict[str, Handler] = {
    "books": show_books,
    "state": show_state,
    "faults": show_faults,
    "settings": lambda command: asdict(command.machine.settings),
}
POST: dict[str, Handler] = {
    "pay": pay,
    "pay_late": pay_late,
    "pay_twice": pay_twice,
    "pay_wrong": pay_wrong,
    "pay_silently": pay_silently,
    "pay_with_coupon": pay_with_coupon,
    "open": open_url,
    "fail": fail,
    "close": close,
    "finish": finish,
    "refund": refund_outside,
    "settle": settle,
    "notify": notify_again,
    "release": release,
    "settings": settings,
    "turn_h5_check": turn_h5_check,
    "faults": faults,
    "keys": replace_keys,
}


def handle(machine: Machine, request: Request) -> Response:
    name = request.path.removeprefix("/_control/")
    handler = {"GET": GET, "POST": POST}.get(request.method, {}).get(name)
    if handler is None:
        return json_response({"error": "no such control", "GET": [*GET], "POST": [*POST]}, 404)
    try:
        return json_response(handler(Command(machine, parsed(request))))
    except books.Refused as refused:
        return json_response({"error": refused.message}, refused.status)


def parsed(request: Request) -> dict[str, Any]:
    """The body is JSON, whatever content type it claims."""
    if request.method == "GET" or not request.body.strip():
        return {}
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise books.Refused("the body must be JSON", 400) from error
    if not isinstance(body, dict):
        raise books.Refused("the body must be a JSON object", 400)
    return body


def pressed(machine: Machine, form: dict[str, str]) -> str:
    """A button of the human page; what to tell the person."""
    action = form.pop("action", "")
    if action.startswith("settle_"):
        action, form["status"] = "settle", action.removeprefix("settle_")
    if action not in POST:
        return "没有这个操作"
    try:
        answer = POST[action](Command(machine, dict(form)))
    except books.Refused as refused:
        return refused.message
    if "answers" in answer:
        told = answer["answers"][0]
        return f"已再次通知，对方应答 {told['status']} {told['text'][:100]}"
    return "完成"
