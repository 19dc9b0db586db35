"""What Alipay says about payments, and its three signature rules (alipay.md sections 3 and 9)."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from simulator import clock, keys
from simulator.machine import Machine
from simulator.money import yuan
from simulator.store import WAS_PAID, Notice, Refund, Trade, TradeState

# Wrongs that can be put into a notification on demand.
WRONGS = (
    "wrong_merchant", "wrong_app", "wrong_amount", "unknown_order", "tampered", "old_key",
    "wrong_key", "no_signature", "with_sign_type",
)  # fmt: skip
BUYER_LOGON_ID = "138****0000"


def request_text(parameters: Mapping[str, str]) -> bytes:
    """Rule 1: all but sign, empty values dropped, sorted; sign_type stays in."""
    return joined({k: v for k, v in parameters.items() if k != "sign" and v != ""})


def notice_text(parameters: Mapping[str, str]) -> bytes:
    """Rule 3, notifications and return_url: neither sign nor sign_type."""
    return joined({k: v for k, v in parameters.items() if k not in ("sign", "sign_type")})


def joined(parameters: Mapping[str, str]) -> bytes:
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters)).encode()


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def node_text(node: dict[str, Any]) -> str:
    """Rule 2 signs this very text: compact, slashes escaped, Chinese as it is."""
    return compact(node).replace("/", "\\/")


def trade_status(trade: Trade, refunded_fen: int) -> str:
    """TRADE_SUCCESS stays after partial refunds; a full one closes the trade [section 7]."""
    if trade.state in WAS_PAID and refunded_fen >= trade.amount_fen:
        return "TRADE_CLOSED"
    return {
        TradeState.PAID: "TRADE_SUCCESS",
        TradeState.FINISHED: "TRADE_FINISHED",
        TradeState.CLOSED: "TRADE_CLOSED",
    }.get(trade.state, "WAIT_BUYER_PAY")


def fund_bills(trade: Trade) -> list[dict[str, str]]:
    """What the payment was made of; a merchant's discount is MDISCOUNT, Alipay's own COUPON."""
    bills = [{"fund_channel": "ALIPAYACCOUNT", "amount": yuan(trade.payer_fen)}]
    if trade.coupon_fen:
        channel = "MDISCOUNT" if trade.coupon_by == "merchant" else "COUPON"
        bills.append({"fund_channel": channel, "amount": yuan(trade.coupon_fen)})
    return bills


def buyer_fields(trade: Trade) -> dict[str, str]:
    return {"buyer_logon_id": BUYER_LOGON_ID, "buyer_user_id": trade.buyer}


def paid_amounts(trade: Trade) -> dict[str, str]:
    """The merchant receives settled_fen; the buyer pays payer_fen, and an invoice is for that."""
    return {
        "receipt_amount": yuan(trade.settled_fen),
        "buyer_pay_amount": yuan(trade.payer_fen),
        "invoice_amount": yuan(trade.payer_fen),
        "point_amount": "0.00",
    }


def vouchers(trade: Trade) -> list[dict[str, str]]:
    is_merchants = trade.coupon_by == "merchant"
    voucher = {
        "id": f"{trade.id:016d}",
        "name": "模拟优惠券",
        "type": "ALIPAY_BIZ_VOUCHER" if is_merchants else "ALIPAY_DISCOUNT_VOUCHER",
        "amount": yuan(trade.coupon_fen),
        "merchant_contribute": yuan(trade.coupon_fen if is_merchants else 0),
        "other_contribute": yuan(0 if is_merchants else trade.coupon_fen),
    }
    return [voucher]


def in_notices(items: list[dict[str, str]]) -> str:
    """Notifications write names in camel case where answers write underscores."""
    return compact(
        [
            {
                re.sub("_([a-z])", lambda letter: letter[1].upper(), name): item[name]
                for name in item
            }
            for item in items
        ]
    )


def trade_notice(config: dict[str, str], trade: Trade, status: str) -> dict[str, str]:
    """The parameters that every trade notification carries; times of sending come later."""
    parameters = {
        "notify_type": "trade_status_sync", "app_id": config["app_id"],
        "auth_app_id": config["app_id"], "charset": "utf-8", "version": "1.0",
        "sign_type": "RSA2", "trade_no": trade.gateway_no, "out_trade_no": trade.out_trade_no,
        "buyer_id": trade.buyer, "buyer_logon_id": BUYER_LOGON_ID,
        "seller_id": config["seller_id"], "seller_email": "merchant@simulator.invalid",
        "trade_status": status, "total_amount": yuan(trade.amount_fen), "subject": trade.subject,
        "gmt_create": clock.wall(trade.opened_at or trade.created_at),
    }  # fmt: skip
    if trade.attach:
        parameters["passback_params"] = trade.attach
    if trade.closed_at is not None:
        parameters["gmt_close"] = clock.wall(trade.closed_at)
    if trade.paid_at is None:
        return parameters
    if trade.coupon_fen:
        parameters["voucher_detail_list"] = in_notices(vouchers(trade))
    parameters["gmt_payment"] = clock.wall(trade.paid_at)
    return parameters | paid_amounts(trade) | {"fund_bill_list": in_notices(fund_bills(trade))}


def refund_notice(
    config: dict[str, str], trade: Trade, refund: Refund, refunded_fen: int
) -> dict[str, str]:
    """refund_fee is the trade's refunded total; out_biz_no names this refund."""
    status, settled_at = trade_status(trade, refunded_fen), refund.settled_at or clock.now()
    message = trade_notice(config, trade, status) | {
        "refund_fee": yuan(refunded_fen),
        "gmt_refund": clock.wall(settled_at),
        "out_biz_no": refund.out_refund_no,
    }
    if status == "TRADE_CLOSED":
        message["gmt_close"] = clock.wall(settled_at)
    return message


def notice_request(
    machine: Machine, notice: Notice, wrongs: frozenset[str] = frozenset()
) -> tuple[dict[str, str], bytes]:
    """Headers and form of one delivery; re-sends keep notify_id and carry a new notify_time."""
    parameters = with_wrongs(notice.message, wrongs) | {
        "notify_id": notice.notify_id,
        "notify_time": clock.wall(clock.now()),
    }
    is_retired = wrongs & {"old_key", "wrong_key"}
    key = machine.keys.private["alipay_retired"] if is_retired else machine.alipay_signer().key
    text = request_text(parameters) if "with_sign_type" in wrongs else notice_text(parameters)
    parameters["sign"] = keys.sign(key, text)
    if "no_signature" in wrongs:
        del parameters["sign"]
    if "tampered" in wrongs:
        parameters["subject"] += "!"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return headers, urlencode(parameters).encode()


def with_wrongs(parameters: dict[str, str], wrongs: frozenset[str]) -> dict[str, str]:
    if "wrong_merchant" in wrongs:
        parameters |= {"seller_id": "2088999999999999", "seller_email": "x@simulator.invalid"}
    if "wrong_app" in wrongs:
        parameters |= {"app_id": "2021999999999999", "auth_app_id": "2021999999999999"}
    if "wrong_amount" in wrongs:
        parameters["total_amount"] = yuan(int(parameters["total_amount"].replace(".", "")) + 1)
    if "unknown_order" in wrongs:
        parameters["out_trade_no"] = "UNKNOWN" + secrets.token_hex(8)
    return parameters


def return_parameters(machine: Machine, trade: Trade, method: str) -> dict[str, str]:
    """What the buyer's browser brings back to return_url: signed by rule 3, proof of nothing."""
    config = machine.keys.alipay
    parameters = {
        "app_id": config["app_id"], "auth_app_id": config["app_id"], "charset": "utf-8",
        "method": f"{method}.return", "out_trade_no": trade.out_trade_no,
        "seller_id": config["seller_id"], "sign_type": "RSA2",
        "timestamp": clock.wall(clock.now()), "total_amount": yuan(trade.amount_fen),
        "trade_no": trade.gateway_no, "version": "1.0",
    }  # fmt: skip
    parameters["sign"] = keys.sign(machine.keys.private["alipay"], notice_text(parameters))
    return parameters
