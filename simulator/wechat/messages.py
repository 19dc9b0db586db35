"""What WeChat Pay says about payments and refunds, in answers and in notifications.

Protocol facts: wechatpay-v3.md sections 5, 6 and 8.
"""

from __future__ import annotations

import secrets
from typing import Any

from simulator import clock, keys
from simulator.machine import Machine
from simulator.store import WAS_PAID, Notice, Refund, RefundStatus, Trade, TradeState
from simulator.web import json_bytes

SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
TRADE_TYPES = {"native": "NATIVE", "jsapi": "JSAPI", "h5": "MWEB", "app": "APP"}
STATE_TEXTS = {
    "SUCCESS": "支付成功",
    "REFUND": "转入退款",
    "NOTPAY": "订单未支付",
    "CLOSED": "订单已关闭",
    "PAYERROR": "支付失败",
}
STALE_SECONDS = 600
COUPON_ID_BASE = 10_000_000_000

# Wrongs that can be put into a notification on demand: in its content, or around it.
WRONGS = (
    "wrong_merchant", "wrong_app", "wrong_amount", "wrong_currency", "unknown_order",
    "stale", "future", "tampered", "tampered_ciphertext", "old_key", "wrong_key", "signtest",
    "no_signature", "by_certificate", "by_public_key",
)  # fmt: skip


def trade_state(trade: Trade, has_refunds: bool) -> str:
    """REFUND means that a refund was ever applied for, even a partial one."""
    if trade.state in WAS_PAID:
        return "REFUND" if has_refunds else "SUCCESS"
    if trade.state == TradeState.CLOSED:
        return "CLOSED"
    return "PAYERROR" if trade.failure == "PAYERROR" else "NOTPAY"


def trade_body(config: dict[str, str], trade: Trade, *, has_refunds: bool) -> dict[str, Any]:
    state = trade_state(trade, has_refunds)
    body: dict[str, Any] = {
        "appid": trade.appid or config["appid"], "mchid": config["mchid"],
        "out_trade_no": trade.out_trade_no,
        "trade_state": state, "trade_state_desc": STATE_TEXTS[state], "promotion_detail": [],
        "amount": {"total": trade.amount_fen, "currency": "CNY"},
    }  # fmt: skip
    if trade.attach:
        body["attach"] = trade.attach
    if trade.paid_at is None:
        return body
    return body | {
        "transaction_id": trade.gateway_no, "trade_type": TRADE_TYPES[trade.scene],
        "bank_type": "OTHERS", "success_time": clock.rfc3339(trade.paid_at),
        "payer": {"openid": trade.buyer}, "promotion_detail": promotion_detail(trade),
        "amount": body["amount"] | {"payer_total": trade.payer_fen, "payer_currency": "CNY"},
    }  # fmt: skip


def promotion_detail(trade: Trade) -> list[dict[str, Any]]:
    """The coupon, if one was used: NOCASH is given by the merchant, who gets less for it."""
    if not trade.coupon_fen:
        return []
    is_merchants = trade.coupon_by == "merchant"
    coupon = {
        "coupon_id": str(COUPON_ID_BASE + trade.id), "name": "模拟代金券", "scope": "GLOBAL",
        "type": "NOCASH" if is_merchants else "CASH", "amount": trade.coupon_fen,
        "wechatpay_contribute": 0 if is_merchants else trade.coupon_fen,
        "merchant_contribute": trade.coupon_fen if is_merchants else 0,
        "other_contribute": 0, "stock_id": "931386", "currency": "CNY",
    }  # fmt: skip
    return [coupon]


def refund_promotion(trade: Trade, refund: Refund) -> list[dict[str, Any]]:
    back = refund.amount_fen - refund.payer_fen
    coupon = {
        "promotion_id": str(COUPON_ID_BASE + trade.id),
        "scope": "GLOBAL",
        "type": "DISCOUNT" if trade.coupon_by == "merchant" else "COUPON",
        "amount": trade.coupon_fen,
        "refund_amount": back,
    }
    return [coupon] if back else []


def refund_common(trade: Trade, refund: Refund) -> dict[str, Any]:
    """What answers and notifications say alike."""
    body = {
        "out_trade_no": trade.out_trade_no, "transaction_id": trade.gateway_no,
        "out_refund_no": refund.out_refund_no, "refund_id": refund.refund_id,
        "user_received_account": refund.account,
        "amount": {
            "total": trade.amount_fen, "refund": refund.amount_fen,
            "payer_total": trade.payer_fen, "payer_refund": refund.payer_fen,
        },
    }  # fmt: skip
    if refund.status == RefundStatus.SUCCESS and refund.settled_at is not None:
        body["success_time"] = clock.rfc3339(refund.settled_at)
    return body


def refund_body(trade: Trade, refund: Refund) -> dict[str, Any]:
    body = refund_common(trade, refund)
    body["amount"] |= {
        "settlement_refund": refund.settled_fen, "settlement_total": trade.settled_fen,
        "discount_refund": refund.amount_fen - refund.payer_fen, "refund_fee": 0,
        "currency": "CNY",
    }  # fmt: skip
    return body | {
        "channel": "ORIGINAL", "create_time": clock.rfc3339(refund.created_at),
        "status": refund.status, "funds_account": "AVAILABLE",
        "promotion_detail": refund_promotion(trade, refund),
    }  # fmt: skip


def payment_notice(config: dict[str, str], trade: Trade) -> dict[str, Any]:
    return {
        "event_type": "TRANSACTION.SUCCESS",
        "summary": "支付成功",
        "original_type": "transaction",
        "resource": trade_body(config, trade, has_refunds=False),
    }


def refund_notice(config: dict[str, str], trade: Trade, refund: Refund) -> dict[str, Any]:
    """Its state is named refund_status, and there is no appid."""
    own = {"mchid": config["mchid"], "refund_status": refund.status}
    return {
        "event_type": f"REFUND.{refund.status}",
        "summary": {"SUCCESS": "退款成功", "ABNORMAL": "退款异常"}.get(refund.status, "退款关闭"),
        "original_type": "refund",
        "resource": refund_common(trade, refund) | own,
    }


def echo_notice(answer: dict[str, str]) -> dict[str, Any]:
    """The encrypted part is named differently here, and nothing is bound to the ciphertext."""
    resource = {"echo_message": answer["echo_message"]}
    if "encrypted_echo_message" in answer:
        resource["encrypt_echo_message"] = answer["encrypted_echo_message"]
    return {
        "event_type": "SECURITY_ECHO.SUCCESS",
        "summary": "回调通知成功",
        "original_type": "security",
        "associated_data": "",
        "resource": resource,
    }


def notice_request(
    machine: Machine, notice: Notice, wrongs: frozenset[str] = frozenset()
) -> tuple[dict[str, str], bytes]:
    """Headers and body of one delivery: always freshly encrypted and signed, under the same id."""
    message = notice.message
    kind = message["original_type"]
    encrypted = keys.encrypt(
        machine.keys.wechat["apiv3_key"],
        json_bytes(with_wrongs(message["resource"], wrongs)),
        message.get("associated_data", kind),
    )
    if "tampered_ciphertext" in wrongs:
        first = encrypted["ciphertext"][0]
        encrypted["ciphertext"] = ("B" if first == "A" else "A") + encrypted["ciphertext"][1:]
    body = json_bytes(
        {
            "id": notice.notify_id,
            "create_time": clock.rfc3339(notice.created_at),
            "resource_type": "encrypt-resource",
            "event_type": message["event_type"],
            "summary": message["summary"],
            "resource": {"original_type": kind} | encrypted,
        }
    )
    headers = notice_headers(machine, body, wrongs)
    if "tampered" in wrongs:
        body = body.replace(b'"summary":"', b'"summary":"!', 1)
    return headers, body


def notice_headers(machine: Machine, body: bytes, wrongs: frozenset[str]) -> dict[str, str]:
    signer = machine.wechat_notice_signer()
    if "by_certificate" in wrongs:
        signer = machine.keys.by_certificate
    if "by_public_key" in wrongs:
        signer = machine.keys.by_public_key
    if "old_key" in wrongs:
        signer = machine.keys.by_retired_key
    if "wrong_key" in wrongs:
        signer = keys.Signer(signer.serial, machine.keys.by_retired_key.key)
    shift = STALE_SECONDS * (("future" in wrongs) - ("stale" in wrongs))
    headers = signed_headers(signer, body, at=clock.now() + shift)
    if "signtest" in wrongs:
        probe = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]
        headers["Wechatpay-Signature"] = probe
    if "no_signature" in wrongs:
        del headers["Wechatpay-Signature"]
    return headers | {"Content-Type": "application/json"}


def with_wrongs(resource: dict[str, Any], wrongs: frozenset[str]) -> dict[str, Any]:
    if "wrong_merchant" in wrongs:
        resource["mchid"] = "1999999999"
    if "wrong_app" in wrongs:
        resource["appid"] = "wx0000000000000000"
    if "wrong_amount" in wrongs:
        resource["amount"]["total"] += 1
        part = "refund" if "refund" in resource["amount"] else "payer_total"
        resource["amount"][part] += 1
    if "wrong_currency" in wrongs:
        resource["amount"] |= {"currency": "USD", "payer_currency": "USD"}
    if "unknown_order" in wrongs:
        resource["out_trade_no"] = "UNKNOWN" + secrets.token_hex(8)
    return resource


def signed_headers(signer: keys.Signer, body: bytes, *, at: float | None = None) -> dict[str, str]:
    """Headers of an answer or notification; a 204 signs the empty body [section 2]."""
    moment = str(int(clock.now() if at is None else at))
    nonce = secrets.token_hex(16)
    text = b"\n".join([moment.encode(), nonce.encode(), body, b""])
    return {
        "Wechatpay-Timestamp": moment,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": keys.sign(signer.key, text),
        "Wechatpay-Serial": signer.serial,
        "Wechatpay-Signature-Type": SIGNATURE_TYPE,
    }
