"""Lines of a bill's file as people see them: by the names of their columns, without who paid."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

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
PAYER_COLUMNS = frozenset({"用户标识", "对方账户", "对方账号", "对方名称"})
HIDDEN = "***"
LINE_BYTES_MAX = 10_000
# As WeChat Pay and as Alipay write.
ENCODINGS = ("utf-8-sig", "gb18030")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a bill, by the line that names them."""

    names: Sequence[str]

    @classmethod
    def of(cls, text: str) -> "Columns | None":
        """None where ``text`` is no such line."""
        if sum(word in text for word in HEADER_WORDS) < HEADER_WORDS_MIN or "," not in text:
            return None
        return cls([_plain(cell) for cell in _cells(text)])

    def fields(self, text: str) -> list[tuple[str, str]]:
        """The cells of a line with their names; none where it has more or fewer."""
        cells = _cells(text)
        if len(cells) != len(self.names) or Columns.of(text):
            return []
        return [
            (name, _shown(name, _plain(cell))) for name, cell in zip(self.names, cells, strict=True)
        ]

    def masked(self, text: str) -> str:
        """The line without who paid; empty where it has more cells, or fewer: any may name them."""
        cells = _cells(text)
        if len(cells) != len(self.names):
            return ""
        shown = [_shown(name, cell) for name, cell in zip(self.names, cells, strict=True)]
        return "`" + ",`".join(shown) if text.startswith("`") else ",".join(shown)


def lines_walked(
    lines: Iterable[bytes], is_wanted: Callable[[int, bytes], bool]
) -> Iterator[tuple[int, str, Columns | None]]:
    """The wanted lines of an unpacked file with their numbers (from 1), as text without their ends,
    and the columns, where the line that names them came before.

    Texts are only made of what may be that line or is wanted: a file has a million lines. In which
    of the encodings it is that line tells; of one that is too long not all is read.
    """
    columns: Columns | None = None
    encodings: Sequence[str] = ENCODINGS
    for number, raw in enumerate(lines, start=1):
        is_found = is_wanted(number, raw)
        if columns is not None and not is_found:
            continue
        text, encoding = _decoded(raw[:LINE_BYTES_MAX].rstrip(b"\r\n"), encodings)
        if is_found:
            yield number, text, columns
        if columns is None and (columns := Columns.of(text)):
            encodings = (encoding,)


def _decoded(raw: bytes, encodings: Sequence[str]) -> tuple[str, str]:
    """As text, and in which of ``encodings`` it is; the last where in none of them."""
    for encoding in encodings[:-1]:
        try:
            return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            pass
    return raw.decode(encodings[-1], errors="replace"), encodings[-1]


def _shown(name: str, cell: str) -> str:
    return HIDDEN if name in PAYER_COLUMNS and cell.strip() else cell


def _cells(text: str) -> list[str]:
    if text.startswith("`"):
        # As WeChat Pay writes: what people typed may have commas in it.
        return text[1:].split(",`")
    return next(csv.reader([text.replace("\x00", "")]), [])


def _plain(cell: str) -> str:
    return cell.strip().removeprefix("`").strip()
