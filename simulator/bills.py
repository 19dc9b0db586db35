"""The files of a day, as both gateways lay them out.

WeChat: wechatpay-v3.md section 7 (UTF-8 with BOM, CRLF, backticks, yuan). Alipay: alipay.md
section 10 (GBK, tabs, lines that begin with #). Bills of the running day are served too.
"""

from __future__ import annotations

import io
import zipfile
from datetime import date
from typing import TYPE_CHECKING

from simulator import books, clock
from simulator.money import yuan
from simulator.store import Refund, RefundStatus, Trade
from simulator.wechat.messages import TRADE_TYPES

if TYPE_CHECKING:
    from simulator.machine import Machine

FEE_RATE_PER_MILLE = 6

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
TRADE_SUMMARY = [
    "总交易单数",
    "应结订单总金额",
    "退款总金额",
    "充值券退款总金额",
    "手续费总金额",
    "订单总金额",
    "申请退款总金额",
]
SUMMARIES = {
    "ALL": TRADE_SUMMARY,
    "SUCCESS": ["总交易单数", "应结订单总金额", "手续费总金额", "订单总金额"],
    "REFUND": TRADE_SUMMARY,
}
FLOW_COLUMNS = [
    "记账时间",
    "微信支付业务单号",
    "资金流水单号",
    "业务名称",
    "业务类型",
    "收支类型",
    "收支金额(元)",
    "账户结余(元)",
    "资金变更提交申请人",
    "备注",
    "业务凭证号",
]
FLOW_SUMMARY = ["资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额"]
# What the bill calls the states of a refund.
REFUND_STATES = {
    RefundStatus.SUCCESS: "SUCCESS",
    RefundStatus.PROCESSING: "PROCESSING",
    RefundStatus.ABNORMAL: "CHANGE",
}

ALIPAY_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,"
    "门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ALIPAY_ACCOUNT_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,"
    "收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注"
)


def day_trades(machine: Machine, channel: str, start: float, end: float) -> list[Trade]:
    where = "channel = ? AND paid_at >= ? AND paid_at < ? ORDER BY paid_at, id"
    return machine.store.find(Trade, where, channel, start, end)


def day_refunds(machine: Machine, channel: str, start: float, end: float) -> list[Refund]:
    where = (
        "channel = ? AND created_at >= ? AND created_at < ? AND status <> 'CLOSED' "
        "ORDER BY created_at, id"
    )
    return machine.store.find(Refund, where, channel, start, end)


def fee_text(fen: int) -> str:
    """Fees are told with five decimals of a yuan."""
    value = fen * FEE_RATE_PER_MILLE  # thousandths of a fen, that is 1e-5 yuan
    return f"{'-' if value < 0 else ''}{abs(value) // 100_000}.{abs(value) % 100_000:05d}"


def fee_fen(fen: int) -> int:
    return (fen * FEE_RATE_PER_MILLE + 500) // 1_000


def backticked(cells: list[str]) -> str:
    return ",".join(f"`{cell}" for cell in cells)


def wechat_file(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n").encode("utf-8-sig")


def one_line(text: str) -> str:
    """No line ends, and no backticks: they begin the next cell."""
    return text.replace("\r", "\\r").replace("\n", "\\n").replace("`", "'")


def wechat_trade_bill(machine: Machine, day: date, bill_type: str) -> bytes | None:
    """None when nothing happened on that day."""
    start, end = clock.day_bounds(day)
    rows = []
    if bill_type in ("ALL", "SUCCESS"):
        rows += [
            (trade.paid_at or 0.0, payment_cells(machine, trade))
            for trade in day_trades(machine, "wechat", start, end)
        ]
    if bill_type in ("ALL", "REFUND"):
        rows += [
            (refund.created_at, refund_cells(machine, refund))
            for refund in day_refunds(machine, "wechat", start, end)
        ]
    if not rows:
        return None
    cells = [row for _, row in sorted(rows, key=lambda row: row[0])]
    columns = TRADE_COLUMNS[bill_type]
    lines = [",".join(columns)]
    lines += [backticked([row.get(name, "0") for name in columns]) for row in cells]
    summary = trade_summary(cells)
    lines += [",".join(SUMMARIES[bill_type])]
    lines += [backticked([summary[name] for name in SUMMARIES[bill_type]])]
    return wechat_file(lines)


def common_cells(machine: Machine, trade: Trade) -> dict[str, str]:
    config = machine.keys.wechat
    return {
        "公众账号ID": config["appid"],
        "商户号": config["mchid"],
        "特约商户号": "0",
        "设备号": "",
        "微信订单号": trade.gateway_no,
        "商户订单号": trade.out_trade_no,
        "用户标识": trade.buyer,
        "交易类型": TRADE_TYPES[trade.scene],
        "付款银行": "OTHERS",
        "货币种类": "CNY",
        "商品名称": one_line(trade.subject),
        "商户数据包": one_line(trade.attach),
        "费率": "0.60%",
        "费率备注": "",
    }


def payment_cells(machine: Machine, trade: Trade) -> dict[str, str]:
    return common_cells(machine, trade) | {
        "交易时间": clock.wall(trade.paid_at or 0),
        "交易状态": "SUCCESS",
        "应结订单金额": yuan(trade.settled_fen),
        "代金券金额": yuan(trade.coupon_fen),
        "退款金额": "0.00",
        "充值券退款金额": "0.00",
        "退款类型": "",
        "退款状态": "",
        "手续费": fee_text(trade.settled_fen),
        "订单金额": yuan(trade.amount_fen),
        "申请退款金额": "0.00",
    }


def refund_cells(machine: Machine, refund: Refund) -> dict[str, str]:
    """The order's own amounts are zero here, the refund's are positive, the fee comes back."""
    trade = machine.store.get(Trade, refund.trade_id)
    split = books.split_of(machine, trade, refund)
    is_done = refund.status == RefundStatus.SUCCESS and refund.settled_at is not None
    return common_cells(machine, trade) | {
        "交易时间": clock.wall(refund.created_at),
        "退款申请时间": clock.wall(refund.created_at),
        "退款成功时间": clock.wall(refund.settled_at or 0) if is_done else "",
        "交易状态": "REFUND",
        "应结订单金额": "0.00",
        "代金券金额": "0.00",
        "微信退款单号": refund.refund_id,
        "商户退款单号": refund.out_refund_no,
        "退款金额": yuan(split.settled_fen),
        "充值券退款金额": yuan(split.settled_fen - split.payer_fen),
        "退款类型": "ORIGINAL",
        "退款状态": REFUND_STATES[refund.status],
        "手续费": fee_text(-split.settled_fen),
        "订单金额": "0.00",
        "申请退款金额": yuan(refund.amount_fen),
    }


def trade_summary(rows: list[dict[str, str]]) -> dict[str, str]:
    def total(name: str, places: int = 2) -> str:
        value = sum(int(row[name].replace(".", "")) for row in rows)
        unit = 10**places
        return f"{'-' if value < 0 else ''}{abs(value) // unit}.{abs(value) % unit:0{places}d}"

    return {
        "总交易单数": f"{len(rows)}.0",
        "应结订单总金额": total("应结订单金额"),
        "退款总金额": total("退款金额"),
        "充值券退款总金额": total("充值券退款金额"),
        "手续费总金额": total("手续费", 5),
        "订单总金额": total("订单金额"),
        "申请退款总金额": total("申请退款金额"),
    }


def wechat_fundflow_bill(machine: Machine, day: date) -> bytes | None:
    """The basic account: payments in, their fees and refunds out, with the running balance."""
    start, end = clock.day_bounds(day)
    moves: list[tuple[float, Trade, str, str, str, int]] = []
    for trade in day_trades(machine, "wechat", start, end):
        at, number = trade.paid_at or 0.0, trade.out_trade_no
        moves.append((at, trade, "交易", "交易", number, trade.settled_fen))
        fee = fee_fen(trade.settled_fen)
        if fee:
            moves.append((at, trade, "扣除交易手续费", "扣除交易手续费", number, -fee))
    for refund in day_refunds(machine, "wechat", start, end):
        trade = machine.store.get(Trade, refund.trade_id)
        back = books.split_of(machine, trade, refund).settled_fen
        if back:
            moves.append((refund.created_at, trade, "退款", "退款", refund.out_refund_no, -back))
    if not moves:
        return None
    moves.sort(key=lambda move: move[0])
    lines = [",".join(FLOW_COLUMNS)]
    balance = 0
    for place, (at, trade, name, kind, voucher, fen) in enumerate(moves, 1):
        balance += fen
        lines.append(
            backticked(
                [
                    clock.wall(at),
                    trade.gateway_no,
                    f"{day:%Y%m%d}{place:010d}",
                    name,
                    kind,
                    "收入" if fen > 0 else "支出",
                    yuan(abs(fen)),
                    yuan(balance),
                    "system",
                    "",
                    voucher,
                ]
            )
        )
    income = [move[5] for move in moves if move[5] > 0]
    outgo = [-move[5] for move in moves if move[5] < 0]
    summary = [
        f"{len(moves)}.0",
        f"{len(income)}.0",
        yuan(sum(income)),
        f"{len(outgo)}.0",
        yuan(sum(outgo)),
    ]
    return wechat_file([*lines, ",".join(FLOW_SUMMARY), backticked(summary)])


def alipay_zip(machine: Machine, bill_type: str, start: float, end: float) -> bytes | None:
    """The archive with its detail and summary files; None when nothing happened."""
    trades = day_trades(machine, "alipay", start, end)
    refunds = [
        refund
        for refund in day_refunds(machine, "alipay", start, end)
        if refund.status == RefundStatus.SUCCESS
    ]
    if not trades and not refunds:
        return None
    kind = "账务明细" if bill_type == "signcustomer" else "业务明细"
    lines = account_lines if bill_type == "signcustomer" else trade_lines
    stem = f"{machine.keys.alipay['seller_id']}0156_{clock.beijing(start):%Y%m%d}_{kind}"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        detail = frame(machine, kind, start, end, lines(machine, trades, refunds))
        write_gbk(file, f"{stem}.csv", [*detail, *totals(machine, trades, refunds)])
        summary = summary_lines(machine, trades, refunds)
        summary = frame(machine, f"{kind}(汇总)", start, end, summary)
        write_gbk(file, f"{stem}(汇总).csv", summary)
    return archive.getvalue()


def write_gbk(archive: zipfile.ZipFile, name: str, lines: list[str]) -> None:
    """File names are GBK too, without the flag that says UTF-8, as the real archives have them."""
    content = ("\r\n".join(lines) + "\r\n").encode("gbk", "replace")
    archive.writestr(GbkName(name), content)


class GbkName(zipfile.ZipInfo):
    def __init__(self, name: str) -> None:
        moment = clock.beijing(clock.now())
        super().__init__(name, date_time=moment.timetuple()[:6])
        self.compress_type = zipfile.ZIP_DEFLATED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def frame(machine: Machine, kind: str, start: float, end: float, inner: list[str]) -> list[str]:
    last = clock.beijing(end - 1)
    return [
        f"#支付宝{kind}查询",
        f"#账号：[{machine.keys.alipay['seller_id']}0156]",
        f"#起始日期：[{clock.beijing(start):%Y年%m月%d日} 00:00:00]   "
        f"终止日期：[{last:%Y年%m月%d日} 24:00:00]",
        f"#-----------------------------------------{kind}列表----------------------------------------",
        *inner,
        f"#-----------------------------------------{kind}列表结束------------------------------------",
    ]


def cell(text: str) -> str:
    """Text cells end with a tab; separators inside would break the line."""
    return text.replace(",", "，").replace("\r", " ").replace("\n", " ").replace("\t", " ") + "\t"


def trade_lines(machine: Machine, trades: list[Trade], refunds: list[Refund]) -> list[str]:
    lines = [ALIPAY_COLUMNS]
    lines += [
        alipay_line(trade, "交易", trade.paid_at or 0.0, trade.amount_fen, trade.settled_fen, "")
        for trade in trades
    ]
    for refund in refunds:
        trade = machine.store.get(Trade, refund.trade_id)
        at, number = refund.settled_at or refund.created_at, refund.out_refund_no
        settled_fen = books.split_of(machine, trade, refund).settled_fen
        lines.append(alipay_line(trade, "退款", at, -refund.amount_fen, -settled_fen, number))
    return lines


def alipay_line(
    trade: Trade, kind: str, at: float, fen: int, settled_fen: int, request_no: str
) -> str:
    """Refund rows are negative; the fee is negative on payments [section 10]."""
    coupon_fen = trade.coupon_fen if fen > 0 else 0
    by_merchant = trade.coupon_by == "merchant"
    return ",".join(
        [
            cell(trade.gateway_no),
            cell(trade.out_trade_no),
            cell(kind),
            cell(trade.subject),
            cell(clock.wall(trade.opened_at or trade.created_at)),
            cell(clock.wall(at)),
            *[cell("")] * 4,
            cell("*买家(138****0000)"),
            yuan(fen),
            yuan(settled_fen),
            *["0.00"] * 2,
            yuan(0 if by_merchant else coupon_fen),
            yuan(fen - settled_fen),
            "0.00",
            cell(""),
            "0.00",
            "0.00",
            cell(request_no),
            yuan(-fee_fen(settled_fen)) if fen > 0 else "0.00",
            "0.00",
            cell(""),
        ]
    )


def account_lines(machine: Machine, trades: list[Trade], refunds: list[Refund]) -> list[str]:
    moves = [(t.paid_at or 0.0, t, t.settled_fen, "在线支付") for t in trades]
    moves += [
        (
            r.settled_at or r.created_at,
            machine.store.get(Trade, r.trade_id),
            -settled_back(machine, r),
            "交易退款",
        )
        for r in refunds
    ]
    lines, balance = [ALIPAY_ACCOUNT_COLUMNS], 0
    for number, (at, trade, fen, kind) in enumerate(sorted(moves, key=lambda move: move[0]), 1):
        balance += fen
        texts = [f"{clock.beijing(at):%Y%m%d}{number:08d}", trade.gateway_no, trade.out_trade_no]
        lines.append(
            ",".join(
                [
                    *[cell(text) for text in [*texts, trade.subject, clock.wall(at), ""]],
                    yuan(fen) if fen > 0 else "",
                    yuan(fen) if fen < 0 else "",
                    yuan(balance),
                    *[cell(text) for text in ["支付宝", kind, ""]],
                ]
            )
        )
    return lines


def settled_back(machine: Machine, refund: Refund) -> int:
    """What a refund took from the merchant's account."""
    trade = machine.store.get(Trade, refund.trade_id)
    return books.split_of(machine, trade, refund).settled_fen


def totals(machine: Machine, trades: list[Trade], refunds: list[Refund]) -> list[str]:
    paid = sum(trade.settled_fen for trade in trades)
    given = sum(trade.amount_fen for trade in trades) - paid
    back = sum(settled_back(machine, refund) for refund in refunds)
    given_back = sum(refund.amount_fen for refund in refunds) - back
    return [
        f"#交易合计：{len(trades)}笔，商家实收共{yuan(paid)}元，商家优惠共{yuan(given)}元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{yuan(-back)}元，"
        f"商家优惠退款共{yuan(-given_back)}元",
        f"#导出时间：[{clock.beijing(clock.now()):%Y年%m月%d日 %H:%M:%S}]",
    ]


def summary_lines(machine: Machine, trades: list[Trade], refunds: list[Refund]) -> list[str]:
    ordered = sum(trade.amount_fen for trade in trades)
    paid = sum(trade.settled_fen for trade in trades)
    back = sum(settled_back(machine, refund) for refund in refunds)
    return [
        "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,实收净额（元）",
        f"合计\t,\t,{len(trades)},{len(refunds)},{yuan(ordered)},{yuan(paid)},{yuan(paid - back)}",
    ]
