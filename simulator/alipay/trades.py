"""Alipay's trade methods (alipay.md sections 6 to 8, 10 and 13)."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

from simulator import books, clock
from simulator.alipay.api import (
    CERTIFICATE_DOWNLOAD,
    BusinessError,
    Call,
    Handler,
    check,
    invalid,
    wrong_parameter,
)
from simulator.alipay.bills import bill_address
from simulator.alipay.messages import buyer_fields, fund_bills, paid_amounts, trade_status, vouchers
from simulator.money import fen_of, yuan
from simulator.options import ALIPAY_CERTIFICATES
from simulator.store import UNPAID, WAS_PAID, Refund, RefundStatus, Trade, TradeState
from simulator.web import wrong_notify_url

OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
TIMEOUT = re.compile(r"([1-9][0-9]{0,4})([mhd])", re.ASCII)
TIMEOUT_SECONDS = {"m": 60, "h": 3_600, "d": clock.DAY_SECONDS}
TIMEOUT_MOST_SECONDS = 15 * clock.DAY_SECONDS
REFUND_SPACING_SECONDS = 3

# Method, scene, and the product codes that it takes ("" where none is needed).
PAGE_METHODS = {
    "alipay.trade.page.pay": ("page", ("FAST_INSTANT_TRADE_PAY",)),
    "alipay.trade.wap.pay": ("wap", ("QUICK_WAP_WAY",)),
    "alipay.trade.app.pay": ("app", ("QUICK_MSECURITY_PAY",)),
}
PRECREATE_PRODUCTS = ("", "FACE_TO_FACE_PAYMENT", "QR_CODE_OFFLINE")
CREATE_PRODUCTS = ("", "JSAPI_PAY", "FACE_TO_FACE", "FACE_TO_FACE_PAYMENT")
FACE_TO_FACE = ("qr", "create")


def request_trade(call: Call, scene: str, products: tuple[str, ...]) -> Trade:
    """Note a payment request: a new trade, or the same one continued.

    Nothing exists for query and close until a buyer opens the cashier.
    """
    number = call.text("out_trade_no", 64, required=True)
    if not OUT_TRADE_NO.fullmatch(number):
        raise invalid("out_trade_no 只能包含字母、数字、下划线")
    if call.text("product_code", 64) not in products:
        raise invalid(f"product_code 应为 {' 或 '.join(filter(None, products))}")
    amount_fen = fen_of(call.text("total_amount", 16, required=True))
    if amount_fen is None:
        raise invalid("total_amount 应为 0.01 至 100000000 的两位小数")
    subject = call.text("subject", 256, required=True)
    call.text("body", 400)
    if call.text("seller_id", 28) not in ("", call.machine.keys.alipay["seller_id"]):
        raise invalid("seller_id 与应用不符")
    given, names = call.parameters, ("notify_url", "return_url")
    addresses: dict[str, str] = {name: given[name] for name in names if name in given}
    if addresses.get("notify_url") and wrong_notify_url(addresses["notify_url"]):
        raise invalid("notify_url 不正确（绝对地址，不带参数）")
    newest: dict[str, Any] = {"scene": scene, "deadline": deadline(call), **addresses}
    with call.store.atomic():
        known = books.find_trade(call.machine, "alipay", number)
        if known is None:
            return call.store.insert(
                Trade, channel="alipay", out_trade_no=number, amount_fen=amount_fen,
                subject=subject, attach=call.text("passback_params", 512),
                state=TradeState.UNOPENED, request=given["biz_content"],
                created_at=call.machine.book_clock.now(), **newest,
            )  # fmt: skip
        check(known.state not in WAS_PAID, "TRADE_HAS_SUCCESS", "交易已被支付")
        check(known.state != TradeState.CLOSED, "TRADE_HAS_CLOSE", "交易已经关闭")
        is_same = (known.amount_fen, known.subject) == (amount_fen, subject)
        check(is_same, "CONTEXT_INCONSISTENT", "交易信息被篡改")
        # The newest addresses count while nobody has opened it.
        is_unopened = known.state == TradeState.UNOPENED
        return call.store.update(known, **newest) if is_unopened else known


def deadline(call: Call) -> float:
    """time_expire wins over timeout_express; without either, fifteen days."""
    absolute, relative = call.text("time_expire", 32), call.text("timeout_express", 6)
    if absolute:
        try:
            return clock.from_wall(absolute)
        except ValueError as error:
            raise invalid("time_expire 格式应为 yyyy-MM-dd HH:mm:ss") from error
    if not relative:
        return clock.now() + TIMEOUT_MOST_SECONDS
    if relative == "1c":
        return clock.day_bounds(clock.today())[1]
    match = TIMEOUT.fullmatch(relative)
    seconds = int(match[1]) * TIMEOUT_SECONDS[match[2]] if match else TIMEOUT_MOST_SECONDS + 1
    if seconds > TIMEOUT_MOST_SECONDS:
        raise invalid("timeout_express 应为 1m～15d 或 1c")
    return clock.now() + seconds


def precreate(call: Call) -> dict[str, Any]:
    trade = request_trade(call, "qr", PRECREATE_PRODUCTS)
    qr_code = f"https://qr.alipay.com/bax{secrets.token_hex(10)}"
    call.store.update(trade, credential=qr_code, credential_at=clock.now())
    return {"out_trade_no": trade.out_trade_no, "qr_code": qr_code}


def create(call: Call) -> dict[str, Any]:
    """The one kind of trade that exists at once."""
    buyer = call.text("buyer_id", 28) or call.text("buyer_open_id", 128)
    if not buyer:
        raise invalid("buyer_id 和 buyer_open_id 不能同时为空")
    with call.store.atomic():
        trade = request_trade(call, "create", CREATE_PRODUCTS)
        if trade.state == TradeState.UNOPENED:
            trade = books.open_cashier(call.machine, call.store.update(trade, buyer=buyer))
    return numbers_of(trade)


def numbers_of(trade: Trade) -> dict[str, Any]:
    return {"out_trade_no": trade.out_trade_no, "trade_no": trade.gateway_no}


def find(call: Call) -> Trade | None:
    """By trade_no, which wins, or out_trade_no; as it is now."""
    trade_no, number = call.text("trade_no", 64), call.text("out_trade_no", 64)
    if not trade_no and not number:
        raise wrong_parameter("invalid-parameter", "out_trade_no 和 trade_no 不能同时为空")
    if trade_no:
        trade = call.store.trade_by_gateway_no("alipay", trade_no)
    else:
        trade = call.store.trade("alipay", number)
    return books.expire_if_due(call.machine, trade) if trade else None


def existing(call: Call) -> Trade:
    """A trade that a buyer has opened."""
    trade = find(call)
    if trade is None or not trade.gateway_no:
        raise BusinessError("ACQ.TRADE_NOT_EXIST", "交易不存在")
    return trade


def query(call: Call) -> dict[str, Any]:
    trade = existing(call)
    answer = numbers_of(trade) | buyer_fields(trade) | {
        "trade_status": trade_status(trade, call.store.refunded_fen(trade)),
        "total_amount": yuan(trade.amount_fen),
        "subject": trade.subject,
    }  # fmt: skip
    if trade.paid_at is None:
        return answer
    if trade.coupon_fen and "voucher_detail_list" in options(call):
        answer["voucher_detail_list"] = vouchers(trade)
    answer["send_pay_date"] = clock.wall(trade.paid_at)
    return answer | paid_amounts(trade) | {"fund_bill_list": fund_bills(trade)}


def options(call: Call) -> list[str]:
    """query_options: what the caller wants to be told besides the usual."""
    wanted = call.content.get("query_options", [])
    if not isinstance(wanted, list) or not all(isinstance(option, str) for option in wanted):
        raise invalid("query_options 应为字符串数组")
    return wanted


def close(call: Call) -> dict[str, Any]:
    """Only a trade that waits for its buyer can be closed."""
    trade = existing(call)
    with call.store.atomic():
        trade = call.store.get(Trade, trade.id)
        check(trade.state == TradeState.OPEN, "TRADE_STATUS_ERROR", "交易状态不合法")
        books.close(call.machine, trade, by="merchant")
    return numbers_of(trade)


def cancel(call: Call) -> dict[str, Any]:
    """Face to face only: closes what is unpaid, refunds what is paid, and never minds the rest."""
    trade = find(call)
    if trade is None:
        return {"out_trade_no": call.text("out_trade_no", 64), "retry_flag": "N"}
    if trade.scene not in FACE_TO_FACE:
        raise invalid("该产品不支持撤销，请使用 alipay.trade.close")
    answer = numbers_of(trade) | {"retry_flag": "N"}
    with call.store.atomic():
        trade = call.store.get(Trade, trade.id)
        if trade.state in UNPAID:
            books.close(call.machine, trade, by="merchant")
            return answer | {"action": "close"}
        left = call.store.refundable_fen(trade)
        if trade.state != TradeState.PAID or left <= 0:
            return answer
        number = f"cancel{trade.id}"
        refund = books.refund_begin(call.machine, trade, out_refund_no=number, amount_fen=left)
        books.refund_settle(call.machine, refund, RefundStatus.SUCCESS)
        return answer | {"action": "refund"}


def refund(call: Call) -> dict[str, Any]:
    """fund_change is Y only for the call that moved the money; refund_fee is the trade's total."""
    trade = existing(call)
    amount_fen = fen_of(call.text("refund_amount", 16, required=True))
    if amount_fen is None:
        raise invalid("refund_amount 应为大于 0 的两位小数")
    number, reason = call.text("out_request_no", 64), call.text("refund_reason", 256)
    options(call)
    with call.store.atomic():
        trade = call.store.get(Trade, trade.id)
        known = call.store.refund_of(trade, number or trade.out_trade_no)
        if known is not None and known.status != RefundStatus.CLOSED:
            is_same = known.amount_fen == amount_fen
            check(is_same, "DISCORDANT_REPEAT_REQUEST", "同一退款请求号金额不一致")
            return refund_answer(call, trade, known, "N")
        check_refund(call, trade, amount_fen, number)
        if known is not None:  # refused by the bank before: the same number may try again
            call.store.update(known, out_refund_no=f"{known.out_refund_no}#{known.id}")
        begun = books.refund_begin(
            call.machine,
            trade,
            out_refund_no=number or trade.out_trade_no,
            amount_fen=amount_fen,
            reason=reason,
        )
        if call.machine.settings.alipay_refund_async:
            return refund_answer(call, trade, begun, "N")
        begun = books.refund_settle(call.machine, begun, RefundStatus.SUCCESS)
        return refund_answer(call, trade, begun, "Y")


def check_refund(call: Call, trade: Trade, amount_fen: int, number: str) -> None:
    settings, others = call.machine.settings, call.store.refunds_of(trade)
    check(trade.state != TradeState.FINISHED, "TRADE_HAS_FINISHED", "交易已完结，不可退款")
    check(trade.state == TradeState.PAID, "TRADE_STATUS_ERROR", "交易状态不合法")
    is_named = number or amount_fen == trade.amount_fen
    check(is_named, "REFUND_AMT_NOT_EQUAL_TOTAL", "部分退款必须传入 out_request_no")
    is_left = amount_fen <= call.store.refundable_fen(trade)
    check(is_left, "REASON_TRADE_REFUND_FEE_ERR", "退款金额超过可退金额")
    since = clock.now() - others[-1].created_at if others else float("inf")
    is_spaced = since >= REFUND_SPACING_SECONDS * settings.spacing_factor
    check(is_spaced, "SYSTEM_ERROR", "同一交易两次退款间隔过短，请稍后用原请求号重试")
    check(not settings.merchant_short, "SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")


def refund_answer(call: Call, trade: Trade, refund: Refund, fund_change: str) -> dict[str, Any]:
    """What is about this refund alone is told to those who ask for it by query_options."""
    return numbers_of(trade) | buyer_fields(trade) | refund_details(call, trade, refund) | {
        "fund_change": fund_change,
        "refund_fee": yuan(call.store.refunded_fen(trade)),
        "gmt_refund_pay": clock.wall(refund.settled_at or clock.now()),
    }  # fmt: skip


def refund_details(call: Call, trade: Trade, refund: Refund) -> dict[str, Any]:
    if refund.status != RefundStatus.SUCCESS:
        return {}
    wanted, details = options(call), dict[str, Any]()
    if "refund_detail_item_list" in wanted:
        items = [{"fund_channel": "ALIPAYACCOUNT", "amount": yuan(refund.payer_fen)}]
        if by_coupon := refund.amount_fen - refund.payer_fen:
            items.append(fund_bills(trade)[-1] | {"amount": yuan(by_coupon)})
        details = {"refund_detail_item_list": items, "send_back_fee": yuan(refund.payer_fen)}
    if "deposit_back_info" in wanted:
        details["deposit_back_info"] = {"has_deposit_back": "false"}
    return details


def query_refund(call: Call) -> dict[str, Any]:
    """Without refund_status: never received, or failed; that is no error [section 8]."""
    trade = existing(call)
    known = call.store.refund_of(trade, call.text("out_request_no", 64, required=True))
    if known is None or known.status == RefundStatus.CLOSED:
        return {}
    answer = numbers_of(trade) | {
        "out_request_no": known.out_refund_no,
        "refund_reason": known.reason,
        "total_amount": yuan(trade.amount_fen),
        "refund_amount": yuan(known.amount_fen),
    }
    if known.status != RefundStatus.SUCCESS:
        return answer
    if "gmt_refund_pay" in options(call):
        answer["gmt_refund_pay"] = clock.wall(known.settled_at or 0)
    return answer | refund_details(call, trade, known) | {"refund_status": "REFUND_SUCCESS"}


def certificate(call: Call) -> dict[str, Any]:
    """The certificate that an answer named: its file, as base64."""
    if not call.is_by_certificate:
        raise wrong_parameter("invalid-app-cert-sn", "证书序列号有误")
    wanted, keys = call.text("alipay_cert_sn", 64, required=True), call.machine.keys
    for name in ALIPAY_CERTIFICATES.values():
        if keys.alipay_signer(name).serial == wanted:
            content = base64.b64encode(keys.certificate_pem(name)).decode()
            return {"alipay_cert_content": content}
    raise BusinessError("CERT_NOT_FOUND", "没有找到该序列号的支付宝公钥证书")


METHODS: dict[str, Handler] = {
    "alipay.trade.precreate": precreate,
    "alipay.trade.create": create,
    "alipay.trade.query": query,
    "alipay.trade.close": close,
    "alipay.trade.cancel": cancel,
    "alipay.trade.refund": refund,
    "alipay.trade.fastpay.refund.query": query_refund,
    "alipay.data.dataservice.bill.downloadurl.query": bill_address,
    CERTIFICATE_DOWNLOAD: certificate,
}
