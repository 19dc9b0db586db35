"""WeChat Pay: applying for bills, downloading them, and their lines (wechatpay-v3.md section 7):
UTF-8 with BOM, CRLF, backticks, yuan. Bills of the running day are served too."""

from __future__ import annotations

import gzip
import hashlib
import secrets
from datetime import date, timedelta

from simulator import clock, statements
from simulator.machine import Machine
from simulator.money import yuan
from simulator.statements import Line
from simulator.store import Refund, RefundStatus
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
    RefundStatus.CLOSED: "FAIL",
}


# What the fund bill calls the moves of the account.
MOVES = {
    "payment": "交易", "fee": "扣除交易手续费", "refund": "退款", "closed": "退款关闭",
    "fee_back": "退还交易手续费", "withdrawal": "提现",
}  # fmt: skip
ODD_CELLS = 12  # of a line that breaks off


def trade_bill(call: Call) -> Response:
    query = checked_query(call, {"bill_type"})
    bill_type = one_of(query.get("bill_type", "ALL"), BILL_TYPES, "bill_type")
    return offer(call, query, "trade", bill_type)


def fundflow_bill(call: Call) -> Response:
    """Only the basic account ever moves here."""
    query = checked_query(call, {"account_type"})
    account = one_of(query.get("account_type", "BASIC"), ACCOUNT_TYPES, "account_type")
    return offer(call, query, "fund", account)


def checked_query(call: Call, extra: set[str]) -> dict[str, str]:
    query = call.request.query
    if unknown := set(query) - extra - {"bill_date", "tar_type"}:
        raise parameter_error(f"存在未定义的参数 {min(unknown)}"[:100])
    one_of(query.get("tar_type", "GZIP"), ("GZIP",), "tar_type")
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


def offer(call: Call, query: dict[str, str], kind: str, which: str) -> Response:
    """The hash is of the uncompressed file, whatever is downloaded."""
    day = bill_day(query)
    if statements.fault_of(call.machine, "wechat", day, kind) == "late":
        raise Refusal(400, "STATEMENT_CREATING", "账单正在生成中，请稍后再试")
    made = file_of(call.machine, day, kind, which)
    if made is None:
        raise Refusal(400, "NO_STATEMENT_EXIST", "账单文件不存在")
    content, hashed = made
    token, url = secrets.token_urlsafe(24), f"{call.machine.base_url}/v3/billdownload/file"
    sent = gzip.compress(content) if "tar_type" in query else content
    call.machine.downloads.add(token, sent, seconds=URL_SECONDS)
    digest = hashlib.sha1(hashed, usedforsecurity=False).hexdigest()
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


def one_line(text: str) -> str:
    """No line ends, and no backticks: they begin the next cell."""
    return text.replace("\r", "\\r").replace("\n", "\\n").replace("`", "'")


def file_of(machine: Machine, day: date, kind: str, which: str = "") -> tuple[bytes, bytes] | None:
    """The file as it is sent and as it is hashed; None when nothing happened on that day.

    ``which``: the type of a trade bill, ALL by default, or the account of a fund bill, BASIC.
    """
    is_fund = kind == "fund"
    rows = fund_rows(machine, day) if is_fund else trade_rows(machine, day, which or "ALL")
    is_missing = statements.fault_of(machine, "wechat", day, kind) == "missing"
    if not rows or is_missing or which in ACCOUNT_TYPES[1:]:
        return None
    return statements.encoded(machine, "wechat", day, kind, rows)


def trade_rows(machine: Machine, day: date, bill_type: str) -> list[str]:
    start, end = clock.day_bounds(day)
    made_at, parts = statements.made_at(end), {"SUCCESS": [False], "REFUND": [True]}
    lines = [
        line
        for line in statements.lines(machine.store, "wechat", start, end)
        if (line.refund is not None) in parts.get(bill_type, [False, True])
    ]
    if not lines:
        return []
    cells = [
        common_cells(machine, line)
        | (refund_cells(line, line.refund, made_at) if line.refund else payment_cells(line))
        for line in lines
    ]
    columns = TRADE_COLUMNS[bill_type]
    sums = SUMS_OF_SUCCESS if bill_type == "SUCCESS" else tuple(SUMS)
    rows = [",".join(columns)]
    for line, row in zip(lines, cells, strict=True):
        shown = [row.get(name, "0") for name in columns]
        rows.append(backticked(shown[:ODD_CELLS] if line.planted == "line" else shown))
    rows.append(",".join(["总交易单数", *sums]))
    rows.append(backticked([f"{len(cells)}.0", *(sum_of(cells, SUMS[name]) for name in sums)]))
    return rows


def sum_of(rows: list[dict[str, str]], column: str) -> str:
    """Fees are told with five places, their sum like everything else with two."""
    value = sum(int(row[column].replace(".", "")) for row in rows)
    return yuan(value // 1_000 if column == "手续费" else value)


def common_cells(machine: Machine, line: Line) -> dict[str, str]:
    config, trade = machine.keys.wechat, line.trade
    return {
        "交易时间": clock.wall(line.at), "公众账号ID": trade.appid or config["appid"],
        "商户号": config["mchid"], "特约商户号": "0", "设备号": "",
        "微信订单号": trade.gateway_no, "商户订单号": trade.out_trade_no,
        "用户标识": trade.buyer, "交易类型": TRADE_TYPES[trade.scene], "付款银行": "OTHERS",
        "货币种类": "CNY", "商品名称": one_line(trade.subject),
        "商户数据包": one_line(trade.attach), "费率": "0.60%", "费率备注": "",
    }  # fmt: skip


def payment_cells(line: Line) -> dict[str, str]:
    return {
        "交易状态": "SUCCESS", "应结订单金额": yuan(line.settled_fen),
        "代金券金额": yuan(line.trade.coupon_fen), "退款金额": "0.00", "充值券退款金额": "0.00",
        "退款类型": "", "退款状态": "", "手续费": yuan(line.fee_fen * 1_000, 5),
        "订单金额": yuan(line.ordered_fen), "申请退款金额": "0.00",
    }  # fmt: skip


def refund_cells(line: Line, refund: Refund, made_at: float) -> dict[str, str]:
    """The order's own amounts are zero here, the refund's are positive, the fee comes back.

    Its state is what it was when the bill was made.
    """
    is_known = refund.settled_at is not None and refund.settled_at <= made_at
    state = refund.status if is_known else RefundStatus.PROCESSING
    is_done = state == RefundStatus.SUCCESS
    return {
        "退款申请时间": clock.wall(line.at),
        "退款成功时间": clock.wall(refund.settled_at or 0) if is_done else "",
        "交易状态": "REFUND", "应结订单金额": "0.00", "代金券金额": "0.00",
        "微信退款单号": refund.refund_id, "商户退款单号": refund.out_refund_no,
        "退款金额": yuan(line.settled_fen),
        "充值券退款金额": yuan(refund.settled_fen - refund.payer_fen),
        "退款类型": "ORIGINAL", "退款状态": REFUND_STATES[state],
        "手续费": yuan(-line.fee_fen * 1_000, 5), "订单金额": "0.00",
        "申请退款金额": yuan(line.ordered_fen),
    }  # fmt: skip


def fund_rows(machine: Machine, day: date) -> list[str]:
    """The basic account, with the balance that goes on from the day before."""
    moves = statements.moves(machine.store, "wechat", *clock.day_bounds(day))
    rows = [FLOW_COLUMNS]
    for move, balance in moves:
        kind, fen = MOVES[move["kind"]], move["fen"]
        number = move["refund_id"] or move["gateway_no"] or move["number"]
        voucher = move["out_refund_no"] or move["out_trade_no"] or move["number"]
        cells = [clock.wall(move["at"]), number, statements.flow_no(machine, "wechat", move), kind]
        cells += [kind, "收入" if fen > 0 else "支出", yuan(abs(fen)), yuan(balance), "system"]
        rows.append(backticked([*cells, one_line(move["reason"] or ""), voucher]))
    income = [move["fen"] for move, _ in moves if move["fen"] > 0]
    outgo = [-move["fen"] for move, _ in moves if move["fen"] < 0]
    summary = [f"{len(moves)}.0", f"{len(income)}.0", yuan(sum(income))]
    summary += [f"{len(outgo)}.0", yuan(sum(outgo))]
    return [*rows, FLOW_SUMMARY, backticked(summary)] if moves else []
