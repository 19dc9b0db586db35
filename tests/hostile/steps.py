"""How many steps a regular expression takes, counted instead of timed.

A backtracking matcher over Python's own parse tree: it tries what `re` tries, in the same order,
and counts each look at a character. Times depend on the machine; the number of steps does not.
Bounds of repetitions are cut to a few, so that short texts show how a pattern grows: what is
bounded stays bounded, and what is not stays so.
"""

import re
import sys
from collections.abc import Callable, Iterator
from re import _constants as sre
from re import _parser as parser
from typing import Any

BOUND_MAX = 8
RECURSION_MAX = 60_000

Then = Callable[[int], bool]
Match = Callable[[int, Then], bool]


class TooManySteps(Exception):
    """The pattern took more steps than it was given."""


class Stepper:
    """One pattern, ready to be run over texts."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.tree = parser.parse(pattern, flags)
        self.flags = self.tree.state.flags
        self._text = ""
        self._steps = 0
        self._steps_max = sys.maxsize
        self._groups: dict[int, tuple[int, int]] = {}
        self._match = self._sequence(list(self.tree))

    def steps(self, text: str, *, is_whole: bool = False, steps_max: int = sys.maxsize) -> int:
        """What finding every match takes, or, with ``is_whole``, `fullmatch`.

        Raises TooManySteps past ``steps_max``.
        """
        self._text = text.lower() if self.flags & re.IGNORECASE else text
        self._steps, self._steps_max = 0, steps_max
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(RECURSION_MAX)
        try:
            if is_whole:
                self._groups = {}
                self._match(0, lambda end: end == len(text))
            else:
                self._find_all()
        finally:
            sys.setrecursionlimit(limit)
        return self._steps

    def _find_all(self) -> None:
        start = 0
        while start <= len(self._text):
            ends: list[int] = []
            self._groups = {}
            self._match(start, lambda end, ends=ends: ends.append(end) or True)
            start = max(start + 1, ends[0]) if ends else start + 1

    def _step(self) -> None:
        self._steps += 1
        if self._steps > self._steps_max:
            raise TooManySteps

    # -- nodes → functions ------------------------------------------------------------------------

    def _sequence(self, nodes: list[Any]) -> Match:
        parts = [self._node(*node) for node in nodes]

        def run(position: int, then: Then, index: int = 0) -> bool:
            if index == len(parts):
                return then(position)
            return parts[index](position, lambda end: run(end, then, index + 1))

        return run

    def _node(self, kind: Any, value: Any) -> Match:
        if kind in CHARACTERS:
            return self._character(tests_of(kind, value, self.flags))
        if kind is sre.BRANCH:
            return self._branch([self._sequence(list(branch)) for branch in value[1]])
        if kind is sre.SUBPATTERN:
            return self._group(value[0], self._sequence(list(value[3])))
        if kind in REPEATS:
            return self._repeat(kind, *value)
        if kind is sre.ATOMIC_GROUP:
            return self._atomic(self._sequence(list(value)))
        if kind in (sre.ASSERT, sre.ASSERT_NOT):
            return self._look(kind is sre.ASSERT, value[0], list(value[1]))
        if kind is sre.AT:
            return self._at(value)
        if kind is sre.GROUPREF:
            return self._again(value)
        raise ValueError(f"{kind}: a part of patterns that the stepper can't count yet")

    def _character(self, is_good: Callable[[str], bool]) -> Match:
        def run(position: int, then: Then) -> bool:
            self._step()
            text = self._text
            return position < len(text) and is_good(text[position]) and then(position + 1)

        return run

    def _branch(self, branches: list[Match]) -> Match:
        return lambda position, then: any(branch(position, then) for branch in branches)

    def _group(self, number: int | None, inner: Match) -> Match:
        def run(position: int, then: Then) -> bool:
            def after(end: int) -> bool:
                if number is not None:
                    self._groups[number] = (position, end)
                return then(end)

            return inner(position, after)

        return run

    def _again(self, number: int) -> Match:
        def run(position: int, then: Then) -> bool:
            self._step()
            if number not in self._groups:
                return False
            start, end = self._groups[number]
            known = self._text[start:end]
            return self._text.startswith(known, position) and then(position + len(known))

        return run

    def _atomic(self, inner: Match) -> Match:
        def run(position: int, then: Then) -> bool:
            ends: list[int] = []
            return inner(position, lambda end: ends.append(end) or True) and then(ends[0])  # type: ignore[func-returns-value]

        return run

    def _look(self, is_wanted: bool, direction: int, nodes: list[Any]) -> Match:
        inner = self._sequence(nodes)
        width = parser.SubPattern(self.tree.state, nodes).getwidth()[0] if direction < 0 else 0

        def run(position: int, then: Then) -> bool:
            start = position - width
            is_there = start >= 0 and inner(start, lambda _end: True)
            return is_there == is_wanted and then(position)

        return run

    def _at(self, where: Any) -> Match:
        def is_word(position: int) -> bool:
            text = self._text
            return 0 <= position < len(text) and (text[position].isalnum() or text[position] == "_")

        def run(position: int, then: Then) -> bool:
            self._step()
            size = len(self._text)
            edge = is_word(position - 1) != is_word(position)
            is_line = bool(self.flags & re.MULTILINE)
            before, after = self._text[position - 1 : position], self._text[position : position + 1]
            here = {
                sre.AT_BEGINNING: position == 0 or (is_line and before == "\n"),
                sre.AT_BEGINNING_STRING: position == 0,
                sre.AT_END: position >= size - (after == "\n") or (is_line and after == "\n"),
                sre.AT_END_STRING: position == size,
                sre.AT_BOUNDARY: edge,
                sre.AT_NON_BOUNDARY: not edge,
            }[where]
            return here and then(position)

        return run

    def _repeat(self, kind: Any, least: int, most: int, nodes: Any) -> Match:
        least, most = bounded(least), sys.maxsize if most is sre.MAXREPEAT else bounded(most)
        most = max(least, most)
        inner_nodes = list(nodes)
        if len(inner_nodes) == 1 and inner_nodes[0][0] in CHARACTERS:
            character, value = inner_nodes[0]
            is_good = tests_of(character, value, self.flags)
            return self._repeat_character(kind, least, most, is_good)
        return self._repeat_sequence(kind, least, most, self._sequence(inner_nodes))

    def _repeat_character(
        self, kind: Any, least: int, most: int, is_good: Callable[[str], bool]
    ) -> Match:
        def reach(position: int) -> Iterator[int]:
            yield position
            while position < len(self._text) and len(self._text) >= position:
                self._step()
                if not is_good(self._text[position]):
                    return
                position += 1
                yield position

        def run(position: int, then: Then) -> bool:
            ends = reach(position)
            if kind is sre.MIN_REPEAT:
                return any(
                    then(end) for end in ends if end - position >= least and end - position <= most
                )
            furthest = position
            for furthest in ends:
                if furthest - position >= most:
                    break
            if furthest - position < least:
                return False
            if kind is sre.POSSESSIVE_REPEAT:
                return then(furthest)
            for end in range(furthest, position + least - 1, -1):
                self._step()
                if then(end):
                    return True
            return False

        return run

    def _repeat_sequence(self, kind: Any, least: int, most: int, inner: Match) -> Match:
        def run(position: int, then: Then, count: int = 0) -> bool:
            self._step()

            def once_more() -> bool:
                return count < most and inner(
                    position,
                    lambda end: (end > position or count < least) and run(end, then, count + 1),
                )

            if count < least:
                return once_more()
            if kind is sre.MIN_REPEAT:
                return then(position) or once_more()
            return once_more() or then(position)

        return self._atomic(run) if kind is sre.POSSESSIVE_REPEAT else run


CHARACTERS = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)
REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_NOT_DIGIT: lambda char: not char.isdigit(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    sre.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
    sre.CATEGORY_NOT_WORD: lambda char: not (char.isalnum() or char == "_"),
}


def bounded(count: int) -> int:
    return min(int(count), BOUND_MAX)


def tests_of(kind: Any, value: Any, flags: int) -> Callable[[str], bool]:
    """Whether one character is meant by the node."""
    if kind is sre.ANY:
        return lambda char: char != "\n" or bool(flags & re.DOTALL)
    if kind is sre.IN:
        is_negated = value[0][0] is sre.NEGATE
        tests = [tests_of(item, one, flags) for item, one in value if item is not sre.NEGATE]
        return lambda char: any(test(char) for test in tests) != is_negated
    if kind is sre.CATEGORY:
        return CATEGORIES[value]
    if kind is sre.RANGE:
        low, high = value
        if flags & re.IGNORECASE:
            return lambda char: low <= ord(char) <= high or low <= ord(char.upper()[0]) <= high
        return lambda char: low <= ord(char) <= high
    wanted = chr(value).lower() if flags & re.IGNORECASE else chr(value)
    if kind is sre.NOT_LITERAL:
        return lambda char: char != wanted
    return lambda char: char == wanted


# -- texts that a pattern has most trouble with ----------------------------------------------------

# A letter, a sign that is no part of a word, a space: one of each that a class allows.
FLAVOURS = ("azAZ059", "-_.:/+=\"'(", " \t\n", "中")


def sample(nodes: list[Any], flavour: str, flags: int) -> str:
    """A text that the nodes match, or nearly; characters of classes by ``flavour``."""
    return "".join(_sample_of(kind, value, flavour, flags) for kind, value in nodes)


def _sample_of(kind: Any, value: Any, flavour: str, flags: int) -> str:
    if kind is sre.LITERAL:
        return chr(value)
    if kind in CHARACTERS:
        is_good = tests_of(kind, value, flags)
        others = "".join(FLAVOURS) + "!\x01eyJb1"
        return next((char for char in flavour + others if is_good(char)), "")
    if kind is sre.BRANCH:
        return sample(list(value[1][0]), flavour, flags)
    if kind is sre.SUBPATTERN:
        return sample(list(value[3]), flavour, flags)
    if kind is sre.ATOMIC_GROUP:
        return sample(list(value), flavour, flags)
    if kind in REPEATS:
        return sample(list(value[2]), flavour, flags) * max(1, bounded(value[0]))
    return ""


def branches_of(nodes: list[Any]) -> Iterator[list[Any]]:
    """``nodes``, and every list of nodes inside them."""
    yield nodes
    for kind, value in nodes:
        if kind is sre.BRANCH:
            for branch in value[1]:
                yield from branches_of(list(branch))
        elif kind is sre.SUBPATTERN:
            yield from branches_of(list(value[3]))
        elif kind is sre.ATOMIC_GROUP:
            yield from branches_of(list(value))
        elif kind in REPEATS:
            yield from branches_of(list(value[2]))


def hostile_parts(stepper: Stepper) -> set[tuple[str, str]]:
    """(beginning, what is repeated after it) for each place at which the pattern may linger."""
    found: set[tuple[str, str]] = set()
    whole = list(stepper.tree)
    for nodes in branches_of(whole):
        if nodes is not whole and all(kind is sre.LITERAL for kind, _value in nodes):
            continue  # nothing to linger at
        for flavour in FLAVOURS:
            for length in range(1, len(nodes) + 1):
                begun = sample(nodes[:length], flavour, stepper.flags)
                last = sample(nodes[length - 1 : length], flavour, stepper.flags)
                found |= {("", begun), ("", begun[:-1]), (begun, last[:1]), (begun, last)}
    return {(beginning, unit) for beginning, unit in found if unit}
