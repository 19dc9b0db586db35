"""WeChat Pay: refunds (wechatpay-v3.md section 6)."""

from __future__ import annotations

import json
from typing import Any

from simulator import books, clock
from simulator.store import WAS_PAID, Refund, RefundStatus, Trade
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal, invalid_request, parameter_error
from simulator.wechat.messages import refund_body
from simulator.wechat.security import decrypted

REFUNDS_MAX = 50
REFUNDABLE_SECONDS = 365 * clock.DAY_SECONDS
SPACING_SECONDS = 60


def refund(call: Call) -> Response:
    """Accept a refund; the same number refunds once."""
    body, store = call.body, call.machine.store
    with store.atomic():
        trade = refundable_trade(call)
        known = store.refund("wechat", body["out_refund_no"])
        if known is None:
            check_limits(call, trade)
            known = books.refund_begin(
                call.machine,
                trade,
                out_refund_no=body["out_refund_no"],
                amount_fen=body["amount"]["refund"],
                reason=body.get("reason", ""),
                notify_url=body.get("notify_url", ""),
                request=canonical(body),
            )
        elif known.trade_id != trade.id or known.request != canonical(body):
            raise invalid_request("商户退款单号重复，且参数与首次请求时不一致")
    return refund_response(call, known)


def refund_response(call: Call, refund: Refund) -> Response:
    return json_response(refund_body(call.machine.store.trade_of(refund), refund))


def canonical(body: dict[str, Any]) -> str:
    """What must not change under one out_refund_no; which number names the trade may."""
    rest = {name: body[name] for name in body if name not in ("transaction_id", "out_trade_no")}
    return json.dumps(rest, sort_keys=True, ensure_ascii=False)


def refundable_trade(call: Call) -> Trade:
    store = call.machine.store
    gateway_no, number = call.body.get("transaction_id", ""), call.body.get("out_trade_no", "")
    if not gateway_no and not number:
        raise parameter_error("transaction_id 和 out_trade_no 必须二选一")
    if gateway_no:
        trade = store.trade_by_gateway_no("wechat", gateway_no)
    else:
        trade = store.trade("wechat", number)
    if trade is None or (number and trade.out_trade_no != number):
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "订单不存在")
    if trade.state not in WAS_PAID or trade.paid_at is None:
        raise invalid_request("订单未支付，不能退款")
    return trade


def check_limits(call: Call, trade: Trade) -> None:
    """Sum, count, age and spacing; a CLOSED refund leaves its amount free again."""
    store, settings = call.machine.store, call.machine.settings
    amount, others = call.body["amount"], store.refunds_of(trade)
    if amount["total"] != trade.amount_fen:
        raise invalid_request("订单金额与原订单不一致")
    if amount["refund"] > store.refundable_fen(trade):
        raise invalid_request("申请退款金额超过订单可退金额")
    if sum(part["amount"] for part in amount.get("from", [])) not in (0, amount["refund"]):
        raise parameter_error("amount.from 之和与退款金额不一致")
    if len(others) >= REFUNDS_MAX:
        raise Refusal(403, "RULE_LIMIT", "一笔订单最多支持 50 次部分退款")
    if clock.now() - (trade.paid_at or 0) > REFUNDABLE_SECONDS:
        raise invalid_request("订单已超过 365 天，不能退款")
    spacing = SPACING_SECONDS * settings.spacing_factor
    if others and clock.now() - others[-1].created_at < spacing:
        raise Refusal(429, "FREQUENCY_LIMITED", "同一订单退款频率过快，请一分钟后用相同参数重试")
    if settings.merchant_short:
        raise Refusal(403, "NOT_ENOUGH", "商户可用余额不足，请充值后用原单号重试")


def no_refund() -> Refusal:
    return Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")


def query(call: Call) -> Response:
    known = call.machine.store.refund("wechat", call.parts["out_refund_no"])
    if known is None:
        raise no_refund()
    return refund_response(call, known)


def apply_abnormal(call: Call) -> Response:
    """Send an ABNORMAL refund to a bank card instead; it is under way again."""
    store = call.machine.store
    known = store.first(Refund, "channel = 'wechat' AND refund_id = ?", call.parts["refund_id"])
    if known is None or known.out_refund_no != call.body["out_refund_no"]:
        raise no_refund()
    account = "商户银行账户"
    if call.body["type"] == "USER_BANK_CARD":
        account = f"用户银行卡{decrypted(call, 'bank_account')[-4:]}"
        decrypted(call, "real_name")
        if not call.body.get("bank_type"):
            raise parameter_error("缺少 bank_type")
    with store.atomic():
        if store.get(Refund, known.id).status != RefundStatus.ABNORMAL:
            raise invalid_request("只有异常的退款可以发起异常退款")
        known = store.update(
            known, status=RefundStatus.PROCESSING, account=account, settled_at=None,
            settle_as=RefundStatus.SUCCESS,
            settle_at=clock.now() + call.machine.settings.refund_delay_seconds,
        )  # fmt: skip
        store.log(known, f"异常退款改退至{account}")
    return refund_response(call, known)
