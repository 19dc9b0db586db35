"""What a bill says that it adds up to, and what that proves of the lines that can't be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Generic, TypeVar

# What one or more lines add to each of the sums of a bill; None where that can't be read.
Addends = Sequence[int | None]
Read = TypeVar("Read")

_COMBINATIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Claim:
    """One total in a bill: ``value`` in the smallest unit, off by ``slack`` at most where the
    gateway rounds; ``ways`` are what the wording may mean, each sum with its factor. What a line
    adds is never negative unless ``is_signed``: fees that were given back are."""

    name: str
    said: str  # as written
    value: int
    ways: tuple[Mapping[int, int], ...]
    places: int = 2
    slack: int = 0
    is_count: bool = False
    is_signed: bool = False

    def found(self, sums: Sequence[int]) -> str:
        value = _value(self.ways[0], sums)
        if self.is_count:
            return str(value)
        sign, digits = "-" if value < 0 else "", f"{abs(value):0{self.places + 1}d}"
        return f"{sign}{digits[: -self.places]}.{digits[-self.places :]}"

    def holds(self, sums: Sequence[int], unknown: Sequence[int]) -> bool:
        """``unknown`` counts for each sum the lines of which it is not known what they add."""
        return any(self._holds(way, sums, unknown) for way in self.ways)

    def _holds(self, way: Mapping[int, int], sums: Sequence[int], unknown: Sequence[int]) -> bool:
        rest = self.value - _value(way, sums)
        lines = sum(unknown[place] for place in way)
        if not lines:
            return abs(rest) <= self.slack
        if self.is_count:
            return 0 <= rest <= lines
        is_open = self.is_signed or any(factor < 0 for factor in way.values())
        return is_open or rest >= -self.slack


@dataclass(frozen=True, slots=True)
class OneOf:
    """Totals whose wording leaves open how all of them were made: one of ``options`` holds."""

    options: tuple[Sequence[Claim], ...]

    def holds(self, sums: Sequence[int], unknown: Sequence[int]) -> bool:
        return any(all(c.holds(sums, unknown) for c in option) for option in self.options)


@dataclass(frozen=True, slots=True)
class Reading(Generic[Read]):
    """One way to understand an odd line; ``read`` is None where it can only be guessed at."""

    addends: Addends
    read: Read | None


def failing(sums: Sequence[int], claims: Sequence[Claim | OneOf]) -> Claim:
    """A total that does not hold, or, if all do without the odd lines, the first."""
    none = [0] * len(sums)
    options = [claim.options if isinstance(claim, OneOf) else ([claim],) for claim in claims]
    broken = [
        min(([c for c in option if not c.holds(sums, none)] for option in each), key=len)
        for each in options
    ]
    return next((found[0] for found in broken if found), options[0][0][0])


def settle(
    sums: Sequence[int], claims: Sequence[Claim | OneOf], odds: Sequence[Sequence[Reading[Read]]]
) -> list[Read | None] | None:
    """The proven reading of each odd line, or None where nothing is proven of it.

    None altogether: whatever the odd lines mean, the totals do not hold. A reading is proven
    where it alone, with the readings of the others, gives the totals; nothing is while another
    line may add anything.
    """
    if prod(map(len, odds)) > _COMBINATIONS_MAX:
        odds = [[Reading((None,) * len(sums), None)]] * len(odds)
    proven: list[set[Read | None]] = [set() for _odd in odds]
    is_any = False
    for readings in product(*odds):
        added = list(sums)
        unknown = [0] * len(sums)
        for reading in readings:
            for place, addend in enumerate(reading.addends):
                if addend is None:
                    unknown[place] += 1
                else:
                    added[place] += addend
        if not all(claim.holds(added, unknown) for claim in claims):
            continue
        is_any = True
        for place, reading in enumerate(readings):
            proven[place].add(None if any(unknown) else reading.read)
    if not is_any:
        return None
    return [found.pop() if len(found) == 1 else None for found in proven]


def _value(way: Mapping[int, int], sums: Sequence[int]) -> int:
    return sum(factor * sums[place] for place, factor in way.items())
