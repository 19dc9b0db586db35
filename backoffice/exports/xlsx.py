"""Sheets for Excel, in bounded memory."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils import get_column_letter

from backoffice.exports.cells import cell_text

# Excel's own bound for a cell, less the mark of a harmless one.
TEXT_LENGTH_MAX = 32_766
TITLE_LENGTH_MAX = 31  # of a sheet, Excel's own bound too
MONEY_FORMAT = "#,##0.00"
MOMENT_FORMAT = "yyyy-mm-dd hh:mm:ss"


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
