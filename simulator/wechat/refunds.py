"""WeChat Pay: refunds (wechatpay-v3.md section 6) and platform certificates (section 9)."""

from __future__ import annotations

import json
from typing import Any

from simulator import books, clock, keys
from simulator.store import WAS_PAID, Refund, RefundStatus, Trade
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal
from simulator.wechat.messages import refund_body

REFUNDS_MAX = 50
REFUNDABLE_SECONDS = 365 * clock.DAY_SECONDS
SPACING_SECONDS = 60


def refund(call: Call) -> Response:
    """Accept a refund; the same number refunds once."""
    with call.machine.store.deed():
        trade = refundable_trade(call)
        known = call.machine.store.refund("wechat", call.body["out_refund_no"])
        if known is not None:
            check_same(call, trade, known)
        else:
            check_limits(call, trade)
            known = books.refund_begin(
                call.machine,
                trade,
                out_refund_no=call.body["out_refund_no"],
                amount_fen=call.body["amount"]["refund"],
                reason=call.body.get("reason", ""),
                notify_url=call.body.get("notify_url", ""),
                request=canonical(call.body),
            )
    return refund_response(call, known)


def refund_response(call: Call, refund: Refund) -> Response:
    trade = call.machine.store.get(Trade, refund.trade_id)
    return json_response(refund_body(trade, refund, books.split_of(call.machine, trade, refund)))


def canonical(body: dict[str, Any]) -> str:
    """What must not change under one out_refund_no; which number names the trade may."""
    rest = {name: body[name] for name in body if name not in ("transaction_id", "out_trade_no")}
    return json.dumps(rest, sort_keys=True, ensure_ascii=False)


def refundable_trade(call: Call) -> Trade:
    store = call.machine.store
    by_gateway_no, by_number = call.body.get("transaction_id"), call.body.get("out_trade_no")
    if not by_gateway_no and not by_number:
        raise Refusal(400, "PARAM_ERROR", "transaction_id 和 out_trade_no 必须二选一")
    trade = (
        store.trade_by_gateway_no("wechat", by_gateway_no)
        if by_gateway_no
        else store.trade("wechat", str(by_number))
    )
    if trade is None or (by_number and trade.out_trade_no != by_number):
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "订单不存在")
    if trade.state not in WAS_PAID or trade.paid_at is None:
        raise Refusal(400, "INVALID_REQUEST", "订单未支付，不能退款")
    return trade


def check_same(call: Call, trade: Trade, known: Refund) -> None:
    if known.trade_id != trade.id or known.request != canonical(call.body):
        raise Refusal(400, "INVALID_REQUEST", "商户退款单号重复，且参数与首次请求时不一致")


def check_limits(call: Call, trade: Trade) -> None:
    """Sum, count, age and spacing; a CLOSED refund leaves its amount free again."""
    amount = call.body["amount"]
    others = call.machine.store.refunds_of(trade)
    spacing = SPACING_SECONDS * call.machine.settings.spacing_factor
    if amount["total"] != trade.amount_fen:
        raise Refusal(400, "INVALID_REQUEST", "订单金额与原订单不一致")
    if amount["refund"] > trade.amount_fen - books.occupied_fen(call.machine, trade):
        raise Refusal(400, "INVALID_REQUEST", "申请退款金额超过订单可退金额")
    if sum(part["amount"] for part in amount.get("from", [])) not in (0, amount["refund"]):
        raise Refusal(400, "PARAM_ERROR", "amount.from 之和与退款金额不一致")
    if len(others) >= REFUNDS_MAX:
        raise Refusal(403, "RULE_LIMIT", "一笔订单最多支持 50 次部分退款")
    if clock.now() - (trade.paid_at or 0) > REFUNDABLE_SECONDS:
        raise Refusal(400, "INVALID_REQUEST", "订单已超过 365 天，不能退款")
    if others and clock.now() - others[-1].created_at < spacing:
        raise Refusal(429, "FREQUENCY_LIMITED", "同一订单退款频率过快，请一分钟后用相同参数重试")
    if call.machine.settings.merchant_short:
        raise Refusal(403, "NOT_ENOUGH", "商户可用余额不足，请充值后用原单号重试")


def query(call: Call) -> Response:
    known = call.machine.store.refund("wechat", call.parts["out_refund_no"])
    if known is None:
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return refund_response(call, known)


def apply_abnormal(call: Call) -> Response:
    """Send an ABNORMAL refund to a bank card instead; it is under way again."""
    store = call.machine.store
    known = store.first(Refund, "channel = 'wechat' AND refund_id = ?", call.parts["refund_id"])
    if known is None or known.out_refund_no != call.body["out_refund_no"]:
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    account = "商户银行账户"
    if call.body["type"] == "USER_BANK_CARD":
        account = f"用户银行卡{opened(call, 'bank_account')[-4:]}"
        opened(call, "real_name")
        if not call.body.get("bank_type"):
            raise Refusal(400, "PARAM_ERROR", "缺少 bank_type")
    with store.deed():
        known = store.get(Refund, known.id)
        if known.status != RefundStatus.ABNORMAL:
            raise Refusal(400, "INVALID_REQUEST", "只有异常的退款可以发起异常退款")
        known = store.update(
            known,
            status=RefundStatus.PROCESSING,
            account=account,
            settled_at=None,
            settle_as=RefundStatus.SUCCESS,
            settle_at=clock.now() + call.machine.settings.refund_delay_seconds,
        )
        store.remember("wechat", known.out_refund_no, f"异常退款改退至{account}")
    call.machine.notifier.settle_later(known)
    return refund_response(call, known)


def opened(call: Call, name: str) -> str:
    """A sensitive field, encrypted for the key that Wechatpay-Serial names."""
    serial = call.request.headers.get("Wechatpay-Serial", "")
    signer = call.machine.wechat_signer(serial) if serial else None
    sealed = call.body.get(name, "")
    plain = keys.unseal_field(signer.key, sealed) if signer and sealed else None
    if not plain:
        raise Refusal(400, "PARAM_ERROR", f"{name} 缺失或解密失败")
    return plain.decode("utf-8", "replace")


def certificates(call: Call) -> Response:
    """The platform certificate, sealed; merchants in public-key mode have none to fetch."""
    if call.machine.options.sign_mode == "pubkey":
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请使用微信支付公钥")
    ring = call.machine.keys
    certificate = ring.certificates["wechat_platform"]
    sealed = keys.seal(
        ring.wechat["apiv3_key"], ring.certificate_pem("wechat_platform"), "certificate"
    )
    item = {
        "serial_no": ring.wechat["platform_serial_no"],
        "effective_time": clock.rfc3339(certificate.not_valid_before_utc.timestamp()),
        "expire_time": clock.rfc3339(certificate.not_valid_after_utc.timestamp()),
        "encrypt_certificate": sealed,
    }
    return json_response({"data": [item]})
