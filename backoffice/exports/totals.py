"""The last lines of an export: how many rows there are of each kind, and what they come to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from backoffice.exports.columns import ExportList
from tcmpay.common.money import ZERO, Money


@dataclass(slots=True)
class Group:
    """The rows of one kind: what they are called, how many, and the sum (yuan) of each column."""

    name: str
    position: tuple[int, ...]
    sums: dict[int, Money]
    number: int = 0


class ExportTotals:
    """Adds up rows as they are written; keeps one number for each kind and column."""

    def __init__(self, listed: ExportList) -> None:
        self.listed = listed
        self.number = 0
        self.counted = ZERO
        self._summed = [at for at, column in enumerate(listed.columns) if column.is_summed]
        self._groups: dict[tuple[str, ...], Group] = {}

    def add(self, row: Any, values: Sequence[Any]) -> None:
        """Count ``row``, whose columns hold ``values``."""
        self.number += 1
        kind = tuple(getattr(row, name) for name in self.listed.grouped_by)
        group = self._groups.get(kind)
        if group is None:
            group = self._groups[kind] = self._group_of(row)
        group.number += 1
        for at in self._summed:
            group.sums[at] += values[at] or ZERO
        if self.listed.counted and self._counts(row):
            self.counted += values[self._summed[0]] or ZERO

    def lines(self) -> Iterator[list[Any]]:
        """One line for all rows, and one for each kind, in the order of the states.

        Only where all rows are of one kind does the line for all of them carry sums.
        """
        everything = _("合计 %(number)d 行") % {"number": self.number}
        if not self.listed.grouped_by:
            sums = next((group.sums for group in self._groups.values()), self._zeros())
            yield self._line(everything, sums)
            return
        yield self._line(everything, {})
        for group in sorted(self._groups.values(), key=lambda one: one.position):
            facts = {"kind": group.name, "number": group.number}
            yield self._line(_("合计 %(kind)s %(number)d 行") % facts, group.sums)

    def _line(self, title: str, sums: dict[int, Money]) -> list[Any]:
        rest = range(1, len(self.listed.columns))
        return [title, *(sums.get(at, "") for at in rest)]

    def _zeros(self) -> dict[int, Money]:
        return dict.fromkeys(self._summed, ZERO)

    def _group_of(self, row: Any) -> Group:
        names = [
            str(getattr(row, f"get_{name}_display")() or "") for name in self.listed.grouped_by
        ]
        position = tuple(_position(row, name) for name in self.listed.grouped_by)
        return Group(" ".join(names), position, self._zeros())

    def _counts(self, row: Any) -> bool:
        return all(getattr(row, name) in codes for name, codes in self.listed.counts.items())


def _position(row: Any, name: str) -> int:
    """Where the row's state stands among the states; behind them, if it is none of them."""
    codes = [code for code, _name in row._meta.get_field(name).flatchoices]
    value = getattr(row, name)
    return codes.index(value) if value in codes else len(codes)
