"""Reports as files: sums for people (XLSX, CSV), vouchers for a ledger system (CSV, XLSX)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.exports.files import open_rows
from backoffice.trail.words import GATEWAY_NAMES
from balances.selectors import LedgerMoves
from payments.selectors import service_names
from reconciliation.figures import MOVES
from reconciliation.reports import FEES_BY, Line, Report, ReportDay
from reconciliation.stand import first_closable_day
from reconciliation.vouchers import vouchers
from tcmpay.common.money import Money
from tcmpay.common.order_types import OrderType

Row = Sequence[Any]
LINE_HEADS = (
    gettext_lazy("收款笔数"),
    gettext_lazy("收款（元）"),
    gettext_lazy("退款笔数"),
    gettext_lazy("退款（元）"),
    gettext_lazy("手续费（元）"),
    gettext_lazy("净额（元）"),
    gettext_lazy("多收款项（元）"),
    gettext_lazy("退回多收款项（元）"),
)
BALANCE_HEADS = (
    gettext_lazy("期初余额负债（元）"),
    gettext_lazy("充值（元）"),
    gettext_lazy("消费（元）"),
    gettext_lazy("退回余额（元）"),
    gettext_lazy("退回充值（元）"),
    gettext_lazy("调整（元）"),
    gettext_lazy("其他（元）"),
    gettext_lazy("期末余额负债（元）"),
)
SECTIONS = (
    ("method", gettext_lazy("按支付方式")),
    ("merchant", gettext_lazy("按商户号")),
    ("order_type", gettext_lazy("按订单类型")),
    ("service", gettext_lazy("按服务")),
)


@dataclass(frozen=True)
class Sheet:
    """What a file holds: a title, the widths of its columns, its rows from the heading on."""

    title: str
    widths: Sequence[int]
    rows: Iterator[Row]


def report_write(path: Path, report: Report, *, what: str, file_format: str) -> None:
    """Write the ``what`` (``report`` or ``vouchers``) of ``report`` to ``path`` as CSV or XLSX."""
    sheet = SHEETS[what](report)
    writer = open_rows(path, file_format, title=sheet.title, widths=sheet.widths)
    for row in sheet.rows:
        writer.row(row)
    writer.close()


def report_sheet(report: Report) -> Sheet:
    widths = (16, 10, *(14,) * 16)
    return Sheet(_("收支报表"), widths, _report_rows(report))


def _report_rows(report: Report) -> Iterator[Row]:
    """The days with their sum, then the same money by each way of telling it apart."""
    yield [_("营业日"), _("状态"), *map(str, (*LINE_HEADS, *BALANCE_HEADS))]
    first = first_closable_day()
    for one in report.days:
        yield [
            one.day.isoformat(),
            close_text(one, first),
            *_figures(one.line),
            *_balances(one.opening, one.moves, one.closing),
        ]
    yield [_("合计"), "", *_figures(report.total), *_balances_of(report)]
    for what, title in SECTIONS:
        yield []
        yield [str(title), "", *map(str, LINE_HEADS)]
        for line in report.by(what):
            yield [line_name(what, line.name), "", *_figures(line, has_fees=what in FEES_BY)]


def close_text(one: ReportDay, first: date | None) -> str:
    """Whether the day is closed; before ``first``, where closing begins, none has to be."""
    if one.is_closed:
        return _("已日结")
    return _("未日结") if first is not None and one.day >= first else _("日结启用之前")


def _figures(line: Line, *, has_fees: bool = True) -> Row:
    """Bills tell nothing of fees and surplus money by type or service: there they stay empty."""
    sums = line.sums
    told: list[Any] = [sums.receipts_number, sums.receipts, sums.refunds_number, sums.refunds]
    if not has_fees:
        return [*told, None, None, None, None]
    return [*told, line.fees, line.net, line.surplus.receipts, line.surplus.refunds]


def _balances(opening: Money, moves: LedgerMoves, closing: Money) -> list[Money]:
    return [opening, *(getattr(moves, name) for name in MOVES), closing]


def _balances_of(report: Report) -> list[Money]:
    days = report.days
    return _balances(days[0].opening, report.moves, days[-1].closing) if days else []


def line_name(what: str, name: str) -> str:
    """What a line is about, in words."""
    if what == "service":
        return service_names().get(name, name)
    if what == "order_type":
        return str(dict(OrderType.choices).get(name, name))
    method, _space, merchant = name.partition(" ")
    return f"{GATEWAY_NAMES.get(method, method)} {merchant}".strip()


VOUCHER_HEADS = (
    gettext_lazy("凭证日期"),
    gettext_lazy("凭证号"),
    gettext_lazy("凭证摘要"),
    gettext_lazy("科目编码"),
    gettext_lazy("科目名称"),
    gettext_lazy("借方金额"),
    gettext_lazy("贷方金额"),
    gettext_lazy("明细"),
    gettext_lazy("日结签名"),
)


def voucher_sheet(report: Report) -> Sheet:
    return Sheet(_("会计凭证"), (12, 14, 16, 12, 24, 14, 14, 18, 24), _voucher_rows(report))


def _voucher_rows(report: Report) -> Iterator[Row]:
    yield list(map(str, VOUCHER_HEADS))
    types = {code: str(label) for code, label in OrderType.choices}
    for line in vouchers(report):
        yield [
            line.day.isoformat(),
            line.number,
            line.text,
            line.account,
            line.account_name,
            line.debit,
            line.credit,
            types.get(line.detail, line.detail),
            line.signature,
        ]


SHEETS = {"report": report_sheet, "vouchers": voucher_sheet}
