"""WeChat Pay: applying for bills, downloading them, and their lines (wechatpay-v3.md section 7):
UTF-8 with BOM, CRLF, backticks, yuan. Bills of the running day are served too."""

from __future__ import annotations

import gzip
import hashlib
import secrets
from datetime import date, timedelta

from simulator import clock
from simulator.machine import Machine
from simulator.money import fee_fen, fee_text, yuan
from simulator.store import Refund, RefundStatus, Trade
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal, invalid_request, parameter_error
from simulator.wechat.messages import TRADE_TYPES

URL_SECONDS = 300
OLDEST_DAYS = 92
BILL_TYPES = ("ALL", "SUCCESS", "REFUND")
ACCOUNT_TYPES = ("BASIC", "OPERATION", "FEES")

HEAD = (
    "交易时间 公众账号ID 商户号 特约商户号 设备号 微信订单号 商户订单号 "
    "用户标识 交易类型 交易状态 付款银行 货币种类 应结订单金额 代金券金额"
)
REFUND_TIMES = "退款申请时间 退款成功时间"
REFUND_PART = "微信退款单号 商户退款单号 退款金额 充值券退款金额 退款类型 退款状态"
TAIL = "商品名称 商户数据包 手续费 费率 订单金额"
TRADE_COLUMNS = {
    "ALL": f"{HEAD} {REFUND_PART} {TAIL} 申请退款金额 费率备注".split(),
    "SUCCESS": f"{HEAD} {TAIL} 费率备注".split(),
    "REFUND": f"{HEAD} {REFUND_TIMES} {REFUND_PART} {TAIL} 申请退款金额 费率备注".split(),
}
# Each sum in the last line of a trade bill, and the column that it adds up.
SUMS = {
    "应结订单总金额": "应结订单金额", "退款总金额": "退款金额",
    "充值券退款总金额": "充值券退款金额", "手续费总金额": "手续费", "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
}  # fmt: skip
SUMS_OF_SUCCESS = ("应结订单总金额", "手续费总金额", "订单总金额")
FLOW_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),"
    "账户结余(元),资金变更提交申请人,备注,业务凭证号"
)
FLOW_SUMMARY = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
# What the bill calls the states of a refund.
REFUND_STATES = {
    RefundStatus.SUCCESS: "SUCCESS",
    RefundStatus.PROCESSING: "PROCESSING",
    RefundStatus.ABNORMAL: "CHANGE",
}


def trade_bill(call: Call) -> Response:
    query = checked_query(call, {"bill_type"})
    bill_type = one_of(query.get("bill_type", "ALL"), BILL_TYPES, "bill_type")
    return offer(call, trade_bill_file(call.machine, bill_day(query), bill_type), query)


def fundflow_bill(call: Call) -> Response:
    """Only the basic account ever moves here."""
    query = checked_query(call, {"account_type"})
    account = one_of(query.get("account_type", "BASIC"), ACCOUNT_TYPES, "account_type")
    day = bill_day(query)
    return offer(call, flow_bill_file(call.machine, day) if account == "BASIC" else None, query)


def checked_query(call: Call, extra: set[str]) -> dict[str, str]:
    query = call.request.query
    if unknown := set(query) - extra - {"bill_date", "tar_type"}:
        raise parameter_error(f"存在未定义的参数 {min(unknown)}"[:100])
    one_of(query.get("tar_type", "GZIP"), ("GZIP",), "tar_type")
    if call.machine.settings.statement_creating:
        raise Refusal(400, "STATEMENT_CREATING", "账单正在生成中，请稍后再试")
    return query


def one_of(value: str, known: tuple[str, ...], name: str) -> str:
    if value not in known:
        raise parameter_error(f"{name} 只支持 {'、'.join(known)}")
    return value


def bill_day(query: dict[str, str]) -> date:
    text, today = query.get("bill_date", ""), clock.today()
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise parameter_error("bill_date 格式应为 yyyy-MM-dd") from error
    if len(text) != 10 or not today - timedelta(days=OLDEST_DAYS) <= day <= today:
        raise parameter_error("bill_date 只能是最近三个月内的日期")
    return day


def offer(call: Call, content: bytes | None, query: dict[str, str]) -> Response:
    """The hash is of the uncompressed file, whatever is downloaded."""
    if content is None:
        raise Refusal(400, "NO_STATEMENT_EXIST", "账单文件不存在")
    token, url = secrets.token_urlsafe(24), f"{call.machine.base_url}/v3/billdownload/file"
    sent = gzip.compress(content) if "tar_type" in query else content
    call.machine.downloads.add(token, sent, seconds=URL_SECONDS)
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return json_response(
        {"hash_type": "SHA1", "hash_value": digest, "download_url": f"{url}?token={token}"}
    )


def download(call: Call) -> Response:
    """The call is signed like any other, the answer is not."""
    content = call.machine.downloads.get(call.request.query.get("token", ""))
    if content is None:
        raise invalid_request("下载地址已失效，请重新申请账单")
    return Response(200, content, "application/octet-stream")


def backticked(cells: list[str]) -> str:
    return ",".join(f"`{cell}" for cell in cells)


def file_of(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n").encode("utf-8-sig")


def one_line(text: str) -> str:
    """No line ends, and no backticks: they begin the next cell."""
    return text.replace("\r", "\\r").replace("\n", "\\n").replace("`", "'")


def trade_bill_file(machine: Machine, day: date, bill_type: str) -> bytes | None:
    """None when nothing happened on that day."""
    rows = []
    if bill_type != "REFUND":
        trades = machine.store.paid_between("wechat", *clock.day_bounds(day))
        rows += [(trade.paid_at or 0.0, payment_cells(machine, trade)) for trade in trades]
    if bill_type != "SUCCESS":
        refunds = machine.store.refunds_between("wechat", *clock.day_bounds(day))
        rows += [(refund.created_at, refund_cells(machine, refund)) for refund in refunds]
    if not rows:
        return None
    cells = [row for _, row in sorted(rows, key=lambda row: row[0])]
    columns = TRADE_COLUMNS[bill_type]
    sums = SUMS_OF_SUCCESS if bill_type == "SUCCESS" else tuple(SUMS)
    lines = [",".join(columns)]
    lines += [backticked([row.get(name, "0") for name in columns]) for row in cells]
    lines.append(",".join(["总交易单数", *sums]))
    lines.append(backticked([f"{len(cells)}.0", *(sum_of(cells, SUMS[name]) for name in sums)]))
    return file_of(lines)


def sum_of(rows: list[dict[str, str]], column: str) -> str:
    """Fees are told with five places, everything else with two."""
    value = sum(int(row[column].replace(".", "")) for row in rows)
    return yuan(value, 5 if column == "手续费" else 2)


def common_cells(machine: Machine, trade: Trade) -> dict[str, str]:
    config = machine.keys.wechat
    return {
        "公众账号ID": config["appid"], "商户号": config["mchid"], "特约商户号": "0", "设备号": "",
        "微信订单号": trade.gateway_no, "商户订单号": trade.out_trade_no,
        "用户标识": trade.buyer, "交易类型": TRADE_TYPES[trade.scene], "付款银行": "OTHERS",
        "货币种类": "CNY", "商品名称": one_line(trade.subject),
        "商户数据包": one_line(trade.attach), "费率": "0.60%", "费率备注": "",
    }  # fmt: skip


def payment_cells(machine: Machine, trade: Trade) -> dict[str, str]:
    return common_cells(machine, trade) | {
        "交易时间": clock.wall(trade.paid_at or 0), "交易状态": "SUCCESS",
        "应结订单金额": yuan(trade.settled_fen), "代金券金额": yuan(trade.coupon_fen),
        "退款金额": "0.00", "充值券退款金额": "0.00", "退款类型": "", "退款状态": "",
        "手续费": fee_text(trade.settled_fen), "订单金额": yuan(trade.amount_fen),
        "申请退款金额": "0.00",
    }  # fmt: skip


def refund_cells(machine: Machine, refund: Refund) -> dict[str, str]:
    """The order's own amounts are zero here, the refund's are positive, the fee comes back."""
    trade = machine.store.trade_of(refund)
    split = machine.store.split_of(trade, refund)
    is_done = refund.status == RefundStatus.SUCCESS and refund.settled_at is not None
    return common_cells(machine, trade) | {
        "交易时间": clock.wall(refund.created_at), "退款申请时间": clock.wall(refund.created_at),
        "退款成功时间": clock.wall(refund.settled_at or 0) if is_done else "",
        "交易状态": "REFUND", "应结订单金额": "0.00", "代金券金额": "0.00",
        "微信退款单号": refund.refund_id, "商户退款单号": refund.out_refund_no,
        "退款金额": yuan(split.settled_fen),
        "充值券退款金额": yuan(split.settled_fen - split.payer_fen),
        "退款类型": "ORIGINAL", "退款状态": REFUND_STATES[refund.status],
        "手续费": fee_text(-split.settled_fen), "订单金额": "0.00",
        "申请退款金额": yuan(refund.amount_fen),
    }  # fmt: skip


def flow_bill_file(machine: Machine, day: date) -> bytes | None:
    """The basic account: payments in, their fees and refunds out, with the running balance."""
    store = machine.store
    moves: list[tuple[float, Trade, str, str, int]] = []
    for trade in store.paid_between("wechat", *clock.day_bounds(day)):
        at, number = trade.paid_at or 0.0, trade.out_trade_no
        moves.append((at, trade, "交易", number, trade.settled_fen))
        moves.append((at, trade, "扣除交易手续费", number, -fee_fen(trade.settled_fen)))
    for refund in store.refunds_between("wechat", *clock.day_bounds(day)):
        trade = store.trade_of(refund)
        back = store.split_of(trade, refund).settled_fen
        moves.append((refund.created_at, trade, "退款", refund.out_refund_no, -back))
    moves = sorted((move for move in moves if move[4]), key=lambda move: move[0])
    if not moves:
        return None
    lines, balance = [FLOW_COLUMNS], 0
    for place, (at, trade, kind, voucher, fen) in enumerate(moves, 1):
        balance += fen
        direction = "收入" if fen > 0 else "支出"
        cells = [clock.wall(at), trade.gateway_no, f"{day:%Y%m%d}{place:010d}", kind, kind]
        cells += [direction, yuan(abs(fen)), yuan(balance), "system", "", voucher]
        lines.append(backticked(cells))
    income = [move[4] for move in moves if move[4] > 0]
    outgo = [-move[4] for move in moves if move[4] < 0]
    summary = [f"{len(moves)}.0", f"{len(income)}.0", yuan(sum(income))]
    summary += [f"{len(outgo)}.0", yuan(sum(outgo))]
    return file_of([*lines, FLOW_SUMMARY, backticked(summary)])
