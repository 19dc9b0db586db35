"""WeChat Pay: prepay, query, close (wechatpay-v3.md sections 3 and 5)."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any

from simulator import books, clock
from simulator.money import yuan
from simulator.store import WAS_PAID, Trade, TradeState
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal, invalid_request, parameter_error
from simulator.wechat.messages import trade_body

CREDENTIAL_SECONDS = {"native": 7_200, "jsapi": 7_200, "app": 7_200, "h5": 300}
TIME_EXPIRE_LEAST_SECONDS = 60
TIME_EXPIRE_MOST_SECONDS = 90 * clock.DAY_SECONDS
DEFAULT_PAYABLE_SECONDS = 7 * clock.DAY_SECONDS

DIFFERENT_REQUEST = 268498688
ALREADY_PAID = 268449538
ORDER_UNKNOWN = 268512771


def order_paid() -> Refusal:
    return Refusal(400, "ORDERPAID", "该订单已支付", ALREADY_PAID)


def prepay(call: Call, scene: str) -> Response:
    """A new order, or a fresh credential for the identical request."""
    body, store = call.body, call.machine.store
    if body["mchid"] != call.config["mchid"]:
        raise parameter_error("mchid 与签名的商户号不一致")
    if body["appid"] != call.config["appid"]:
        raise Refusal(400, "APPID_MCHID_NOT_MATCH", "appid 和 mch_id 不匹配")
    if scene == "h5" and call.machine.settings.h5_refuses_loopback:
        # The payer's own address is needed, never the server's loopback [section 3].
        address = body["scene_info"]["payer_client_ip"]
        if address.startswith("127.") or address == "::1":
            raise parameter_error("payer_client_ip 不能是 127.0.0.1")
    with store.atomic():
        trade = store.trade("wechat", body["out_trade_no"])
        if trade is None:
            trade = create(call, scene)
        else:
            check_reentry(call, scene, trade)
        credential = new_credential(call, scene)
        store.update(trade, credential=credential, credential_at=clock.now())
    name = {"native": "code_url", "h5": "h5_url"}.get(scene, "prepay_id")
    return json_response({name: credential})


def canonical(scene: str, body: dict[str, Any]) -> str:
    """Key order means nothing; anything else does."""
    return json.dumps([scene, body], sort_keys=True, ensure_ascii=False)


def create(call: Call, scene: str) -> Trade:
    body, moment = call.body, call.machine.book_clock.now()
    amount_fen = body["amount"]["total"]
    trade = call.machine.store.insert(
        Trade, channel="wechat", out_trade_no=body["out_trade_no"], scene=scene,
        amount_fen=amount_fen, subject=body["description"], attach=body.get("attach", ""),
        notify_url=body["notify_url"], buyer=body.get("payer", {}).get("openid", ""),
        state=TradeState.OPEN, request=canonical(scene, body), created_at=moment,
        opened_at=moment, deadline=last_moment(body.get("time_expire"), clock.now()),
    )  # fmt: skip
    call.machine.store.log(trade, f"下单 {scene} {yuan(amount_fen)}")
    return trade


def last_moment(time_expire: str | None, moment: float) -> float:
    """Too early is raised to a minute from now, too late lowered to 90 days."""
    if time_expire is None:
        return moment + DEFAULT_PAYABLE_SECONDS
    wanted = datetime.fromisoformat(time_expire).timestamp()
    wanted = max(wanted, moment + TIME_EXPIRE_LEAST_SECONDS)
    return min(wanted, moment + TIME_EXPIRE_MOST_SECONDS)


def check_reentry(call: Call, scene: str, trade: Trade) -> None:
    """Paid, closed and expired numbers are used up; open ones take the identical request only."""
    if trade.state in WAS_PAID:
        raise order_paid()
    if trade.state == TradeState.CLOSED:
        raise Refusal(400, "ORDER_CLOSED", "该订单已关闭，请更换商户订单号后重新下单")
    if trade.request != canonical(scene, call.body):
        raise invalid_request("请求重入时，参数与首次请求时不一致", DIFFERENT_REQUEST)
    if books.is_past(trade):
        raise invalid_request("201 商户订单号重复")


def new_credential(call: Call, scene: str) -> str:
    """A fresh one each time; the one before it is dead from now on."""
    stamp = f"{clock.beijing(clock.now()):%d%H%M%S}"
    prepay_id = f"wx{stamp}{secrets.token_hex(13)}"[:36]
    if scene == "native":
        return f"weixin://wxpay/bizpayurl?pr={secrets.token_urlsafe(9)}"
    if scene == "h5":
        page = f"{call.machine.base_url}/cgi-bin/mmpayweb-bin/checkmweb"
        return f"{page}?prepay_id={prepay_id}&package={secrets.randbelow(10**10)}"
    return prepay_id


def is_credential_alive(trade: Trade) -> bool:
    """Codes live two hours, h5 addresses five minutes, whatever time_expire says."""
    return clock.now() < trade.credential_at + CREDENTIAL_SECONDS[trade.scene]


def query_by_number(call: Call) -> Response:
    return query(call, call.machine.store.trade("wechat", call.parts["out_trade_no"]))


def query_by_transaction(call: Call) -> Response:
    number = call.parts["transaction_id"]
    return query(call, call.machine.store.trade_by_gateway_no("wechat", number))


def query(call: Call, trade: Trade | None) -> Response:
    if call.request.query.get("mchid") != call.config["mchid"]:
        raise parameter_error("缺少 mchid 或与签名的商户号不一致")
    if trade is None:
        raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在", ORDER_UNKNOWN)
    has_refunds = bool(call.machine.store.refunds_of(trade))
    return json_response(trade_body(call.config, trade, has_refunds=has_refunds))


def close(call: Call) -> Response:
    """204 for open, closed and even unknown numbers; ORDERPAID for paid ones."""
    if call.body["mchid"] != call.config["mchid"]:
        raise parameter_error("mchid 与签名的商户号不一致")
    trade = call.machine.store.trade("wechat", call.parts["out_trade_no"])
    try:
        if trade is not None:
            books.close(call.machine, trade, by="merchant")
    except books.Refused as refused:
        raise order_paid() from refused
    return Response(204)
