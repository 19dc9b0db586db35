"""Single lines of a bill's file, as they stand there, with the names of their columns."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciliation.contents import bill_chunks
from reconciliation.models import BillFile

FOUND_MAX = 20
LINE_BYTES_MAX = 10_000
TERM_MAX = 64
# A line of column names has these words in it, at either gateway and in either kind of bill.
HEADER_WORDS = (
    "交易时间",
    "微信订单号",
    "记账时间",
    "资金流水单号",
    "支付宝交易号",
    "商户订单号",
    "账务流水号",
)
HEADER_WORDS_MIN = 2
# What names the payer isn't needed to compare amounts; the file itself has it.
PAYER_COLUMNS = ("用户标识", "对方账户", "对方账号", "对方名称")
HIDDEN = "***"


@dataclass(frozen=True)
class BillLine:
    """One line of the unpacked file, from 1; ``text`` is all of it where it can't be split
    into ``fields``."""

    number: int
    text: str
    fields: Sequence[tuple[str, str]]


class BillText:
    """A bill's file line by line."""

    def __init__(self, bill: BillFile) -> None:
        self._bill = bill

    def line(self, number: int) -> list[BillLine]:
        """The line with this number; none where the file is shorter."""
        header: list[str] = []
        for at, raw in self._raw_lines():
            text = _text(raw)
            if at == number:
                return [_shown(at, text, header)]
            header = _header(text) or header
        return []

    def containing(self, term: str) -> list[BillLine]:
        """The lines that ``term`` stands in, the first FOUND_MAX."""
        # As WeChat Pay and as Alipay write; numbers are the same in both.
        wanted = {term[:TERM_MAX].encode(code) for code in ("utf-8", "gb18030")}
        found: list[BillLine] = []
        header: list[str] = []
        for at, raw in self._raw_lines():
            # Texts are only made of what may be a header or was found: a file has a million lines.
            is_found = any(one in raw for one in wanted)
            if not header or is_found:
                text = _text(raw)
                if is_found:
                    found.append(_shown(at, text, header))
                header = _header(text) or header
            if len(found) == FOUND_MAX:
                break
        return found

    def _raw_lines(self) -> Iterator[tuple[int, bytes]]:
        rest, number = b"", 0
        for piece in bill_chunks(self._bill):
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            for line in lines:
                number += 1
                yield number, line
        if rest:
            yield number + 1, rest


def _shown(number: int, text: str, header: list[str]) -> BillLine:
    cells = _cells(text)
    if len(cells) != len(header) or _header(text):
        return BillLine(number, text, ())
    return BillLine(number, "", [_field(*one) for one in zip(header, cells, strict=True)])


def _field(name: str, cell: str) -> tuple[str, str]:
    is_hidden = name in PAYER_COLUMNS and cell
    return name, HIDDEN if is_hidden else cell


def _text(raw: bytes) -> str:
    raw = raw[:LINE_BYTES_MAX].rstrip(b"\r")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("gb18030", errors="replace")


def _cells(text: str) -> list[str]:
    if text.startswith("`"):
        # As WeChat Pay writes: what people typed may have commas in it.
        return [cell.strip() for cell in text[1:].split(",`")]
    rows = list(csv.reader([text.replace("\x00", "")]))
    return [cell.strip().removeprefix("`").strip() for cell in rows[0]] if rows else []


def _header(text: str) -> list[str]:
    """The names of the columns, where ``text`` is the line of them."""
    if sum(word in text for word in HEADER_WORDS) < HEADER_WORDS_MIN or "," not in text:
        return []
    return _cells(text)
