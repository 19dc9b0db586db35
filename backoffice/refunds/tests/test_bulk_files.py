"""Lists of orders as staff keep them: what is read, and what is refused in words."""

import io
import zipfile
from decimal import Decimal

import pytest
from django.utils.translation import override
from openpyxl import Workbook

from backoffice.exports.columns import LISTS
from backoffice.exports.totals import ExportTotals
from backoffice.refunds import bulk_files
from backoffice.refunds.bulk_files import FileRefused, rows_of
from backoffice.refunds.bulk_results import COLUMNS, _totals
from refunds.bulk_plan import ROWS_MAX, Wanted
from refunds.models import RefundBulk


def read(content: bytes, name: str = "list.csv") -> list[Wanted]:
    return rows_of(io.BytesIO(content), name)


def workbook(*rows) -> bytes:
    book, kept = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(kept)
    return kept.getvalue()


TABLE = "订单号,退款金额,退款原因\nORD1,12.5,停诊\nORD2,,\n"
ROWS = [Wanted("ORD1", Decimal("12.50"), "停诊", line=2), Wanted("ORD2", line=3)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_a_csv_is_read_in_every_encoding_that_spreadsheets_write(encoding):
    assert read(TABLE.encode(encoding)) == ROWS


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_blank_and_total_lines_are_known(separator):
    text = TABLE.replace(",", separator) + "\n合计 2 行\n"
    assert read(text.encode()) == ROWS


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_our_own_exports_are_read_in_every_language(language):
    orders = LISTS["payments_paymentorder"]
    with override(language):
        totals = ExportTotals(orders)
        orders_file = workbook(
            [str(column.title) for column in orders.columns], ["ORD1"], *totals.lines()
        )
        heading = ",".join(str(title) for title, _width in COLUMNS)
        sums = "\n".join(",".join(map(str, line)) for line in _totals([], RefundBulk()))
    assert read(orders_file, "orders.xlsx") == [Wanted("ORD1", line=2)]
    assert read(f"{heading}\n1,ORD1,12.5,停诊\n{sums}\n".encode()) == ROWS[:1]


def test_an_xlsx_is_read_with_its_numbers():
    content = workbook(["Order_No", "备注", "amount", "Reason"], ["ORD1", "x", 19.9, "停诊"])
    assert read(content, "list.xlsx") == [Wanted("ORD1", Decimal("19.90"), "停诊", line=2)]


@pytest.mark.parametrize(
    ("amount", "code"),
    [("0", "BULK_AMOUNT"), ("1.005", "BULK_AMOUNT"), ("1e3", "BULK_AMOUNT"), ("1,234.50", "")],
)
def test_an_amount_that_is_none_is_the_rows_own_problem(amount, code):
    (row,) = read(f'order_no,amount\nORD1,"{amount}"\n'.encode())
    assert row.problem == code


def test_a_row_without_an_order_is_read_with_the_line_that_a_spreadsheet_shows():
    text = '订单号,退款原因\n\n"ORD1","两\n行"\n,停诊\n'
    found = [Wanted("ORD1", None, "两\n行", line=3), Wanted("", None, "停诊", line=4)]
    assert read(text.encode()) == found


LONG = "订单号,退款原因\nORD1," + "长" * 501


def test_a_reason_past_its_bound_is_the_rows_own_problem():
    (row,) = read(LONG.encode())
    assert (row.problem, len(row.reason)) == ("BULK_REASON", 500)


def bomb() -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (bulk_files.UNPACKED_BYTES_MAX + 1))
    return kept.getvalue()


def with_entities() -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as packed:
        packed.writestr("xl/workbook.xml", '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>')
    return kept.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "a.csv", "空的"),
        (b"  \n", "a.csv", "空的"),
        (b"x" * (bulk_files.FILE_BYTES_MAX + 1), "a.csv", "超过 2 MB"),
        ("金额\n1.00\n".encode(), "a.csv", "要有“订单号”"),
        ("订单号,order_no\nA,B\n".encode(), "a.csv", "出现了两次"),
        ("订单号\n".encode(), "a.csv", "没有内容"),
        ("订单号\n=1+1\n".encode(), "a.csv", "第 2 行有公式"),
        ("订单号,退款原因\nORD1,+cmd\n".encode(), "a.csv", "第 2 行有公式"),
        ('订单号\n"ORD1\n'.encode(), "a.csv", "不是有效的 CSV"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a.csv", "不是文本文件"),
        ("订单号\nORD\x01\n".encode(), "a.csv", "不能显示"),
        (("订单号\n" + "A" * 65).encode(), "a.csv", "太长"),
        (("订单号\n" + "ORD1\n" * (ROWS_MAX + 1)).encode(), "a.csv", "超过 5000 行"),
        (("订单号\nORD1\n" + "\n" * bulk_files.LINES_MAX).encode(), "a.csv", "空行"),
        (workbook(["订单号", "退款金额"], ["ORD1", "=1+1"]), "a.xlsx", "第 2 行有公式"),
        (b"PK\x03\x04 broken", "a.xlsx", "打不开"),
        (b"\xd0\xcf\x11\xe0old", "a.xls", "不是 XLSX"),
        (bomb(), "a.xlsx", "解开后太大"),
        (with_entities(), "a.xlsx", "解开后太大"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_words(content, name, words):
    with pytest.raises(FileRefused, match=words):
        read(content, name)


def test_as_many_rows_as_allowed_are_read():
    assert len(read(("订单号\n" + "ORD1\n" * ROWS_MAX).encode())) == ROWS_MAX
