"""Alipay's bills (alipay.md section 10): a zip with a detail and a summary file, in GBK, with tabs
and lines that begin with #. The running day is served too, which the real gateway does not do."""

from __future__ import annotations

import io
import secrets
import zipfile
from datetime import date, timedelta
from typing import Any

from simulator import clock
from simulator.alipay.api import BusinessError, Call, invalid
from simulator.machine import Machine
from simulator.money import fee_fen, yuan
from simulator.store import Refund, RefundStatus, Trade

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
SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,实收净额（元）"
)


def bill_address(call: Call) -> dict[str, Any]:
    """A day or a month."""
    bill_type = call.text("bill_type", 32, required=True)
    if bill_type not in ("trade", "signcustomer"):
        raise invalid("bill_type 应为 trade 或 signcustomer")
    start, end = bill_period(call.text("bill_date", 10, required=True))
    content = archive(call.machine, bill_type, start, end)
    if content is None or call.machine.settings.statement_creating:
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


def archive(machine: Machine, bill_type: str, start: float, end: float) -> bytes | None:
    """None when nothing happened."""
    store = machine.store
    trades = store.paid_between("alipay", start, end)
    refunds = [
        (refund, store.trade_of(refund), store.split_of(store.trade_of(refund), refund).settled_fen)
        for refund in store.refunds_between("alipay", start, end)
        if refund.status == RefundStatus.SUCCESS
    ]
    if not trades and not refunds:
        return None
    is_account = bill_type == "signcustomer"
    kind = "账务明细" if is_account else "业务明细"
    lines = account_lines(trades, refunds) if is_account else trade_lines(trades, refunds)
    account = f"{machine.keys.alipay['seller_id']}0156"
    stem = f"{account}_{clock.beijing(start):%Y%m%d}_{kind}"
    last_line, totals = totals_of(trades, refunds)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        ends = account_totals(trades, refunds) if is_account else totals
        detail = [*frame(account, kind, start, end, lines), *ends]
        summary = frame(account, f"{kind}(汇总)", start, end, [SUMMARY_COLUMNS, last_line])
        for name, content in ((f"{stem}.csv", detail), (f"{stem}(汇总).csv", summary)):
            text = "\r\n".join(content) + "\r\n"
            file.writestr(GbkName(name), text.encode("gbk", "replace"))
    return made.getvalue()


class GbkName(zipfile.ZipInfo):
    """File names are GBK too, without the flag that says UTF-8, as the real archives have them."""

    def __init__(self, name: str) -> None:
        super().__init__(name, date_time=clock.beijing(clock.now()).timetuple()[:6])
        self.compress_type = zipfile.ZIP_DEFLATED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


# A refund, its trade, and what it took from the merchant's account (fen).
Back = tuple[Refund, Trade, int]


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


def trade_lines(trades: list[Trade], refunds: list[Back]) -> list[str]:
    lines = [TRADE_COLUMNS]
    for trade in trades:
        paid = trade.amount_fen, trade.settled_fen
        lines.append(trade_line(trade, "交易", trade.paid_at or 0.0, *paid, ""))
    for refund, trade, settled_fen in refunds:
        at, back = refund.settled_at or refund.created_at, (-refund.amount_fen, -settled_fen)
        lines.append(trade_line(trade, "退款", at, *back, refund.out_refund_no))
    return lines


def trade_line(
    trade: Trade, kind: str, at: float, fen: int, settled_fen: int, request_no: str
) -> str:
    """Refund rows are negative; the fee is negative on payments [section 10]."""
    by_gateway = trade.coupon_fen if fen > 0 and trade.coupon_by != "merchant" else 0
    created_at = clock.wall(trade.opened_at or trade.created_at)
    texts = [trade.gateway_no, trade.out_trade_no, kind, trade.subject, created_at, clock.wall(at)]
    cells = [cell(text) for text in [*texts, *[""] * 4, "*买家(138****0000)"]]
    cells += [yuan(fen), yuan(settled_fen), "0.00", "0.00", yuan(by_gateway)]
    cells += [yuan(fen - settled_fen), "0.00", cell(""), "0.00", "0.00", cell(request_no)]
    return ",".join([*cells, yuan(-fee_fen(settled_fen) if fen > 0 else 0), "0.00", cell("")])


def account_lines(trades: list[Trade], refunds: list[Back]) -> list[str]:
    moves = [(t.paid_at or 0.0, t, t.settled_fen, "在线支付") for t in trades]
    moves += [(r.settled_at or r.created_at, t, -back, "交易退款") for r, t, back in refunds]
    lines, balance = [ACCOUNT_COLUMNS], 0
    for number, (at, trade, fen, kind) in enumerate(sorted(moves, key=lambda move: move[0]), 1):
        balance += fen
        texts = [f"{clock.beijing(at):%Y%m%d}{number:08d}", trade.gateway_no, trade.out_trade_no]
        cells = [cell(text) for text in [*texts, trade.subject, clock.wall(at), ""]]
        cells += [yuan(fen) if fen > 0 else "", yuan(fen) if fen < 0 else "", yuan(balance)]
        lines.append(",".join([*cells, cell("支付宝"), cell(kind), cell("")]))
    return lines


def account_totals(trades: list[Trade], refunds: list[Back]) -> list[str]:
    paid, back = sum(t.settled_fen for t in trades), sum(back for *_, back in refunds)
    return [
        f"#支出合计：{len(refunds)}笔，共{yuan(-back)}元",
        f"#收入合计：{len(trades)}笔，共{yuan(paid)}元",
        f"#导出时间：[{clock.beijing(clock.now()):%Y年%m月%d日 %H:%M:%S}]",
    ]


def totals_of(trades: list[Trade], refunds: list[Back]) -> tuple[str, list[str]]:
    """The line of the summary, and the lines that end the detail."""
    ordered, paid = (sum(t.amount_fen for t in trades), sum(t.settled_fen for t in trades))
    asked_back, back = (sum(r.amount_fen for r, *_ in refunds), sum(b for *_, b in refunds))
    summary = f"合计\t,\t,{len(trades)},{len(refunds)},{yuan(ordered)},{yuan(paid)}"
    return f"{summary},{yuan(paid - back)}", [
        f"#交易合计：{len(trades)}笔，商家实收共{yuan(paid)}元，商家优惠共{yuan(ordered - paid)}元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{yuan(-back)}元，"
        f"商家优惠退款共{yuan(back - asked_back)}元",
        f"#导出时间：[{clock.beijing(clock.now()):%Y年%m月%d日 %H:%M:%S}]",
    ]
