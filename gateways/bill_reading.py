"""How the bills of both gateways are read: in blocks, added up, odd lines apart, then compared.

A block of lines is cut into cells by one split, and each column is checked and converted as a
whole (``bill_columns``). Where a block is not regular its lines are read one by one, in the same
way; what still can't be read is an odd line. The totals decide what becomes of those: see
``OddLines``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date
from typing import IO, ClassVar, NamedTuple

from django.utils.text import format_lazy
from django.utils.translation import gettext as _text
from django.utils.translation import gettext_lazy as _

from gateways.bill_columns import Cells, amounts, moments
from gateways.bill_files import Unpacked
from gateways.bill_totals import Addends, Claim, OneOf, Reading, failing, settle
from gateways.interface import BillRefused, BillRow, FundRow, OddLine, TradeLines
from gateways.texts import Text

LINES_MAX = 5_000_000
ODD_LINES_MAX = 100
ODD_TEXT_MAX = 1_000
FRAME_LINES_MAX = 40
AMOUNT_PLACES_MAX = 6
_AMOUNT_WORDS = ("金额", "元", "手续费", "余额", "结余")
_BLOCK_BYTES = 1 << 18
_LINE_BYTES_MAX = 1 << 18
# How many cells are put together in one line, and in how many ways that is tried.
_SURPLUS_MAX = 12
_JOINS_MAX = 2_000


class Block(ABC):
    """Lines of a bill that were read, column by column."""

    count: int
    addends: Addends  # what they add to each of the sums
    first_moment: bytes
    last_moment: bytes
    merchants: Set[bytes] = frozenset()

    @abstractmethod
    def rows(self, number: int) -> Iterator[BillRow] | Iterator[FundRow]:
        """Its rows, the first of which is line ``number``."""


class _Odd(NamedTuple):
    number: int
    line: bytes


def refused(message: Text, **values: object) -> BillRefused:
    return BillRefused(format_lazy(message, **values) if values else message)


class BillReader(ABC):
    """An OpenedBill of one gateway and kind; subclasses know its frame and its columns.

    ``check`` reads the whole file once and raises BillRefused where it does not add up; rows of a
    bill that was not checked are checked while they are handed out, and raise it after the last.
    """

    # Of the columns, by their places: where free text may hold the separator, and what can hold
    # nothing but an amount or a moment, if anything.
    free_columns: Sequence[int]
    amount_columns: Sequence[int]
    moment_columns: Sequence[int]
    width: int
    places: Mapping[str, int]  # of a column, by what it is to us
    encoding: str = "utf-8"
    separator: ClassVar[bytes]
    sums_count: ClassVar[int]

    def __init__(self, unpacked: Unpacked, *, name: str = "") -> None:
        self.file: IO[bytes] = unpacked.file
        self.sha256 = unpacked.sha256
        self.bytes_long = unpacked.bytes_long
        self.name = name
        self.lines = 0
        self.totals: Mapping[str, str] = {}
        self.odd_lines: tuple[OddLine, ...] = ()
        self.first_moment = self.last_moment = ""
        self.period: tuple[date, date] | None = None
        self.has_payments = self.has_refunds = True
        self.merchants: frozenset[str] = frozenset()
        self._is_checked = False
        self._repaired: dict[int, Block] = {}
        self._number = 0  # of the line that was read last
        self._read_head()
        self._start, self._head_lines = self.file.tell(), self._number

    # -- what a gateway's bill is --------------------------------------------------------------

    @abstractmethod
    def _read_head(self) -> None:
        """Read up to the header of the columns, by ``_line``; raises BillRefused."""

    @abstractmethod
    def _cells(self, text: bytes, count: int) -> Cells | None:
        """The cells of ``count`` whole lines, if each line has ``width`` of them."""

    @abstractmethod
    def _block(self, cells: Cells, count: int) -> Block | None:
        """``cells`` read column by column, if all can be."""

    @abstractmethod
    def _cut(self, line: bytes) -> list[bytes]:
        """The cells of one line, however many."""

    @abstractmethod
    def _loose(self, cells: Cells | None) -> list[Addends]:
        """What a line that can't be read may add: None where that is not known."""

    @abstractmethod
    def _fault(self, cells: Cells) -> str:
        """What is wrong with the cells of one line."""

    @abstractmethod
    def _is_frame(self, line: bytes) -> bool:
        """Whether the details end here."""

    @abstractmethod
    def _read_tail(self, tail: list[bytes]) -> tuple[Mapping[str, str], list[Claim | OneOf]]:
        """What the lines after the details say; raises BillRefused for what is not known."""

    def _name_columns(self, names: list[str], free_names: Set[str]) -> None:
        """Raises BillRefused."""
        if len(set(names)) != len(names):
            raise refused(_("表头有重复的列"))
        self.width = len(names)
        places = {name: place for place, name in enumerate(names)}
        self.free_columns = [place for name, place in places.items() if name in free_names]
        self.moment_columns = [place for name, place in places.items() if name.endswith("时间")]
        self.amount_columns = [
            place for name, place in places.items() if any(map(name.__contains__, _AMOUNT_WORDS))
        ]

    # -- reading -------------------------------------------------------------------------------

    def rows(self) -> Iterator[BillRow]:
        for number, block in self._blocks():
            yield from block.rows(number)  # type: ignore[misc]

    def pieces(self) -> Iterator[tuple[int, TradeLines]]:
        yield from self._blocks()  # type: ignore[misc]

    def fund_rows(self) -> Iterator[FundRow]:
        for number, block in self._blocks():
            yield from block.rows(number)  # type: ignore[misc]

    def close(self) -> None:
        self.file.close()

    def check(self) -> None:
        """Raises BillRefused."""
        for _block in self._blocks():
            pass

    def _blocks(self) -> Iterator[tuple[int, Block]]:
        """Each block and the number of its first line; the first time also everything that
        follows from the whole."""
        if self._is_checked:
            yield from self._scan([], [])
            return
        odds: list[_Odd] = []
        tail: list[bytes] = []
        sums = [0] * self.sums_count
        self.lines, self.first_moment, self.last_moment = 0, "", ""
        for number, block in self._scan(odds, tail):
            for place, addend in enumerate(block.addends):
                sums[place] += addend or 0
            self._note(block)
            yield number, block
        self.totals, claims = self._read_tail(tail)
        repaired = self._settled(sums, claims, odds)
        self.lines += len(self.odd_lines)
        for _number, block in repaired:
            self._note(block)
        self._is_checked = True
        yield from repaired

    def _note(self, block: Block) -> None:
        first, last = block.first_moment.decode("ascii"), block.last_moment.decode("ascii")
        self.lines += block.count
        self.first_moment = min(self.first_moment or first, first)
        self.last_moment = max(self.last_moment, last)
        self.merchants |= {text.decode(self.encoding) for text in block.merchants}

    def _scan(self, odds: list[_Odd], tail: list[bytes]) -> Iterator[tuple[int, Block]]:
        number, offset = self._head_lines, self._start
        while text := self._whole_lines(offset):
            offset += len(text)
            count = text.count(b"\n")
            if number + count > LINES_MAX:
                raise refused(_("文件超过 {lines} 行"), lines=LINES_MAX)
            block = None if tail else self._read(text, count)
            if block is not None:
                yield number + 1, block
            else:
                for place, line in enumerate(text.split(b"\n")[:-1], number + 1):
                    yield from self._single(place, line, odds, tail)
            number += count

    def _whole_lines(self, offset: int) -> bytes:
        """Lines from ``offset`` up to the end of one, which the last line of the file may lack."""
        self.file.seek(offset)  # several may be reading
        text = self.file.read(_BLOCK_BYTES)
        if text and not text.endswith(b"\n"):
            text += self.file.readline(_LINE_BYTES_MAX)
            if not text.endswith(b"\n"):
                if self.file.read(1):
                    raise refused(_("有一行长得不像账单的行"))
                text += b"\n"
        return text

    def _single(
        self, number: int, line: bytes, odds: list[_Odd], tail: list[bytes]
    ) -> Iterator[tuple[int, Block]]:
        if not line.strip():
            return
        if tail or self._is_frame(line):
            tail.append(line)
            if len(tail) > FRAME_LINES_MAX:
                raise refused(_("合计之后还有内容：文件可能拼接了两份账单"))
            return
        block = self._repaired.get(number) or self._read(line + b"\n", 1)
        if block is not None:
            yield number, block
            return
        odds.append(_Odd(number, line))
        if len(odds) > ODD_LINES_MAX:
            cells = self._cut(line)
            raise refused(
                _("超过 {lines} 行无法读取，例如第 {number} 行：{reason}"),
                lines=ODD_LINES_MAX, number=number, reason=self._reason(cells),
            )  # fmt: skip

    def _read(self, text: bytes, count: int) -> Block | None:
        cells = self._cells(text, count)
        try:
            return self._block(cells, count) if cells else None
        except UnicodeDecodeError:
            return None

    def _column(self, role: str, cells: Cells) -> list[bytes]:
        return cells.column(self.places[role])

    def _shown(self, role: str, cells: Cells) -> str:
        return self._column(role, cells)[0].decode(self.encoding, "replace").strip()[:40]

    def _line(self) -> bytes:
        """The next line of the head, without its end; empty at the end of the file."""
        line = self.file.readline(_LINE_BYTES_MAX)
        if len(line) == _LINE_BYTES_MAX:
            raise refused(_("有一行长得不像账单的行"))
        self._number += 1
        return line.rstrip(b"\r\n")

    # -- odd lines -----------------------------------------------------------------------------

    def _settled(
        self, sums: list[int], claims: list[Claim | OneOf], odds: list[_Odd]
    ) -> list[tuple[int, Block]]:
        """Compare with the totals; the odd lines that they prove a reading of.

        Raises BillRefused where the totals differ by anything but what odd lines may carry.
        """
        settled = settle(sums, claims, [self._readings(odd) for odd in odds])
        if settled is None:
            claim = failing(sums, claims)
            raise refused(
                _("合计不符：{name} 账单写 {said}，各行相加为 {found}"),
                name=claim.name, said=claim.said, found=claim.found(sums),
            )  # fmt: skip
        repaired, left = [], []
        for odd, reading in zip(odds, settled, strict=True):
            if reading is None:
                cells = self._cut(odd.line)
                text = odd.line.decode(self.encoding, "replace").strip()
                left.append(OddLine(odd.number, self._reason(cells), text[:ODD_TEXT_MAX]))
            else:
                repaired.append((odd.number, reading))
        # One line may be odd by itself; where all are, the file isn't as it was downloaded.
        if len(left) > 1 and len(left) == self.lines + len(odds):
            raise refused(
                _("没有一行可以读取，例如第 {number} 行：{reason}。文件可能用表格软件另存过"),
                number=left[0].number, reason=left[0].reason,
            )  # fmt: skip
        self._repaired = dict(repaired)
        self.odd_lines = tuple(left)
        return repaired

    def _readings(self, odd: _Odd) -> list[Reading[Block]]:
        cells = self._cut(odd.line)
        found: dict[object, Reading[Block]] = {}
        alignments = list(self._alignments(cells))
        for aligned in alignments:
            block = self._read_cells(aligned) if self._is_plausible(aligned) else None
            if block is not None:
                key = next(iter(block.rows(odd.number)))
                found.setdefault(key, Reading(block.addends, block))
        if found:
            return list(found.values())
        loose = {
            tuple(ways) for aligned in alignments for ways in self._loose(Cells.of_line(aligned))
        }
        return [Reading(ways, None) for ways in loose or self._loose(None)]

    def _is_plausible(self, cells: list[bytes]) -> bool:
        """Whether the columns that are read for nothing else hold what they may, too."""
        found = [cell for place in self.moment_columns if (cell := cells[place].strip())]
        if found and not moments(found):
            return False
        sums = [cells[place] for place in self.amount_columns]
        return amounts(sums, AMOUNT_PLACES_MAX, is_blank_zero=True) is not None

    def _read_cells(self, cells: list[bytes]) -> Block | None:
        try:
            return self._block(Cells.of_line(cells), 1)
        except UnicodeDecodeError:
            return None

    def _alignments(self, cells: list[bytes]) -> Iterator[list[bytes]]:
        """The ways to give surplus separators back to the free texts that may hold them."""
        surplus = len(cells) - self.width
        if not 0 <= surplus <= _SURPLUS_MAX:
            return
        for ways, shares in enumerate(_shares(surplus, len(self.free_columns))):
            if ways == _JOINS_MAX:
                return
            taken = dict(zip(self.free_columns, shares, strict=True))
            aligned, place = [], 0
            for column in range(self.width):
                end = place + 1 + taken.get(column, 0)
                aligned.append(self.separator.join(cells[place:end]))
                place = end
            yield aligned

    def _reason(self, cells: list[bytes]) -> str:
        if len(cells) != self.width:
            return _text("单元格数为 {found}，应为 {width}").format(
                found=len(cells), width=self.width
            )
        return self._fault(Cells.of_line(cells))


def _shares(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to give ``total`` to ``parts`` places."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _shares(total - first, parts - 1):
            yield (first, *rest)
