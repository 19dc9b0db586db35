"""Writing rows to CSV and XLSX in bounded memory."""

import csv
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from backoffice.exports.cells import cell_text
from backoffice.models import ExportFormat

# Excel's own bound of 1,048,576, less the heading and the lines of sums.
XLSX_ROWS_MAX = 1_048_500
MOMENT_TEXT = "%Y-%m-%d %H:%M:%S"


class RowWriter(Protocol):
    """A file that rows are appended to."""

    def row(self, values: Sequence[Any]) -> None: ...

    def close(self) -> None: ...


class CsvFile:
    """UTF-8 with the mark that lets Excel read Chinese.

    Every field stands in quotes: where lists are separated by semicolons, ``x;=1+1`` would
    otherwise be two cells, and the second a formula.
    """

    def __init__(self, path: Path) -> None:
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


def open_rows(path: Path, file_format: str, *, title: str, widths: Sequence[int]) -> RowWriter:
    """A file for rows; where the format has them, with a name and widths of columns."""
    if file_format != ExportFormat.XLSX:
        return CsvFile(path)
    # Six megabytes in each process that never writes one.
    from backoffice.exports.xlsx import XlsxFile

    return XlsxFile(path, title=title, widths=widths)
