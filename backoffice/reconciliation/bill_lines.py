"""Single lines of a bill's file, as they stand there, with the names of their columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciliation.bill_text import HIDDEN, Columns
from reconciliation.contents import bill_chunks
from reconciliation.models import BillFile

FOUND_MAX = 20
LINE_BYTES_MAX = 10_000
TERM_MAX = 64
# The file's own lines around the details, which name nobody.
FRAME_MARK = "#"


@dataclass(frozen=True)
class BillLine:
    """One line of the unpacked file, from 1; ``text`` is all of it where it can't be split
    into ``fields``."""

    number: int
    text: str
    fields: Sequence[tuple[str, str]]


class BillText:
    """A bill's file line by line. Who may take the file sees also the lines that can't be split
    into columns, which may name the payer anywhere."""

    def __init__(self, bill: BillFile, *, shows_all: bool) -> None:
        self._bill = bill
        self._shows_all = shows_all

    def line(self, number: int) -> list[BillLine]:
        """The line with this number; none where the file is shorter."""
        columns: Columns | None = None
        for at, raw in self._raw_lines():
            text = _text(raw)
            if at == number:
                return [self._shown(at, text, columns)]
            columns = Columns.of(text) or columns
        return []

    def containing(self, term: str) -> list[BillLine]:
        """The lines that ``term`` stands in where it is shown, the first FOUND_MAX."""
        term = term[:TERM_MAX]
        # As WeChat Pay and as Alipay write; numbers are the same in both.
        wanted = {term.encode(code) for code in ("utf-8", "gb18030")}
        found: list[BillLine] = []
        columns: Columns | None = None
        for at, raw in self._raw_lines():
            # Texts are only made of what may be a header or was found: a file has a million lines.
            is_found = any(one in raw for one in wanted)
            if not columns or is_found:
                text = _text(raw)
                line = self._shown(at, text, columns)
                if is_found and (
                    term in line.text or any(term in cell for _name, cell in line.fields)
                ):
                    found.append(line)
                columns = Columns.of(text) or columns
            if len(found) == FOUND_MAX:
                break
        return found

    def _shown(self, number: int, text: str, columns: Columns | None) -> BillLine:
        if fields := columns.fields(text) if columns else []:
            return BillLine(number, "", fields)
        is_frame = text.startswith(FRAME_MARK) or Columns.of(text) is not None
        return BillLine(number, text if is_frame or self._shows_all else HIDDEN, ())

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


def _text(raw: bytes) -> str:
    raw = raw[:LINE_BYTES_MAX].rstrip(b"\r")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("gb18030", errors="replace")
