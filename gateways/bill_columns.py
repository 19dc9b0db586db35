"""Columns of a bill, many cells at once: each check and conversion is one pass of C code.

A function gives None where a cell is not what the column promises; whoever asks then reads the
lines one by one, with the same functions, to find the odd one.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from operator import add

_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_AMOUNT = re.compile(rb"\s*(-?)([0-9]{1,12})(?:\.([0-9]{1,6}))?\s*")
_TOO_LONG = b"0" * 13  # far above any bill
_ZERO = b"0.00"
_MOMENT_SHAPE = b"0000-00-00 00:00:00\n"


class Cells:
    """The cells of some whole lines of as many columns, handed out by columns.

    In ``flat``, what a split gives, the last cell of a line and the first of the next come as
    one, since no separator is between them; ``first`` and ``last`` are the two columns.
    """

    __slots__ = ("_first", "_flat", "_last", "_step")

    def __init__(self, flat: list[bytes], width: int, first: list[bytes], last: list[bytes]):
        self._flat, self._step, self._first, self._last = flat, width - 1, first, last

    @classmethod
    def of_line(cls, cells: list[bytes]) -> "Cells":
        return cls(cells, len(cells), cells[:1], cells[-1:])

    @classmethod
    def of_lines(
        cls, text: bytes, separator: bytes, opening: bytes, width: int, count: int
    ) -> "Cells | None":
        """``text`` is ``count`` lines that begin with ``opening``; None unless each has ``width``
        cells."""
        flat = text.split(separator)
        if len(flat) != (width - 1) * count + 1 or not text.startswith(opening):
            return None
        # A small file of the two outer columns; each line has its width when the end of one is
        # in every last cell.
        outer = separator.join(flat[:: width - 1])[len(opening) :]
        pairs = outer.replace(b"\n" + opening, b"\n" + separator).split(separator)
        if not opening:
            pairs.pop()  # what comes after the last line
        last = pairs[1::2]
        ends = (b"\x00".join(last) + b"\x00").count(b"\n\x00")
        return cls(flat, width, pairs[::2], last) if len(pairs) == 2 * count == 2 * ends else None

    def column(self, place: int) -> list[bytes]:
        if place == 0:
            return self._first
        if place == self._step:
            return [cell.strip() for cell in self._last]
        return self._flat[place :: self._step]


def amounts(
    cells: Sequence[bytes], places: int, *, is_blank_zero: bool = False
) -> list[int] | None:
    """Yuan as integers of the last of ``places`` (2: fen), possibly negative."""
    if cells.count(_ZERO) == len(cells):
        return [0] * len(cells)
    text = b"\n".join(cells)
    written = len(cells[0].rpartition(b".")[2])
    if written <= places and _is_uniform(text, len(cells), written):
        values = map(int, text.replace(b".", b"").split(b"\n"))
        factor = 10 ** (places - written)
        return list(values) if factor == 1 else [value * factor for value in values]
    found = []
    for cell in cells:
        value = 0 if is_blank_zero and not cell.strip() else _amount(cell, places)
        if value is None:
            return None
        found.append(value)
    return found


def payment_keys(
    numbers: Sequence[bytes], cells: Sequence[bytes], values: Sequence[int]
) -> list[bytes]:
    """``payment_key`` of each line; ``cells`` are its yuan as written, ``values`` its fen."""
    text = b"\n ".join(cells) + b"\n"
    if text.translate(_TO_ZEROS).count(b".00\n") == len(cells):
        return list(map(add, numbers, (b" " + text[:-1]).replace(b".", b"").split(b"\n")))
    return [b"%b %03d" % pair for pair in zip(numbers, values, strict=True)]


def _is_uniform(text: bytes, count: int, places: int) -> bool:
    """Whether each line is digits, a point and ``places`` digits, perhaps after a minus."""
    shape = (text + b"\n").translate(_TO_ZEROS)
    if shape.count(b"0." + b"0" * places + b"\n") != count or _TOO_LONG in shape:
        return False
    if b"-" in shape:
        if shape.count(b"-") != shape.count(b"\n-0") + shape.startswith(b"-0"):
            return False
        shape = shape.replace(b"-", b"")
    return shape.translate(None, b"0") == b".\n" * count


def _amount(cell: bytes, places: int) -> int | None:
    read = _AMOUNT.fullmatch(cell)
    if not read:
        return None
    sign, whole, fraction = read.groups(b"")
    if fraction[places:].strip(b"0"):
        return None
    value = int(whole + fraction[:places].ljust(places, b"0"))
    return -value if sign else value


def moments(cells: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The first and the last of moments as both gateways write them: ``2026-11-30 23:59:59``."""
    text, step = b"\n".join(cells) + b"\n", len(_MOMENT_SHAPE)
    if text.translate(_TO_ZEROS) != _MOMENT_SHAPE * len(cells):
        return None
    first, last = min(cells), max(cells)
    is_one_day = first[:10] == last[:10]
    days = {first[:10]} if is_one_day else {cell[:10] for cell in cells}
    hours = {last[11:13]} if is_one_day else {cell[11:13] for cell in cells}
    is_clock = max(hours) <= b"23" and max(text[14::step] + text[17::step]) <= ord("5")
    return (first, last) if is_clock and all(map(_is_day, days)) else None


def _is_day(text: bytes) -> bool:
    try:
        date.fromisoformat(text.decode("ascii"))
    except ValueError:
        return False
    return True


def texts(cells: Sequence[bytes], encoding: str) -> list[str]:
    """Raises UnicodeDecodeError."""
    return b"\n".join(cells).decode(encoding).split("\n")


def require_texts(columns: Iterable[Iterable[bytes]], encoding: str) -> None:
    """Raises UnicodeDecodeError, so that ``texts`` of the same columns won't."""
    for cells in columns:
        text = b"".join(cells)
        if not text.isascii():
            text.decode(encoding)


def distinct(cells: Sequence[bytes]) -> set[bytes]:
    """The different values of a column that has few: most blocks have one."""
    first = cells[0]
    return {first} if cells.count(first) == len(cells) else set(cells)
