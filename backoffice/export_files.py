"""Writing rows to CSV and XLSX in bounded memory, with nothing in them that a spreadsheet runs."""

import csv
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.exceptions import IllegalCharacterError

from backoffice.models import ExportFormat

# Excel's own bound, less the heading and the line of sums.
XLSX_ROWS_MAX = 1_048_574
# OWASP, "CSV Injection": a cell that begins so is taken for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
MONEY_FORMAT = "#,##0.00"


class RowWriter(Protocol):
    """A file that rows are appended to."""

    def row(self, values: Sequence[Any]) -> None: ...

    def close(self) -> None: ...


def harmless(text: str) -> str:
    """``text`` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


class CsvFile:
    """UTF-8 with the mark that lets Excel read Chinese."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)

    def row(self, values: Sequence[Any]) -> None:
        self._writer.writerow([self._text(value) for value in values])

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def _text(value: Any) -> str:
        if value is None:
            return ""
        return str(value) if isinstance(value, Decimal | int) else harmless(str(value))


class XlsxFile:
    """Amounts are numbers, everything else is text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet()

    def row(self, values: Sequence[Any]) -> None:
        self._sheet.append([self._cell(value) for value in values])

    def close(self) -> None:
        self._book.save(self._path)

    def _cell(self, value: Any) -> Any:
        if isinstance(value, Decimal):
            cell = WriteOnlyCell(self._sheet, value=value)
            cell.number_format = MONEY_FORMAT
            return cell
        if value is None or isinstance(value, int):
            return value
        try:
            return WriteOnlyCell(self._sheet, value=harmless(str(value)))
        except IllegalCharacterError:
            return "".join(letter for letter in harmless(str(value)) if letter.isprintable())


WRITERS: dict[str, type[CsvFile] | type[XlsxFile]] = {
    ExportFormat.CSV: CsvFile,
    ExportFormat.XLSX: XlsxFile,
}


def open_rows(path: Path, file_format: str) -> RowWriter:
    return WRITERS[file_format](path)
