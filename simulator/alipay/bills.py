"""Alipay's bills (alipay.md section 10): a zip with a detail and a summary file, in GBK, with tabs
and lines that begin with #. The running day is served too, which the real gateway does not do."""

from __future__ import annotations

import io
import secrets
import zipfile
from datetime import date, timedelta
from typing import Any

from simulator import clock, statements
from simulator.alipay.api import BusinessError, Call, invalid
from simulator.machine import Machine
from simulator.money import yuan
from simulator.statements import Line

URL_SECONDS = 30

TRADE_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,"
    "门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ACCOUNT_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,"
    "收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注"
)
MOVES = {
    "payment": "在线支付", "fee": "收费", "refund": "交易退款", "fee_back": "退费",
    "withdrawal": "提现",
}  # fmt: skip
ACCOUNT_SUMMARY_COLUMNS = "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）"
ODD_CELLS = 4  # of a line that breaks off
KINDS = {"trade": "trade", "signcustomer": "fund"}
SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,实收净额（元）"
)


def bill_address(call: Call) -> dict[str, Any]:
    """A day or a month."""
    bill_type = call.text("bill_type", 32, required=True)
    if bill_type not in KINDS:
        raise invalid("bill_type 应为 trade 或 signcustomer")
    start, end = bill_period(call.text("bill_date", 10, required=True))
    content = archive(call.machine, KINDS[bill_type], start, end)
    if content is None:
        raise BusinessError("isp.bill_not_exist", "账单不存在")
    token = secrets.token_urlsafe(24)
    call.machine.downloads.add(token, content, seconds=URL_SECONDS)
    address = f"{call.machine.base_url}/dwbillcenter/downloadBillFile.resource?token={token}"
    return {"bill_download_url": address}


def bill_period(text: str) -> tuple[float, float]:
    try:
        if len(text) == 7:
            first = date.fromisoformat(f"{text}-01")
            following = (first + timedelta(days=32)).replace(day=1)
            return clock.day_bounds(first)[0], clock.day_bounds(following)[0]
        day = date.fromisoformat(text)
    except ValueError as error:
        raise invalid("bill_date 格式应为 yyyy-MM-dd 或 yyyy-MM") from error
    if len(text) != 10 or day > clock.today():
        raise invalid("bill_date 不能晚于今天")
    return clock.day_bounds(day)


def archive(machine: Machine, kind: str, start: float, end: float) -> bytes | None:
    """None when nothing happened, or nothing is to be had."""
    day = clock.beijing(start).date()
    make = fund_parts if kind == "fund" else trade_parts
    parts = make(machine, start, end)
    if parts is None or statements.fault_of(machine, "alipay", day, kind) in ("late", "missing"):
        return None
    name = "账务" if kind == "fund" else "业务"
    account, made_at = f"{machine.keys.alipay['seller_id']}0156", statements.made_at(end)
    lines, totals, summary = parts
    totals += [f"#导出时间：[{clock.beijing(made_at):%Y年%m月%d日 %H:%M:%S}]"]
    detail = [*frame(account, f"{name}明细", start, end, lines), *totals]
    stem = f"{account}_{clock.beijing(start):%Y%m%d}_{name}明细"
    files = {
        f"{stem}.csv": statements.encoded(machine, "alipay", day, kind, detail)[0],
        f"{stem}(汇总).csv": text_of(frame(account, f"{name}汇总", start, end, summary)),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for file_name, content in files.items():
            file.writestr(GbkName(file_name, made_at), content)
    return made.getvalue()


def text_of(rows: list[str]) -> bytes:
    return ("\r\n".join(rows) + "\r\n").encode("gbk", "replace")


class GbkName(zipfile.ZipInfo):
    """File names are GBK too, without the flag that says UTF-8, as the real archives have them."""

    def __init__(self, name: str, at: float) -> None:
        super().__init__(name, date_time=clock.beijing(at).timetuple()[:6])
        self.compress_type = zipfile.ZIP_DEFLATED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


# A bill's rows with their header, the lines that end it, and the rows of its summary.
Parts = tuple[list[str], list[str], list[str]]


def frame(account: str, kind: str, start: float, end: float, inner: list[str]) -> list[str]:
    rule = "#-----------------------------------------"
    return [
        f"#支付宝{kind}查询",
        f"#账号：[{account}]",
        f"#起始日期：[{clock.beijing(start):%Y年%m月%d日} 00:00:00]   "
        f"终止日期：[{clock.beijing(end - 1):%Y年%m月%d日} 24:00:00]",
        f"{rule}{kind}列表{rule[1:-1]}",
        *inner,
        f"{rule}{kind}列表结束{rule[1:-5]}",
    ]


def cell(text: str) -> str:
    """Text cells end with a tab; separators inside would break the line."""
    return text.replace(",", "，").replace("\r", " ").replace("\n", " ").replace("\t", " ") + "\t"


def trade_parts(machine: Machine, start: float, end: float) -> Parts | None:
    lines = statements.lines(machine.store, "alipay", start, end)
    rows, sums = [TRADE_COLUMNS], {is_refund: [0, 0, 0] for is_refund in (False, True)}
    for line in lines:
        cells = trade_cells(line)
        rows.append(",".join(cells[:ODD_CELLS] if line.planted == "line" else cells))
        for place, value in enumerate((1, line.ordered_fen, line.settled_fen)):
            sums[line.refund is not None][place] += value
    (count, ordered, paid), (back_count, asked_back, back) = sums[False], sums[True]
    totals = [
        f"#交易合计：{count}笔，商家实收共{yuan(paid)}元，商家优惠共{yuan(ordered - paid)}元",
        f"#退款合计：{back_count}笔，商家实收退款共{yuan(-back)}元，"
        f"商家优惠退款共{yuan(back - asked_back)}元",
    ]
    summary = f"合计\t,\t,{count},{back_count},{yuan(ordered)},{yuan(paid)},{yuan(paid - back)}"
    return (rows, totals, [SUMMARY_COLUMNS, summary]) if lines else None


def trade_cells(line: Line) -> list[str]:
    """Refund rows are negative; the fee is negative on payments [section 10]."""
    trade, sign = line.trade, -1 if line.refund else 1
    kind, request_no = ("退款", line.refund.out_refund_no) if line.refund else ("交易", "")
    fen, settled_fen = sign * line.ordered_fen, sign * line.settled_fen
    by_gateway = trade.coupon_fen if fen > 0 and trade.coupon_by != "merchant" else 0
    created_at, at = clock.wall(trade.opened_at or trade.created_at), clock.wall(line.at)
    texts = [trade.gateway_no, trade.out_trade_no, kind, trade.subject, created_at, at]
    cells = [cell(text) for text in [*texts, *[""] * 4, "*买家(138****0000)"]]
    cells += [yuan(fen), yuan(settled_fen), "0.00", "0.00", yuan(by_gateway)]
    cells += [yuan(fen - settled_fen), "0.00", cell(""), "0.00", "0.00", cell(request_no)]
    return [*cells, yuan(-sign * line.fee_fen), "0.00", cell("")]


def fund_parts(machine: Machine, start: float, end: float) -> Parts | None:
    """The account, with the balance that goes on from the day before."""
    moves = statements.moves(machine.store, "alipay", start, end)
    rows, sums = [ACCOUNT_COLUMNS], dict[str, dict[bool, list[int]]]()
    for move, balance in moves:
        kind, fen, at = MOVES[move["kind"]], move["fen"], move["at"]
        texts = [statements.flow_no(machine, "alipay", move)]
        texts += [move["gateway_no"] or move["number"], move["out_trade_no"] or ""]
        cells = [cell(text) for text in [*texts, move["subject"] or "", clock.wall(at), ""]]
        cells += [yuan(max(fen, 0)), yuan(min(fen, 0)), yuan(balance)]
        rows.append(",".join([*cells, cell("支付宝"), cell(kind), cell(move["reason"] or "")]))
        for name in (kind, "合计"):
            part = sums.setdefault(name, {True: [0, 0], False: [0, 0]})[fen > 0]
            part[0], part[1] = part[0] + 1, part[1] + fen
    if not moves:
        return None
    sums["合计"] = sums.pop("合计")  # comes last
    (income, income_fen), (outgo, outgo_fen) = sums["合计"][True], sums["合计"][False]
    totals = [f"#支出合计：{outgo}笔，共{yuan(outgo_fen)}元"]
    totals += [f"#收入合计：{income}笔，共{yuan(income_fen)}元"]
    summary = [
        f"{name}\t,{plus[0]},{yuan(plus[1])},{minus[0]},{yuan(minus[1])},{yuan(plus[1] + minus[1])}"
        for name, (plus, minus) in ((name, (s[True], s[False])) for name, s in sums.items())
    ]
    return rows, totals, [ACCOUNT_SUMMARY_COLUMNS, *summary]
