"""Single lines of a bill's file, as they stand there, with the names of their columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from reconciliation.bill_text import HIDDEN, Columns, lines_walked
from reconciliation.contents import bill_raw_lines
from reconciliation.models import BillFile

FOUND_MAX = 20
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
        return self._first(1, lambda at, _raw: at == number)

    def containing(self, term: str) -> list[BillLine]:
        """The lines that ``term`` stands in where it is shown, the first FOUND_MAX."""
        term = term[:TERM_MAX]
        # Numbers are the same in either encoding.
        wanted = {term.encode(code) for code in ("utf-8", "gb18030")}
        return self._first(
            FOUND_MAX,
            lambda _at, raw: any(one in raw for one in wanted),
            lambda line: term in line.text or any(term in cell for _name, cell in line.fields),
        )

    def _first(
        self,
        lines_max: int,
        is_wanted: Callable[[int, bytes], bool],
        is_shown: Callable[[BillLine], bool] = lambda line: True,
    ) -> list[BillLine]:
        walked = lines_walked(bill_raw_lines(self._bill), is_wanted)
        lines = (self._shown(*one) for one in walked)
        return list(islice(filter(is_shown, lines), lines_max))

    def _shown(self, number: int, text: str, columns: Columns | None) -> BillLine:
        if fields := columns.fields(text) if columns else []:
            return BillLine(number, "", fields)
        is_frame = text.startswith(FRAME_MARK) or Columns.of(text) is not None
        return BillLine(number, text if is_frame or self._shows_all else HIDDEN, ())
