"""Where buyers pay: Alipay's cashier behind page.pay and wap.pay, WeChat's codes and h5 pages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from simulator import books, pages
from simulator.alipay import api as alipay
from simulator.alipay import messages as alipay_messages
from simulator.alipay.trades import PAGE_METHODS, request_trade
from simulator.machine import Machine
from simulator.store import UNPAID, WAS_PAID, Trade, TradeState
from simulator.web import PARAMETERS_MAX, Request, Response, html_response, redirect
from simulator.wechat.orders import is_credential_alive

FORM_ACTIONS = ("pay", "fail")


def is_buyer_call(request: Request) -> bool:
    """True for a signed address that a browser opens, or a form that it posts."""
    try:
        parameters = dict(request.query_pairs + request.form_pairs)
    except ValueError:
        return False
    return parameters.get("method") in PAGE_METHODS


def open_by_browser(machine: Machine, request: Request) -> Response:
    """page.pay and wap.pay: the buyer opens the cashier, so the trade exists from now on."""
    try:
        call = alipay.verified_call(machine, request, PAGE_METHODS)
        trade = open_call(machine, call)
    except alipay.Refusal as refusal:
        return refused_page(str(refusal))
    except books.Refused as refused:
        return refused_page(refused.message)
    return redirect(f"/cashier?{urlencode({'trade_no': trade.gateway_no})}")


def open_call(machine: Machine, call: alipay.Call) -> Trade:
    scene, products = PAGE_METHODS[call.parameters["method"]]
    return books.open_cashier(machine, request_trade(call, scene, products))


def open_address(machine: Machine, address: str) -> Trade:
    """Open whatever a client was given: an Alipay address or order string, a code, an h5 address.

    Raises:
        books.Refused: nothing that can be opened, or no longer.
    """
    if trade := trade_of_code(machine, address):
        return books.open_cashier(machine, trade) if trade.channel == "alipay" else trade
    query = urlsplit(address).query or address
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
        call = alipay.call_of(machine, pairs, PAGE_METHODS)
        return open_call(machine, call)
    except alipay.Refusal as refusal:
        raise books.Refused(f"打不开这个支付链接：{refusal}", 400) from refusal
    except ValueError as error:
        raise books.Refused("打不开这个支付链接", 400) from error


def trade_of_code(machine: Machine, code: str) -> Trade | None:
    """The trade behind a code or h5 address, as long as the code lives.

    Raises:
        books.Refused: a code that was replaced or is too old.
    """
    code = code.partition("&redirect_url=")[0]
    if not code.startswith(("weixin://", "https://qr.alipay.com/", machine.base_url + "/cgi-bin/")):
        return None
    trade = machine.store.first(Trade, "credential = ? ORDER BY id DESC", code)
    if trade is None:
        raise books.Refused("二维码已失效，请重新获取", 404)
    if trade.channel == "wechat" and not is_credential_alive(trade):
        raise books.Refused("二维码已过期，请重新获取", 410)
    return trade


def code_page(machine: Machine, request: Request) -> Response:
    """GET /pay?code=…: what scanning the code would show."""
    try:
        trade = open_address(machine, request.query.get("code", ""))
    except books.Refused as refused:
        return refused_page(refused.message)
    return cashier_page(trade, "")


def h5_page(machine: Machine, request: Request) -> Response:
    """The address of an h5 payment, with the client's redirect_url when it added one."""
    try:
        trade = open_address(machine, machine.base_url + request.target)
    except books.Refused as refused:
        return refused_page(refused.message)
    return cashier_page(trade, request.query.get("redirect_url", ""))


def alipay_page(machine: Machine, request: Request) -> Response:
    trade = machine.store.trade_by_gateway_no("alipay", request.query.get("trade_no", ""))
    if trade is None:
        return refused_page("交易不存在")
    return cashier_page(books.expire_if_due(machine, trade), "")


def submitted(machine: Machine, request: Request) -> Response:
    """The buyer pressed a button of the cashier."""
    form = dict(request.form_pairs)
    trade = machine.store.trade(form.get("channel", ""), form.get("out_trade_no", ""))
    if trade is None or form.get("action") not in FORM_ACTIONS:
        return refused_page("交易不存在")
    try:
        if form["action"] == "fail":
            books.fail(machine, trade, reason="买家取消付款")
            return cashier_page(trade, form.get("redirect_url", ""), "付款失败，可以重试")
        trade = books.pay(machine, trade)
    except books.Refused as refused:
        return refused_page(refused.message)
    address = back_address(machine, trade, form.get("redirect_url", ""))
    return redirect(address) if address else cashier_page(trade, "", "付款成功")


def back_address(machine: Machine, trade: Trade, redirect_url: str) -> str:
    """Where the browser goes after paying; Alipay adds signed parameters."""
    address = trade.return_url if trade.channel == "alipay" else redirect_url
    if not address.startswith(("http://", "https://")) or "\r" in address or "\n" in address:
        return ""
    if trade.channel == "wechat":
        return address
    method = f"alipay.trade.{'wap' if trade.scene == 'wap' else 'page'}.pay"
    parameters = urlencode(alipay_messages.return_parameters(machine, trade, method))
    return f"{address}{'&' if '?' in address else '?'}{parameters}"


def cashier_page(trade: Trade, redirect_url: str, message: str = "") -> Response:
    if trade.state in WAS_PAID:
        message = message or "订单已支付"
    elif trade.state == TradeState.CLOSED:
        message = "订单已关闭"
    hidden = {"channel": trade.channel, "out_trade_no": trade.out_trade_no}
    hidden["redirect_url"] = redirect_url
    choices = (("pay", "付款", "primary"), ("fail", "付款失败", ""))
    buttons = pages.form("/cashier", hidden, choices) if trade.state in UNPAID else ""
    return html_response(pages.cashier(trade, message, buttons))


def refused_page(message: str) -> Response:
    return html_response(pages.message_page("无法付款", message))
