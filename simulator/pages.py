"""The human pages: plain HTML, no outside asset, everything shown is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from simulator import clock
from simulator.faults import CHANCE_KINDS, NOTICE_KINDS
from simulator.machine import Machine
from simulator.money import yuan
from simulator.statements import KINDS
from simulator.store import UNPAID, WAS_PAID, Event, Notice, Refund, RefundStatus, Trade, TradeState

SHOWN_MAX = 50
CHANNEL_NAMES = {"wechat": "微信支付", "alipay": "支付宝"}
STATE_NAMES = {
    "UNOPENED": "待买家打开",
    "OPEN": "待付款",
    "PAID": "已付款",
    "FINISHED": "已完结",
    "CLOSED": "已关闭",
    "PROCESSING": "退款中",
    "SUCCESS": "退款成功",
    "ABNORMAL": "退款异常",
}
NOTICE_NAMES = {
    "waiting": "待重发",
    "held": "已扣住",
    "delivered": "已送达",
    "given_up": "已放弃",
    "refused": "拒绝发送（非本机地址）",
    "lost": "按要求丢失",
}
BILL_NAMES = {"trade": "交易账单", "fund": "资金账单"}
SCENE_NAMES = {
    "native": "扫码", "jsapi": "公众号／小程序", "h5": "H5", "app": "App",
    "page": "电脑网站", "wap": "手机网站", "qr": "当面付扫码", "create": "小程序",
}  # fmt: skip
FAULT_NAMES = {
    "lost_after": "做完后断线", "error_after": "做完后报错", "error_before": "未做就报错",
    "slow": "迟缓", "garbage": "返回网页", "bad_signature": "签名错误",
    "rate_limited": "限流", "not_found": "暂时 404（退款）",
    "notice_lost": "通知丢失", "notice_twice": "通知重复", "notice_late": "通知迟到",
}  # fmt: skip

HTML = Path(__file__).with_name("html")


def filled(name: str, /, **values: object) -> str:
    """A file of html/ with its blanks filled in; what is shown was escaped before."""
    return Template((HTML / f"{name}.html").read_text(encoding="utf-8")).substitute(values)


def page(title: str, inner: str) -> str:
    return filled("page", title=escape(title), inner=inner)


def message_page(title: str, message: str) -> str:
    return page(title, f'<h1>{escape(title)}</h1><p class="card">{escape(message)}</p>')


def note(text: str) -> str:
    return f'<p class="card said" role="status">{escape(text)}</p>' if text else ""


def form(action: str, hidden: Mapping[str, str], buttons: Iterable[tuple[str, str, str]]) -> str:
    """A form of buttons: the pressed one's name is ``action``."""
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    pressed = "".join(
        f'<button name="action" value="{escape(value)}" class="{escape(kind)}">'
        f"{escape(text)}</button>"
        for value, text, kind in buttons
    )
    return f'<form method="post" action="{escape(action)}">{fields}{pressed}</form>'


def cashier(trade: Trade, message: str, buttons: str) -> str:
    name = CHANNEL_NAMES[trade.channel]
    inner = filled(
        "cashier",
        name=name,
        said=note(message),
        amount=yuan(trade.amount_fen),
        subject=escape(trade.subject),
        number=escape(trade.out_trade_no),
        buttons=buttons,
    )
    return page(f"{name}收银台", inner)


def home(machine: Machine, said: str = "") -> str:
    store, faults = machine.store, machine.faults.shown()
    unpaid = store.newest(Trade, "state IN (?, ?)", *UNPAID, limit=SHOWN_MAX)
    ended = store.newest(Trade, "state NOT IN (?, ?)", *UNPAID, limit=SHOWN_MAX)
    refunds = store.newest(Refund, limit=SHOWN_MAX)
    nothing = '<p class="soft">（无）</p>'
    is_refused = machine.settings.h5_refuses_loopback
    turn = ("turn_h5_check", "改为允许" if is_refused else "改为拒绝", "")
    is_short = machine.settings.merchant_short
    short_turn = ("turn_merchant_short", "充值" if is_short else "改为不足", "")
    inner = filled(
        "home",
        said=note(said),
        unpaid_count=len(unpaid),
        unpaid="".join(trade_card(machine, trade) for trade in unpaid) or nothing,
        refunds_count=len(refunds),
        refunds="".join(refund_card(machine, refund) for refund in refunds) or nothing,
        ended_count=len(ended),
        ended="".join(trade_card(machine, trade) for trade in ended) or nothing,
        faults="".join(
            f'<label>{FAULT_NAMES[kind]} %<input class="number" name="{kind}" type="number" '
            f'min="0" max="100" step="any" value="{faults["percent"][kind]:g}"></label>'
            for kind in CHANCE_KINDS + NOTICE_KINDS
        ),
        slow_seconds=f"{faults['slow_seconds']:g}",
        h5_check="拒绝（与真实网关相同）" if is_refused else "允许",
        h5_button=form("/do", {}, [turn]),
        short="不足，退款被拒绝" if is_short else "足够",
        short_button=form("/do", {}, [short_turn]),
        bills=" · ".join(
            f'<a href="/bill?channel={channel}&amp;kind={kind}&amp;day={day}">'
            f"{name} {day} {BILL_NAMES[kind]}</a>"
            for day in (clock.today(), clock.today() - timedelta(days=1))
            for channel, name in CHANNEL_NAMES.items()
            for kind in KINDS
        ),
        events=history(store.newest(Event, limit=20)) or nothing,
    )
    return page("模拟支付网关", inner)


def buttons_of(trade: Trade) -> list[tuple[str, str, str]]:
    if trade.state in UNPAID:
        return [
            ("pay", "付款", "primary"), ("pay_with_coupon", "用券付款", ""), ("fail", "失败", ""),
            ("pay_silently", "付款但丢失通知", ""), ("pay_wrong", "多付一分", ""),
            ("pay_late", "迟到付款", ""), ("pay_twice", "重复付款", ""), ("close", "关闭", ""),
        ]  # fmt: skip
    if trade.state == TradeState.CLOSED:
        return [("pay_late", "迟到付款", "")]
    again = [("pay_twice", "重复付款", ""), ("refund", "退款（商户后台）", "")]
    return [("notify", "再次通知", ""), *(again if trade.state in WAS_PAID else [])]


def card(channel: str, fen: int, **values: str) -> str:
    name = CHANNEL_NAMES[channel]
    return filled("card", channel=channel, channel_name=name, amount=yuan(fen), **values)


def trade_card(machine: Machine, trade: Trade) -> str:
    hidden = {"channel": trade.channel, "out_trade_no": trade.out_trade_no}
    details = f"{SCENE_NAMES.get(trade.scene, '')} · 商户订单号 {escape(trade.out_trade_no)}"
    if fen := machine.store.refunded_fen(trade):
        details += f" · 已退 ¥{yuan(fen)}"
    for notice in machine.store.newest(Notice, "trade_id = ?", trade.id, limit=1):
        answer = escape(notice.last_answer[:60])
        details += f" · 通知{NOTICE_NAMES[notice.state]}（已发 {notice.attempts} 次）{answer}"
    rest = code_line(trade) + form("/do", hidden, buttons_of(trade))
    name, state = escape(trade.subject), STATE_NAMES[trade.state]
    channel, fen = trade.channel, trade.amount_fen
    return card(channel, fen, name=name, state=state, details=details, rest=rest)


def code_line(trade: Trade) -> str:
    """What a QR code would hold; the link stands in for scanning it."""
    if trade.state not in UNPAID or not trade.credential:
        return ""
    text = f"<div><code>{escape(trade.credential)}</code>"
    if trade.scene in ("native", "qr", "h5"):
        text += f' <a href="/pay?code={quote(trade.credential, safe="")}">扫码</a>'
    return text + "</div>"


def refund_card(machine: Machine, refund: Refund) -> str:
    number = machine.store.trade_of(refund).out_trade_no
    state = STATE_NAMES[refund.status] if refund.status != "CLOSED" else "退款关闭"
    hidden = {"channel": refund.channel, "out_trade_no": number}
    hidden["out_refund_no"] = refund.out_refund_no
    buttons = [("notify", "再次通知", "")]
    if refund.status in (RefundStatus.PROCESSING, RefundStatus.ABNORMAL):
        buttons += [
            ("settle_SUCCESS", "到账", "primary"), ("settle_ABNORMAL", "异常", ""),
            ("settle_CLOSED", "关闭", ""),
        ]  # fmt: skip
    details = f"退款单号 {escape(refund.out_refund_no)} · 订单 {escape(number)}"
    details += " · 商户后台发起" if refund.outside else ""
    name, rest = escape(refund.reason), form("/do", hidden, buttons)
    channel, fen = refund.channel, refund.amount_fen
    return card(channel, fen, name=name, state=state, details=details, rest=rest)


def history(events: list[Event]) -> str:
    lines = "".join(
        f'<div class="soft">{clock.wall(event.at)} {CHANNEL_NAMES.get(event.channel, "")} '
        f"{escape(event.number)} {escape(event.what)}</div>"
        for event in events
    )
    return f'<div class="card">{lines}</div>' if lines else ""
