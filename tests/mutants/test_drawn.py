"""What may be drawn, and that a draw stays the same while other code changes."""

import ast
from dataclasses import replace

from tests.mutants.drawn import draw
from tests.mutants.points import Finder, Point

SOURCE = b"""\
@dataclass(frozen=True, slots=True, order=True)
class Answer:
    status: Literal[200] = 404

    def __repr__(self) -> str:
        return "an answer"

    def is_success(self) -> bool:
        return self.status < 300

if TYPE_CHECKING:
    from somewhere import Something
"""


def points_of(source: bytes) -> list[Point]:
    finder = Finder("answers.py", source)
    finder.visit(ast.parse(source))
    return finder.points


def test_what_only_programmers_read_is_not_drawn() -> None:
    assert {point.kind for point in points_of(SOURCE)} == {
        "True turned round",  # order
        "404 + 1",
        "returns nothing",
        "compares otherwise: self.status <= 300",
        "300 + 1",
    }


def test_a_point_changes_the_text_that_it_names_and_no_other() -> None:
    (point,) = (point for point in points_of(SOURCE) if point.kind.startswith("compares"))
    changed = point.apply(SOURCE)
    assert changed == SOURCE.replace(b"self.status < 300", b"(self.status <= 300)")


def test_what_changes_elsewhere_leaves_a_draw_as_it_is() -> None:
    here = points_of(SOURCE)
    there = [replace(point, path="others.py") for point in here]
    moved = [replace(point, line=point.line + 9, start=point.start + 99) for point in here]
    order = [point.kind for point in draw(here, 7, len(here))]
    assert [point.kind for point in draw(moved, 7, len(here))] == order
    both = draw([*there, *moved], 7, len(here) * 2)
    assert [point.kind for point in both if point.path == "answers.py"] == order
    assert [point.kind for point in draw(here, 8, len(here))] != order
