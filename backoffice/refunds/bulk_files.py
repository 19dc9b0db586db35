"""Lists of orders to refund, as staff keep them: CSV or XLSX, read within bounds.

A file is taken whole or not at all: whatever is wrong with it is said in words, with its line.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from refunds.bulk_plan import NAMED_LENGTH_MAX, REASON_LENGTH_MAX, ROWS_MAX, Wanted
from refunds.errors import RowAmountWrong, RowReasonWrong
from tcmpay.common.money import Money, MoneyError, parse_money, without_separators

FILE_BYTES_MAX = 2 << 20
# What an XLSX may unpack to: fifty times what 5,000 rows need.
UNPACKED_BYTES_MAX = 32 << 20
PARTS_MAX = 200
COLUMNS_MAX = 50
# Empty ones among them.
LINES_MAX = 4 * ROWS_MAX
ORDER, AMOUNT, REASON = "order", "amount", "reason"
# What our own exports call the columns, and how the lines of sums read that they end with.
OWN_HEADINGS = {
    ORDER: gettext_lazy("订单号"),
    AMOUNT: gettext_lazy("退款金额（元）"),
    REASON: gettext_lazy("退款原因"),
}
OWN_TOTALS = (gettext_lazy("合计 %(number)d 行"), gettext_lazy("合计 %(kind)s %(number)d 行"))
# What else the columns may be called, in small letters.
HEADINGS: Mapping[str, str] = {
    **dict.fromkeys(("订单编号", "订单", "order_no", "order_id", "order"), ORDER),
    **dict.fromkeys(("退款金额(元)", "退款金额", "refund_amount", "amount"), AMOUNT),
    **dict.fromkeys(("原因", "refund_reason", "reason"), REASON),
}
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
ENCODINGS = ("utf-8-sig", "gb18030")
# How people begin their own lines of sums.
TOTALS = ("合计", "Total")


class FileRefused(Exception):
    """The file can't be used; the message says why and what to do."""


Line = tuple[int, Sequence[Any]]


def rows_of(file: IO[bytes], name: str) -> list[Wanted]:
    """The rows that a file names. Raises FileRefused."""
    content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise FileRefused(_("文件超过 %(size)d MB。") % {"size": FILE_BYTES_MAX >> 20})
    if not content.strip():
        raise FileRefused(_("文件是空的。"))
    if content[:4] == b"PK\x03\x04":
        lines = _xlsx_lines(content)
    elif name.lower().endswith((".xls", ".xlsx", ".xlsm", ".ods")):
        raise FileRefused(_("不是 XLSX 文件：请用表格软件另存为 XLSX 或 CSV。"))
    else:
        lines = _csv_lines(content)
    return _wanted(lines)


def _wanted(lines: Iterator[Line]) -> list[Wanted]:
    _number, heading = next(lines, (0, ()))
    places = _places(heading)
    totals = _totals()
    found: list[Wanted] = []
    for number, cells in lines:
        texts = {
            column: _text(cells[at], number) if at < len(cells) else ""
            for column, at in places.items()
        }
        if not any(texts.values()) or any(_is_total(texts[ORDER], way) for way in totals):
            continue
        if len(found) >= ROWS_MAX:
            raise FileRefused(_("超过 %(number)d 行，请分几次。") % {"number": ROWS_MAX})
        found.append(_row(texts, number))
    if not found:
        raise FileRefused(_("除标题外没有内容。"))
    return found


def _places(heading: Sequence[Any]) -> dict[str, int]:
    """Where each column of ours is. Raises FileRefused."""
    known = _headings()
    places: dict[str, int] = {}
    for at, cell in enumerate(heading):
        column = known.get(str(cell if cell is not None else "").strip().lower())
        if column in places:
            raise FileRefused(_("标题“%(name)s”出现了两次。") % {"name": _quoted(cell)})
        if column is not None:
            places[column] = at
    if ORDER not in places:
        raise FileRefused(_("第一行应是标题，其中要有“订单号”；可以另有“退款金额”和“退款原因”。"))
    return places


def _headings() -> dict[str, str]:
    """The columns by what they may be called, in every language that we export in."""
    found = dict(HEADINGS)
    for language, _name in settings.LANGUAGES:
        with override(language):
            found |= {str(title).lower(): column for column, title in OWN_HEADINGS.items()}
    return found


def _totals() -> list[list[str]]:
    """How a line of sums begins, as people write it or as our exports do in any language: texts
    that follow each other, with numbers and names between them."""
    ways = [[word] for word in TOTALS]
    for language, _name in settings.LANGUAGES:
        with override(language):
            ways += [re.split(r"%\(\w+\)[sd]", str(line)) for line in OWN_TOTALS]
    return ways


def _is_total(text: str, way: list[str]) -> bool:
    first, *others = way
    at = len(first) if text.startswith(first) else -1
    for part in others:
        if at < 0:
            return False
        at = text.find(part, at + 1)
    return at >= 0


def _row(texts: Mapping[str, str], number: int) -> Wanted:
    named, reason = texts[ORDER], texts.get(REASON, "")
    if len(named) > NAMED_LENGTH_MAX:
        raise FileRefused(_("第 %(number)d 行的订单号太长。") % {"number": number})
    amount, problem = _amount(texts.get(AMOUNT, ""))
    if len(reason) > REASON_LENGTH_MAX:
        problem, reason = RowReasonWrong.code, reason[:REASON_LENGTH_MAX]
    return Wanted(named, amount, reason, problem, number)


def _amount(text: str) -> tuple[Money | None, str]:
    if not text:
        return None, ""
    try:
        return parse_money(without_separators(text)), ""
    except MoneyError:
        return None, RowAmountWrong.code


def _text(cell: Any, number: int) -> str:
    """A cell as text. Raises FileRefused: it is a formula."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.12g}"  # spreadsheets keep 19.9 as the nearest number that they can
    text = str(cell).strip()
    is_number = isinstance(cell, int)
    if text.startswith(FORMULA_STARTS) and not is_number:
        raise FileRefused(
            _("第 %(number)d 行有公式（%(text)s）：请改为数值或文字再上传。")
            % {"number": number, "text": _quoted(text)}
        )
    if any(not letter.isprintable() and letter not in "\n\t" for letter in text):
        raise FileRefused(_("第 %(number)d 行有不能显示的字符。") % {"number": number})
    return text


def _quoted(cell: Any) -> str:
    """As much of a cell as a sentence about it repeats."""
    return str(cell).strip()[:40]


def _bounded(lines: Iterable[Sequence[Any]]) -> Iterator[Line]:
    for number, cells in enumerate(lines, start=1):
        if number > LINES_MAX:
            raise FileRefused(_("行数太多（含空行），请删去空行。"))
        yield number, cells


# --- CSV ------------------------------------------------------------------------------------------


def _csv_lines(content: bytes) -> Iterator[Line]:
    text = _decoded(content)
    first = text.splitlines()[0] if text.splitlines() else ""
    separator = max(",\t;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        yield from _bounded(reader)
    except csv.Error as error:
        text = _("第 %(number)d 行不是有效的 CSV，请用表格软件另存后再上传。")
        raise FileRefused(text % {"number": reader.line_num}) from error


def _decoded(content: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with it, or GBK, as Excel writes CSV in China."""
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if is_utf16 else ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise FileRefused(_("不是文本文件，或编码不是 UTF-8、GBK：请用表格软件另存为 XLSX 或 CSV。"))


# --- XLSX -----------------------------------------------------------------------------------------


def _xlsx_lines(content: bytes) -> Iterator[Line]:
    _ensure_harmless(content)
    try:
        # Six megabytes in each process that never reads one.
        from openpyxl import load_workbook

        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size need not be true
        yield from _bounded(_cells(sheet.iter_rows(max_col=COLUMNS_MAX)))
    except FileRefused:
        raise
    except Exception as error:  # openpyxl raises whatever a broken file makes it stumble over
        raise FileRefused(_("打不开这个 XLSX 文件：请用表格软件另存后再上传。")) from error


def _cells(rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    for row in rows:
        yield [_cell(cell) for cell in row]


def _cell(cell: Any) -> Any:
    is_formula = getattr(cell, "data_type", "") == "f"
    return f"={cell.value}".replace("==", "=", 1) if is_formula else cell.value


def _ensure_harmless(content: bytes) -> None:
    """Raises FileRefused: it would unpack to far more than it is, or its XML defines entities."""
    bomb = _("这个 XLSX 文件解开后太大，或含有不允许的内容：请只保留要退款的清单再上传。")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = packed.infolist()
            if len(parts) > PARTS_MAX or sum(one.file_size for one in parts) > UNPACKED_BYTES_MAX:
                raise FileRefused(bomb)
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with packed.open(part) as file:
                        text = file.read(UNPACKED_BYTES_MAX).replace(b"\x00", b"")
                    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                        raise FileRefused(bomb)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise FileRefused(_("打不开这个 XLSX 文件：请用表格软件另存后再上传。")) from error
