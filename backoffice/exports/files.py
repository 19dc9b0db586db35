"""Writing rows to CSV and XLSX in bounded memory, with nothing in them that a spreadsheet runs."""

import csv
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils import get_column_letter

from backoffice.models import ExportFormat
from backoffice.site.display import directions_shown

# Excel's own bound of 1,048,576, less the heading and the lines of sums.
XLSX_ROWS_MAX = 1_048_500
# OWASP, "CSV Injection": a cell that begins so is taken for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Excel's own bound for a cell, less the mark of a harmless one.
TEXT_LENGTH_MAX = 32_766
# What XML can't hold or no reader sees; a tab would move what follows it to another column.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
TITLE_LENGTH_MAX = 31  # of a sheet, Excel's own bound too
MONEY_FORMAT = "#,##0.00"
MOMENT_FORMAT = "yyyy-mm-dd hh:mm:ss"
MOMENT_TEXT = "%Y-%m-%d %H:%M:%S"


class RowWriter(Protocol):
    """A file that rows are appended to."""

    def row(self, values: Sequence[Any]) -> None: ...

    def close(self) -> None: ...


def harmless(text: str) -> str:
    """``text`` so that no spreadsheet takes it for a formula, also behind what it passes over."""
    first = next((letter for letter in text if not _is_passed_over(letter)), "")
    is_formula = text.startswith(FORMULA_STARTS) or first in FORMULA_STARTS
    return f"'{text}" if is_formula else text


def _is_passed_over(letter: str) -> bool:
    """Control and format characters, and spaces of any kind."""
    return unicodedata.category(letter)[0] in "CZ"


def cell_text(value: Any) -> str:
    """``value`` as a cell shows it: first without what hides, then made harmless."""
    return harmless(CONTROLS.sub("", directions_shown(str(value))))


class CsvFile:
    """UTF-8 with the mark that lets Excel read Chinese.

    Every field stands in quotes: where lists are separated by semicolons, ``x;=1+1`` would
    otherwise be two cells, and the second a formula.
    """

    def __init__(self, path: Path, *, title: str, widths: Sequence[int]) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL)

    def row(self, values: Sequence[Any]) -> None:
        self._writer.writerow([self._text(value) for value in values])

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def _text(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, datetime):
            return value.strftime(MOMENT_TEXT)
        return str(value) if isinstance(value, Decimal | int) else cell_text(value)


class XlsxFile:
    """Amounts are numbers, moments are moments, everything else is text.

    The first row stays in sight. Rows go to the disk as they come, so everything about the
    sheet itself is said before them.
    """

    def __init__(self, path: Path, *, title: str, widths: Sequence[int]) -> None:
        self._path = path
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(title[:TITLE_LENGTH_MAX])
        self._sheet.freeze_panes = "A2"
        for number, width in enumerate(widths, start=1):
            self._sheet.column_dimensions[get_column_letter(number)].width = width

    def row(self, values: Sequence[Any]) -> None:
        self._sheet.append([self._cell(value) for value in values])

    def close(self) -> None:
        self._book.save(self._path)

    def _cell(self, value: Any) -> Any:
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, Decimal):
            return self._formatted(value, MONEY_FORMAT)
        if isinstance(value, datetime):
            return self._formatted(value.replace(tzinfo=None), MOMENT_FORMAT)
        cell = WriteOnlyCell(self._sheet, value=cell_text(value)[:TEXT_LENGTH_MAX])
        cell.data_type = "s"  # whatever it looks like: not a formula, not an error
        return cell

    def _formatted(self, value: Any, number_format: str) -> Any:
        cell = WriteOnlyCell(self._sheet, value=value)
        cell.number_format = number_format
        return cell


WRITERS: dict[str, type[CsvFile] | type[XlsxFile]] = {
    ExportFormat.CSV: CsvFile,
    ExportFormat.XLSX: XlsxFile,
}


def open_rows(path: Path, file_format: str, *, title: str, widths: Sequence[int]) -> RowWriter:
    """A file for rows; where the format has them, with a name and widths of columns."""
    return WRITERS[file_format](path, title=title, widths=widths)
