"""Reports as files: every figure as a number, with the sums that the report has."""

import csv
from datetime import date
from decimal import Decimal

import pytest
from openpyxl import load_workbook

from backoffice.reports import files
from backoffice.reports.files import report_write
from balances.selectors import LedgerMoves
from reconciliation.money import Cell, Sums
from reconciliation.reports import Report, ReportDay

pytestmark = pytest.mark.django_db

CELLS = {
    Cell("balance", "", "other", "=cmd"): Sums(1, Decimal("30.00"), 1, Decimal("10.00")),
    Cell("wechat", "1900", "consultation", "video"): Sums(2, Decimal("45.50")),
}
REPORT = Report(
    date(2026, 11, 24),
    date(2026, 11, 25),
    [
        ReportDay(
            day=date(2026, 11, number),
            version=version,
            cells=CELLS,
            fees={("wechat", "1900"): Decimal("0.27")},
            coupons={},
            surplus={},
            moves=LedgerMoves(spending=Decimal("30.00"), refunds=Decimal("10.00")),
            opening=Decimal("100.00"),
            closing=Decimal("80.00"),
            signature="s",
        )
        for number, version in ((24, 1), (25, None))
    ],
)


@pytest.fixture(autouse=True)
def _closing_begins_with_the_first_day(monkeypatch):
    monkeypatch.setattr(files, "first_closable_day", lambda: REPORT.first)


def written(tmp_path, what: str) -> list[list[str]]:
    report_write(tmp_path / "r.csv", REPORT, what=what, file_format="csv")
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_a_report_has_a_line_for_each_day_and_their_sum(tmp_path):
    rows = written(tmp_path, "report")
    assert [row[:6] for row in rows[1:4]] == [
        ["2026-11-24", "已日结", "3", "75.50", "1", "10.00"],
        ["2026-11-25", "未日结", "3", "75.50", "1", "10.00"],
        ["合计", "", "6", "151.00", "2", "20.00"],
    ]
    assert rows[3][-1] == "80.00"
    assert ["微信支付 1900", "", "4", "91.00", "0", "0.00", "0.54", "90.46", "0.00", "0.00"] in rows


def test_vouchers_name_types_of_orders_in_words(tmp_path):
    details = {row[7] for row in written(tmp_path, "vouchers")[1:]}
    assert {"1900", "图文咨询"} <= details
    assert "consultation" not in details


def test_nothing_in_it_is_a_formula(tmp_path):
    assert any(row[:1] == ["'=cmd"] for row in written(tmp_path, "report"))


def test_in_a_spreadsheet_amounts_are_numbers(tmp_path):
    report_write(tmp_path / "r.xlsx", REPORT, what="report", file_format="xlsx")
    sheet = load_workbook(tmp_path / "r.xlsx").active
    assert [cell.value for cell in sheet[4]][2:5] == [6, 151, 2]


def test_vouchers_are_lines_of_closed_days_alone(tmp_path):
    head, *rows = written(tmp_path, "vouchers")
    assert head[:2] == ["凭证日期", "凭证号"]
    assert {row[1] for row in rows} == {"20261124-1"}
    assert sum(Decimal(row[5]) for row in rows) == sum(Decimal(row[6]) for row in rows) > 0
