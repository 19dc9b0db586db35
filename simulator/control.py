"""Steering: POST /_control/pay as the contract says, and everything else a tester may want."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from simulator import books, cashier, clock, planting, statements
from simulator.alipay import messages as alipay_messages
from simulator.alipay.api import operation_of
from simulator.alipay.trades import METHODS
from simulator.machine import Machine
from simulator.notify import Answer as Said
from simulator.notify import NotOurs, deliver, is_received
from simulator.schema import NotAllowed
from simulator.store import (
    CHANNELS,
    Event,
    Notice,
    NoticeState,
    Refund,
    RefundStatus,
    Trade,
    TradeState,
)
from simulator.web import Request, Response, json_response
from simulator.wechat import messages as wechat_messages
from simulator.wechat.routes import ROUTES

COPIES_MAX = 50
DELAY_SECONDS_MAX = 3_600.0
HELD_MAX = 10_000
PLANTED_MAX = 1_000
FEN_MAX = 10_000_000_000
REFUND_STATES = ("SUCCESS", "PROCESSING", "ABNORMAL", "CLOSED")
WRONGS = {"wechat": wechat_messages.WRONGS, "alipay": alipay_messages.WRONGS}
NEVER_SEEN = (
    "：电脑/手机网站支付在买家打开支付链接之前没有任何请求到达网关，"
    "请先打开链接，或在请求体的 url 中给出支付链接或订单串"
)
NO_OTHER = "没有找到同一订单的另一笔付款：请先在商户系统对同一订单换一种方式再次发起支付"


def wrong(message: str) -> books.Refused:
    return books.Refused(message, 400)


@dataclass(frozen=True)
class Command:
    """One call of the control API."""

    machine: Machine
    body: dict[str, Any]

    def text(self, name: str, default: str = "", choices: tuple[str, ...] = ()) -> str:
        value = self.body.get(name) or default
        if not isinstance(value, str) or (choices and value not in choices):
            raise wrong(f"{name} must be {' or '.join(choices) or 'text'}")
        return value

    def required(self, name: str) -> str:
        if not self.body.get(name):
            raise wrong(f"{name} must be text")
        return self.text(name)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.body.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(f"{name} must be a number")
        if not least <= value <= most:
            raise wrong(f"{name} must be from {least:g} to {most:g}")
        return value

    def fen(self, name: str) -> int:
        value = self.number(name, 0, 1, FEN_MAX)
        if not isinstance(value, int):
            raise wrong(f"{name} must be whole fen")
        return value

    def at(self, name: str = "at") -> float | None:
        """A moment of the past as Shanghai's wall clock tells it; None where none is given."""
        if not (text := self.text(name)):
            return None
        try:
            at = clock.from_wall(text)
        except ValueError as error:
            raise wrong(f"{name} must be like 2026-11-29 23:59:58") from error
        if at > clock.now():
            raise wrong(f"{name} must not be in the future")
        return at

    def day(self, name: str = "day") -> date:
        try:
            return date.fromisoformat(self.required(name))
        except ValueError as error:
            raise wrong(f"{name} must be like 2026-11-29") from error

    def items(self, name: str) -> list[Command]:
        """A list of commands within this one."""
        value = self.body.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise wrong(f"{name} must be a list of objects")
        shared = {"channel": self.body["channel"]} if "channel" in self.body else {}
        return [Command(self.machine, shared | item) for item in value]

    def is_on(self, name: str) -> bool:
        return self.body.get(name) is True

    def trade(self) -> Trade:
        """The payment that channel and out_trade_no name; ``url`` is opened first, if given."""
        channel = self.text("channel", choices=CHANNELS)
        if url := self.text("url"):
            cashier.open_address(self.machine, url)
        number = self.required("out_trade_no")
        trade = books.find_trade(self.machine, channel, number)
        if trade is None:
            hint = NEVER_SEEN if channel == "alipay" else ""
            raise books.Refused(f"没有见过商户订单号 {number}{hint}", 404)
        return trade

    def refund(self) -> Refund:
        number = self.required("out_refund_no")
        refund = self.machine.store.refund_of(self.trade(), number)
        if refund is None:
            raise books.Refused(f"没有退款 {number}", 404)
        return refund

    def payment(self, trade: Trade) -> dict[str, Any]:
        return {"payment": books.trade_shown(self.machine, trade)}

    def refunded(self, refund: Refund) -> dict[str, Any]:
        return {"refund": books.refund_shown(self.machine, refund)}

    def paid(self, trade: Trade, **how: Any) -> dict[str, Any]:
        """Let the buyer pay. A coupon: ``coupon_fen`` by ``coupon_by``."""
        coupon_by = self.text("coupon_by", "gateway", ("gateway", "merchant"))
        coupon_fen = int(self.number("coupon_fen", 0, 0, trade.amount_fen))
        if trade.channel == "alipay" and not how.get("is_late"):
            trade = books.open_cashier(self.machine, trade)
        how = {"coupon_fen": coupon_fen, "coupon_by": coupon_by, **how}
        return {"paid": True} | self.payment(books.pay(self.machine, trade, **how))


Answer = dict[str, Any]


def pay(command: Command) -> Answer:
    """Mark a payment paid; asked again, it says so and pays nothing twice.

    ``coupon_fen`` of it by a coupon of ``coupon_by``: gateway (the default) or merchant.
    """
    trade = command.trade()
    if trade.paid_at is not None:
        return {"paid": True, "already_paid": True} | command.payment(trade)
    return command.paid(trade, is_late=command.is_on("late"))


def pay_late(command: Command) -> Answer:
    """Pay what is closed, or past its last moment."""
    return command.paid(command.trade(), is_late=True)


def pay_wrong(command: Command) -> Answer:
    """Pay one fen more than was asked for: gateway, bill and notification all say so."""
    return command.paid(command.trade(), wrong_by_fen=1)


def pay_silently(command: Command) -> Answer:
    """Pay, and lose the notification of it."""
    trade = command.trade()
    lost = {"operation": f"{trade.channel}.notice", "kind": "notice_lost"}
    command.machine.faults.change({"once": lost | {"number": trade.out_trade_no}})
    return command.paid(trade)


def pay_with_coupon(command: Command) -> Answer:
    """A tenth by a coupon of the gateway's."""
    trade = command.trade()
    if trade.amount_fen < 2:
        raise books.Refused("一分钱的订单不能用券")
    return command.paid(trade, coupon_fen=max(1, trade.amount_fen // 10))


def pay_twice(command: Command) -> Answer:
    """Pay one more attempt at the same order: the named ``other``, or one numbered alike.

    The attempt that is named first is paid as well, unless it is already.
    """
    trade = command.trade()
    if number := command.text("other"):
        channel = command.text("other_channel", trade.channel)
        other = books.find_trade(command.machine, channel, number)
    else:
        other = books.other_attempt(command.machine, trade)
    if other is None:
        raise books.Refused(NO_OTHER, 404)
    if trade.paid_at is None:
        command.paid(trade, is_late=True)
    return command.paid(other, is_late=True)


def open(command: Command) -> Answer:
    return command.payment(cashier.open_address(command.machine, command.required("url")))


def fail(command: Command) -> Answer:
    reason, is_payerror = command.text("reason", "买家付款失败"), command.is_on("payerror")
    trade = command.trade()
    return command.payment(
        books.fail(command.machine, trade, reason=reason, is_payerror=is_payerror)
    )


def close(command: Command) -> Answer:
    return command.payment(books.close(command.machine, command.trade(), by="gateway"))


def finish(command: Command) -> Answer:
    return command.payment(books.finish(command.machine, command.trade()))


def refund(command: Command) -> Answer:
    """A refund in the merchant console; without amount_fen, all that is left."""
    trade, reason = command.trade(), command.text("reason", "商户后台退款")
    left = command.machine.store.refundable_fen(trade)
    amount_fen = int(command.number("amount_fen", left, 0, trade.amount_fen))
    return command.refunded(books.refund_outside(command.machine, trade, amount_fen, reason))


def settle(command: Command) -> Answer:
    status = command.required("status").upper()
    return command.refunded(books.refund_settle(command.machine, command.refund(), status))


def withdraw(command: Command) -> Answer:
    """The merchant takes ``amount_fen`` out of the account."""
    channel = command.text("channel", choices=CHANNELS)
    return asdict(books.withdraw(command.machine, channel, command.fen("amount_fen")))


def book(command: Command) -> Answer:
    """Business of the past at once, each item at its ``at``: payments, then refunds.

    A payment that is known is paid, and its notice sent; one that is not is made (``amount_fen``;
    ``unpaid`` leaves it open), so that a merchant's own books can be filled in without as many
    calls. A refund ends as ``status`` says (SUCCESS) at ``settled_at`` (the same moment).
    """
    made: Answer = {"payments": {}, "refunds": {}}
    with command.machine.store.atomic():
        for item in command.items("payments"):
            with command.machine.book_clock.told(item.at()):
                trade = booked_payment(item)
            made["payments"][trade.out_trade_no] = trade.gateway_no
        for item in command.items("refunds"):
            refund = booked_refund(item)
            made["refunds"][refund.out_refund_no] = refund.refund_id
    return made


def booked_payment(item: Command) -> Trade:
    machine, channel = item.machine, item.text("channel", choices=CHANNELS)
    number, at = item.required("out_trade_no"), item.machine.book_clock.now()
    trade = machine.store.trade(channel, number)
    if trade is None:
        trade = machine.store.insert(
            Trade, channel=channel, out_trade_no=number, amount_fen=item.fen("amount_fen"),
            scene=item.text("scene", planting.SCENES[channel]), state=TradeState.OPEN,
            subject=item.text("subject", "在线问诊"), notify_url=item.text("notify_url"),
            appid=item.text("appid"), created_at=at, opened_at=at,
        )  # fmt: skip
    if item.is_on("unpaid"):
        return trade
    coupon_fen = int(item.number("coupon_fen", 0, 0, trade.amount_fen))
    coupon_by = item.text("coupon_by", "gateway", ("gateway", "merchant"))
    return books.pay(machine, trade, is_late=True, coupon_fen=coupon_fen, coupon_by=coupon_by)


def booked_refund(item: Command) -> Refund:
    clock_told, at = item.machine.book_clock.told, item.at()
    number, amount_fen, trade = item.required("out_refund_no"), item.fen("amount_fen"), item.trade()
    status = item.text("status", RefundStatus.SUCCESS, REFUND_STATES)
    if trade.paid_at is None or amount_fen > item.machine.store.refundable_fen(trade):
        raise books.Refused(f"{number}: 退款金额超过可退金额")
    store, is_wechat = item.machine.store, trade.channel == "wechat"
    if store.refund("wechat", number) if is_wechat else store.refund_of(trade, number):
        raise books.Refused(f"{number}: 退款单号重复")
    with clock_told(at):
        refund = books.refund_begin(
            item.machine,
            trade,
            out_refund_no=number,
            amount_fen=amount_fen,
            reason=item.text("reason", "退款"),
        )
    if status == RefundStatus.PROCESSING:
        return item.machine.store.update(refund, settle_at=None)
    with clock_told(item.at("settled_at") or at):
        return books.refund_settle(item.machine, refund, status)


def set_clock(command: Command) -> Answer:
    """From now on everything happens ``at`` that moment, each deed ``step_seconds`` after the one
    before; without ``at`` in real time again."""
    book_clock = command.machine.book_clock
    book_clock.set(command.at(), command.number("step_seconds", 0, 0, clock.DAY_SECONDS))
    return {"at": clock.wall(book_clock.now())}


def plant(command: Command) -> Answer:
    """Differences of a day: ``counts`` by type, chosen by ``seed``; tells exactly what they are.

    Chosen from numbers that begin with ``prefix``, where other programs have payments here too.
    """
    counts = command.body.get("counts")
    if not isinstance(counts, dict) or not set(counts) <= set(planting.TYPES):
        raise wrong(f"counts must be an object of {', '.join(planting.TYPES)}")
    wanted = Command(command.machine, counts)
    numbers = {kind: int(wanted.number(kind, 0, 0, PLANTED_MAX)) for kind in counts}
    channel, seed = (
        command.text("channel", choices=CHANNELS),
        int(command.number("seed", 1, 0, 2**53)),
    )
    with command.machine.store.atomic():
        planter = planting.Planter(
            command.machine, channel, command.day(), seed, command.text("prefix")
        )
        return {"planted": planter.plant(numbers)}


def unplant(command: Command) -> Answer:
    channel, day = command.text("channel", choices=CHANNELS), command.day()
    with command.machine.store.atomic():
        return {"unplanted": planting.unplant(command.machine, channel, day)}


def bills(command: Command) -> Answer:
    """What is wrong with bills from now on: of a channel, of a ``day`` or every one, of a ``kind``
    (trade, fund) or both. ``fault`` "" or none: nothing any more."""
    key = (
        command.text("channel", choices=CHANNELS),
        command.day().isoformat() if command.text("day") else "",
        command.text("kind", choices=("", *statements.KINDS)),
    )
    fault, faults = (
        command.text("fault", choices=("", *statements.FAULTS)),
        command.machine.bill_faults,
    )
    faults.pop(key, None)
    if fault:
        faults[key] = [fault, 0]
    return {"faults": [[*key, fault] for key, (fault, _) in faults.items()]}


def show_books(command: Command) -> Answer:
    """All payments and refunds with their totals, or the sums of a ``day``."""
    if command.text("day"):
        return statements.books_of_day(command.machine, command.day())
    return books.everything(command.machine)


def notify(command: Command) -> Answer:
    """Send the latest notification of a payment or refund once more, now, and tell the answers.

    ``twists`` puts wrongs into it, ``copies`` sends several, ``concurrent`` all at once. With
    ``delay_seconds`` it is sent later, as it is, by the schedule.
    """
    store, trade = command.machine.store, command.trade()
    notice = latest_notice(command, trade)
    wrongs = checked_wrongs(command, trade.channel)
    copies = int(command.number("copies", 1, 1, COPIES_MAX))
    delay = command.number("delay_seconds", 0.0, 0.0, DELAY_SECONDS_MAX)
    if delay:
        store.update(notice, state=NoticeState.WAITING, next_at=clock.now() + delay)
        return {"notify_id": notice.notify_id, "scheduled": True}

    def send(_: int) -> Answer:
        try:
            answer = deliver(command.machine, notice, wrongs)
        except NotOurs as error:
            answer = Said(0, f"refused: {error}")
        return asdict(answer) | {"received": is_received(notice.channel, answer)}

    with ThreadPoolExecutor(copies if command.is_on("concurrent") else 1) as pool:
        answers = list(pool.map(send, range(copies)))
    if (
        not wrongs
        and any(answer["received"] for answer in answers)
        and notice.state != NoticeState.DELIVERED
    ):
        store.update(notice, state=NoticeState.DELIVERED, next_at=None)
    what = f"再次通知 ×{copies} {' '.join(sorted(wrongs))}"
    store.log(trade, what)
    return {"notify_id": notice.notify_id, "answers": answers}


def latest_notice(command: Command, trade: Trade) -> Notice:
    where, values = "trade_id = ? AND refund_id IS NULL", list[Any]([trade.id])
    if command.text("out_refund_no"):
        where, values = "refund_id = ?", [command.refund().id]
    elif kind := command.text("kind"):
        where, values = "trade_id = ? AND kind = ?", [trade.id, kind]
    found = command.machine.store.newest(Notice, where, *values, limit=1)
    if not found:
        raise books.Refused("还没有可以再次发送的通知（未付款，或没有 notify_url）", 404)
    return found[0]


def checked_wrongs(command: Command, channel: str) -> frozenset[str]:
    wanted = command.body.get("twists", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(wanted, list) or not set(map(str, wanted)) <= set(WRONGS[channel]):
        raise wrong(f"twists of {channel}: {', '.join(WRONGS[channel])}")
    return frozenset(wanted)


def release(command: Command) -> Answer:
    """Let held notifications go: in their order, reversed, or at random; spaced a little."""
    order = command.text("order", "same", ("same", "reverse", "random"))
    store, gap = command.machine.store, command.number("gap_seconds", 0.05, 0.0, 60.0)
    with store.atomic():
        held = store.newest(Notice, "state = ?", NoticeState.HELD, limit=HELD_MAX)
        if order == "same":
            held.reverse()
        elif order == "random":
            command.machine.random.shuffle(held)
        for place, notice in enumerate(held):
            due = clock.now() + place * gap
            store.update(notice, state=NoticeState.WAITING, next_at=due)
    return {"released": len(held)}


def settings(command: Command) -> Answer:
    command.machine.settings.change(command.body)
    return asdict(command.machine.settings)


def turn_h5_check(command: Command) -> Answer:
    """The switch of the page: whether H5 payments from this machine's own address are refused."""
    settings = command.machine.settings
    settings.change({"h5_refuses_loopback": not settings.h5_refuses_loopback})
    return asdict(settings)


def turn_merchant_short(command: Command) -> Answer:
    """The switch of the page: whether the merchant's account lacks the money for refunds."""
    settings = command.machine.settings
    settings.change({"merchant_short": not settings.merchant_short})
    return asdict(settings)


def keys(command: Command) -> Answer:
    """``{"replace": [names]}``: fresh keys from now on, in DIR and in its config.json."""
    names = command.body.get("replace")
    if not isinstance(names, list):
        raise wrong("replace must be a list of names")
    command.machine.replace_keys([str(name) for name in names])
    return {"replaced": names}


def faults(command: Command) -> Answer:
    command.machine.faults.change(command.body)
    return show_faults(command)


def show_faults(command: Command) -> Answer:
    """Chances, ordered faults still to come, what was drawn, and the names that may be ordered."""
    operations = {route.operation for route in ROUTES} | {operation_of(name) for name in METHODS}
    operations |= {f"{channel}.notice" for channel in CHANNELS}
    return command.machine.faults.shown() | {"operations": sorted(operations)}


def show_state(command: Command) -> Answer:
    """What is going on: the newest payments, refunds, notifications and events."""
    machine, store = command.machine, command.machine.store
    names = ("notify_id", "channel", "kind", "url", "state", "attempts", "next_at", "last_answer")
    notices = store.newest(Notice)
    return {
        "sign_mode": machine.options.sign_mode,
        "settings": asdict(machine.settings),
        "payments": [books.trade_shown(machine, trade) for trade in store.newest(Trade)],
        "refunds": [books.refund_shown(machine, refund) for refund in store.newest(Refund)],
        "notices": [{name: getattr(notice, name) for name in names} for notice in notices],
        "history": [asdict(event) for event in store.newest(Event)],
    }


GET: dict[str, Callable[[Command], Answer]] = {
    "books": show_books,
    "state": show_state,
    "faults": show_faults,
    "settings": lambda command: asdict(command.machine.settings),
}
ACTIONS = (
    pay, pay_late, pay_twice, pay_wrong, pay_silently, pay_with_coupon, open, fail, close, finish,
    refund, settle, notify, release, settings, turn_h5_check, turn_merchant_short,
    faults, keys, withdraw, book, bills,
)  # fmt: skip
POST: dict[str, Callable[[Command], Answer]] = {action.__name__: action for action in ACTIONS}
POST |= {"clock": set_clock, "bills/plant": plant, "bills/unplant": unplant}


def handle(machine: Machine, request: Request) -> Response:
    name = request.path.removeprefix("/_control/")
    handler = {"GET": GET, "POST": POST}.get(request.method, {}).get(name)
    if handler is None:
        return json_response({"error": "no such control", "GET": [*GET], "POST": [*POST]}, 404)
    try:
        command = Command(machine, parsed(request))
        with machine.book_clock.told(command.at()):
            return json_response(handler(command))
    except books.Refused as refused:
        return json_response({"error": refused.message}, refused.status)
    except NotAllowed as error:
        return json_response({"error": str(error)}, 400)


def parsed(request: Request) -> dict[str, Any]:
    """The body is JSON, whatever content type it claims."""
    if request.method == "GET" or not request.body.strip():
        return dict(request.query)
    try:
        body = json.loads(request.body, parse_constant=int)
    except (ValueError, RecursionError) as error:
        raise wrong("the body must be JSON") from error
    if not isinstance(body, dict):
        raise wrong("the body must be a JSON object")
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
