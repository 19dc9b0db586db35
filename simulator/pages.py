"""The human pages: plain HTML, no outside asset, everything shown is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import quote

from simulator import clock
from simulator.faults import CHANCE_KINDS, NOTICE_KINDS
from simulator.machine import Machine
from simulator.money import yuan
from simulator.store import (
    UNPAID,
    WAS_PAID,
    Event,
    Notice,
    Refund,
    RefundStatus,
    Trade,
    TradeState,
)

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

STYLE = """
*{box-sizing:border-box}body{margin:0;background:#f4f5f7;color:#1d2129;
font:15px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif}
main{max-width:900px;margin:0 auto;padding:16px}h1{font-size:21px;margin:4px 0}
h2{font-size:17px;margin:22px 0 8px}.card{background:#fff;border:1px solid #e3e5e8;
border-radius:8px;padding:12px 14px;margin:0 0 10px}.row{display:flex;gap:8px 14px;flex-wrap:wrap;
align-items:baseline}.amount{font-size:19px;font-weight:600}.tag{font-size:13px;padding:0 7px;
border-radius:4px;background:#eef0f3}.wechat{background:#dff5e3;color:#0b6b2b}
.alipay{background:#e0ecff;color:#0b469c}.soft{color:#5b6470;font-size:13px;
overflow-wrap:anywhere}code{font-size:13px;overflow-wrap:anywhere}
form{display:flex;gap:6px;flex-wrap:wrap;align-items:flex-end;margin:8px 0 0}
button{font:inherit;font-size:14px;min-height:36px;padding:3px 12px;border:1px solid #b9bfc7;
border-radius:6px;background:#fff;cursor:pointer}button.primary{background:#1664c0;color:#fff;
border-color:#1664c0}button:focus-visible,input:focus-visible{outline:3px solid #f0a020}
input{font:inherit;min-height:36px;padding:3px 8px;border:1px solid #b9bfc7;border-radius:6px;
max-width:100%}label{display:flex;flex-direction:column;font-size:13px}input.number{width:92px}
.wide{flex:1 1 220px}.said{background:#fff8e1;border-color:#f0d890}
"""


def page(title: str, inner: str) -> str:
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{inner}</main></body></html>"
    )


def message_page(title: str, message: str) -> str:
    return page(title, f'<h1>{escape(title)}</h1><p class="card">{escape(message)}</p>')


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
    said = f'<p class="card said" role="status">{message}</p>' if message else ""
    inner = (
        f"<h1>{name}（模拟）收银台</h1>{said}"
        f'<div class="card"><div class="amount">¥ {yuan(trade.amount_fen)}</div>'
        f"<div>{escape(trade.subject)}</div>"
        f'<div class="soft">商户订单号 {escape(trade.out_trade_no)}</div>{buttons}</div>'
    )
    return page(f"{name}收银台", inner)


def home(machine: Machine, said: str = "") -> str:
    store = machine.store
    unpaid = store.newest(Trade, "state IN (?, ?)", *UNPAID, limit=SHOWN_MAX)
    ended = store.newest(Trade, "state NOT IN (?, ?)", *UNPAID, limit=SHOWN_MAX)
    refunds = store.newest(Refund, limit=SHOWN_MAX)
    note = f'<p class="card said" role="status">{escape(said)}</p>' if said else ""
    nothing = '<p class="soft">（无）</p>'
    inner = [
        "<h1>模拟支付网关</h1>",
        '<p class="soft">微信支付与支付宝的替身，只在本机使用，不涉及真实资金。</p>',
        note,
        '<form method="get" action="/pay" class="card"><label class="wide">'
        "打开二维码内容、支付链接或订单串"
        '<input name="code" required maxlength="8000"></label>'
        '<button class="primary">打开</button></form>',
        f"<h2>待付款（{len(unpaid)}）</h2>",
        "".join(trade_card(machine, trade) for trade in unpaid) or nothing,
        f"<h2>最近的退款（{len(refunds)}）</h2>",
        "".join(refund_card(machine, refund) for refund in refunds) or nothing,
        f"<h2>已付款、已关闭（{len(ended)}）</h2>",
        "".join(trade_card(machine, trade) for trade in ended) or nothing,
        "<h2>故障开关</h2>",
        fault_form(machine),
        h5_form(machine),
        "<h2>最近发生</h2>",
        history(store.newest(Event, limit=20)) or nothing,
    ]
    return page("模拟支付网关", "".join(inner))


def h5_form(machine: Machine) -> str:
    is_refused = machine.settings.h5_refuses_loopback
    text = "拒绝（与真实网关相同）" if is_refused else "允许"
    button = ("turn_h5_check", "改为允许" if is_refused else "改为拒绝", "")
    return (
        f'<div class="card">来自本机地址 127.0.0.1 的 H5 支付：{text}'
        f"{form('/do', {}, [button])}</div>"
    )


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


def card(channel: str, fen: int, name: str, state: str, details: str, rest: str) -> str:
    return (
        f'<div class="card"><div class="row"><span class="tag {channel}">'
        f'{CHANNEL_NAMES[channel]}</span><span class="amount">¥ {yuan(fen)}</span>'
        f'<span>{escape(name)}</span><span class="tag">{state}</span></div>'
        f'<div class="soft">{details}</div>{rest}</div>'
    )


def trade_card(machine: Machine, trade: Trade) -> str:
    hidden = {"channel": trade.channel, "out_trade_no": trade.out_trade_no}
    details = f"{SCENE_NAMES.get(trade.scene, '')} · 商户订单号 {escape(trade.out_trade_no)}"
    if fen := machine.store.refunded_fen(trade):
        details += f" · 已退 ¥{yuan(fen)}"
    for notice in machine.store.newest(Notice, "trade_id = ?", trade.id, limit=1):
        answer = escape(notice.last_answer[:60])
        details += f" · 通知{NOTICE_NAMES[notice.state]}（已发 {notice.attempts} 次）{answer}"
    rest = code_line(trade) + form("/do", hidden, buttons_of(trade))
    state = STATE_NAMES[trade.state]
    return card(trade.channel, trade.amount_fen, trade.subject, state, details, rest)


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
    rest = form("/do", hidden, buttons)
    return card(refund.channel, refund.amount_fen, refund.reason, state, details, rest)


def fault_form(machine: Machine) -> str:
    shown = machine.faults.shown()
    fields = "".join(
        f'<label>{FAULT_NAMES[kind]} %<input class="number" name="{kind}" type="number" min="0" '
        f'max="100" step="any" value="{shown["percent"][kind]:g}"></label>'
        for kind in CHANCE_KINDS + NOTICE_KINDS
    )
    return (
        f'<form method="post" action="/faults" class="card">{fields}'
        f'<label>迟缓秒数<input class="number" name="slow_seconds" type="number" min="0" max="600" '
        f'step="any" value="{shown["slow_seconds"]:g}"></label>'
        '<button class="primary">保存</button></form>'
    )


def history(events: list[Event]) -> str:
    lines = "".join(
        f'<div class="soft">{clock.wall(event.at)} {CHANNEL_NAMES.get(event.channel, "")} '
        f"{escape(event.number)} {escape(event.what)}</div>"
        for event in events
    )
    return f'<div class="card">{lines}</div>' if lines else ""
