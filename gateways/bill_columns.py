"""Columns of a bill, many cells at once: each check and conversion is one pass of C code.

A function gives None where a cell is not what the column promises; whoever asks then reads the
lines one by one, with the same functions, to find the odd one.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date

_DIGITS = b"0123456789"
_AMOUNT = re.compile(rb"\s*(-?)([0-9]{1,12})(?:\.([0-9]{1,6}))?\s*")
_WHOLE_DIGITS_MAX = 12  # far above any bill
_MOMENT_BYTES = len("2026-11-30 23:59:59")
_PUNCTUATION = ((4, b"-"), (7, b"-"), (10, b" "), (13, b":"), (16, b":"))


def amounts(
    cells: Sequence[bytes], places: int, *, is_blank_zero: bool = False
) -> list[int] | None:
    """Yuan as integers of the last of ``places`` (2: fen), possibly negative."""
    zero = b"0.00"
    if cells.count(zero) == len(cells):
        return [0] * len(cells)
    text = b"\n".join(cells)
    written = _uniform_places(text, len(cells))
    if written is not None and written <= places:
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


def _uniform_places(text: bytes, count: int) -> int | None:
    """How many digits follow the point, if each line is digits, a point and as many digits,
    perhaps after a minus."""
    marks = text.translate(None, _DIGITS)
    if b"-" in marks:
        if text.count(b"-") != text.count(b"\n-") + text.startswith(b"-"):
            return None
        marks = marks.replace(b"-", b"")
    if marks != b".\n" * (count - 1) + b".":
        return None
    if b"\n." in text or b"-." in text or text.startswith(b"."):
        return None
    parts = text.replace(b".", b"\n").split(b"\n")
    if len(max(parts[::2], key=len)) > _WHOLE_DIGITS_MAX:
        return None
    places = set(map(len, parts[1::2]))
    return places.pop() if len(places) == 1 else None


def _amount(cell: bytes, places: int) -> int | None:
    read = _AMOUNT.fullmatch(cell)
    if not read:
        return None
    sign, whole, fraction = read.groups(b"")
    if fraction[places:].strip(b"0"):
        return None
    value = int(whole + fraction[:places].ljust(places, b"0"))
    return -value if sign else value


def are_moments(cells: Sequence[bytes]) -> bool:
    """Whether each cell is a moment as both gateways write it: ``2026-11-30 23:59:59``."""
    count, text = len(cells), b"".join(cells)
    if set(map(len, cells)) != {_MOMENT_BYTES}:
        return False
    if len(text.translate(None, _DIGITS)) != len(_PUNCTUATION) * count:
        return False
    if any(text[place::_MOMENT_BYTES] != mark * count for place, mark in _PUNCTUATION):
        return False
    first, last = min(cells)[:10], max(cells)[:10]
    days = {first} if first == last else {cell[:10] for cell in cells}
    hours = {max(cells)[11:13]} if first == last else {cell[11:13] for cell in cells}
    return (
        max(hours) <= b"23"
        and max(text[14::_MOMENT_BYTES]) <= ord("5")
        and max(text[17::_MOMENT_BYTES]) <= ord("5")
        and all(map(_is_day, days))
    )


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
