"""Small changes of the code, drawn by a seed from its syntax tree: what do the tests not notice?

    python -m tests.mutants.drawn reach              # once: which tests run which functions
    python -m tests.mutants.drawn run --count 120 --seed 7

``table`` holds the guards of money that somebody thought of; here nobody chooses. Every comparison,
condition, connective, constant, answer and call of the rooms below may be drawn. A mutant is run
against the tests that run its function, found by line coverage, those of its own room first.
"""

import argparse
import ast
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from tests.mutants.__main__ import ROOT, NothingProven, passes, say, scratch_copy
from tests.rooms import ROOMS

REACH_FILE = ROOT / "test-artifacts" / "reach.json"
# Services, policies, masks, sweeps and pages.
DRAWN_FROM = (
    "*/services.py",
    "*/services/*.py",
    "config/*/services.py",
    "tcmpay/*/services/*.py",
    "balances/adjustments.py",
    "config/gateways/drafts.py",
    "config/gateways/versions.py",
    "config/prices/guard.py",
    "config/prices/periods.py",
    "config/prices/plan.py",
    "payments/channels.py",
    "payments/callbacks.py",
    "refunds/policy.py",
    "reconciliation/*.py",
    "reconciliation/services/*.py",
    "backoffice/*.py",
    "backoffice/*/*.py",
    "tcmpay/common/redaction.py",
    "tcmpay/common/second_person.py",
    "tcmpay/accounts/roles.py",
    "tcmpay/audit/*.py",
)
# What a table is, the check of migrations against models looks at.
TABLES = frozenset({"models.py", "models", "migrations"})
TESTS_MAX = 400
JOBS = 2

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class Point:
    """One change: the text between two byte offsets of a file becomes ``new``."""

    path: str
    function: str  # qualified; empty at module level
    line: int
    start: int
    end: int
    new: str
    kind: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function or '(module)'} {self.kind}"


class Finder(ast.NodeVisitor):
    """All points of one file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path = path
        self.points: list[Point] = []
        self._names: list[str] = []
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def _add(self, node: ast.expr | ast.stmt, new: str, kind: str) -> None:
        last_line, last_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[last_line - 1] + last_column
        name = ".".join(self._names)
        self.points.append(Point(self.path, name, node.lineno, start, end, new, kind))

    def _inside(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._names.append(node.name)
        for part in node.body:
            self.visit(part)
        self._names.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _inside

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            operators = list(node.ops)
            operators[index] = COMPARISONS[type(operator)]()
            text = ast.unparse(ast.Compare(node.left, operators, node.comparators))
            self._add(node, f"({text})", f"compares otherwise: {text}")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        changed = ast.unparse(ast.BoolOp(other, node.values))
        self._add(node, f"({changed})", f"connects otherwise: {changed}")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add(node, f"bool({ast.unparse(node.operand)})", "no longer denied")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._add(node.test, f"(not ({ast.unparse(node.test)}))", "condition turned round")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._add(node.test, f"(not ({ast.unparse(node.test)}))", "condition turned round")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, str(not node.value), f"{node.value} turned round")
        elif isinstance(node.value, int) and self._names:
            self._add(node, str(node.value + 1), f"{node.value} + 1")

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            return
        if node.value is not None:
            self._add(node.value, "None", "returns nothing")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not _is_log_line(node.value):
            self._add(node, "pass", f"not called: {ast.unparse(node.value)[:60]}")
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """A text in a text has no place of its own in the file."""


def _is_log_line(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "logger"


def sources() -> list[Path]:
    found = {path for pattern in DRAWN_FROM for path in ROOT.glob(pattern)}
    return sorted(
        path
        for path in found
        if path.relative_to(ROOT).parts[0] in ROOMS and not TABLES & {path.name, path.parent.name}
    )


def points() -> list[Point]:
    found: list[Point] = []
    for path in sources():
        source = path.read_bytes()
        finder = Finder(str(path.relative_to(ROOT)), source)
        finder.visit(ast.parse(source))
        found += finder.points
    return found


# --- which tests run a function -----------------------------------------------------------------


def reach(tests: Sequence[str]) -> None:
    """Run ``tests`` (all of them without any) once under line coverage; write REACH_FILE."""
    REACH_FILE.parent.mkdir(exist_ok=True)
    data = REACH_FILE.with_suffix(".coverage")
    config = REACH_FILE.with_suffix(".rc")
    config.write_text(f"[run]\ndata_file = {data}\nsource = {','.join(ROOMS)}\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", str(JOBS), "-p", "no:cacheprovider",
         f"--cov-config={config}", "--cov", "--cov-context=test", "--cov-report=", *tests],
        cwd=ROOT, check=False,
    )  # fmt: skip
    found = {str(path.relative_to(ROOT)): _reached(data, path) for path in sources()}
    REACH_FILE.write_text(json.dumps(found))
    say(f"{sum(len(functions) for functions in found.values())} functions, {REACH_FILE}")


def _reached(data: Path, path: Path) -> dict[str, list[str]]:
    """Qualified name → tests that ran a line of it."""
    tests_of = _tests_by_line(data, path)
    found: dict[str, list[str]] = {}
    for name, first, last in _functions(ast.parse(path.read_bytes()), ()):
        tests: set[str] = set()
        for line in range(first, last + 1):
            tests |= tests_of.get(line, set())
        found[name] = sorted(tests)
    return found


def _tests_by_line(data: Path, path: Path) -> dict[int, set[str]]:
    from coverage.numbits import numbits_to_nums

    found: dict[int, set[str]] = {}
    with contextlib.closing(sqlite3.connect(data)) as database:
        rows = database.execute(
            "SELECT context.context, line_bits.numbits FROM line_bits JOIN file ON"
            " file.id = line_bits.file_id JOIN context ON context.id = line_bits.context_id"
            " WHERE file.path = ?",
            [str(path)],
        )
        for context, bits in rows:
            test = context.partition("|")[0]
            for line in numbits_to_nums(bits) if test else ():
                found.setdefault(line, set()).add(test)
    return found


def _functions(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
    """Qualified name, first and last line of the body (the head runs when the file is read)."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join((*names, part.name)), part.body[0].lineno, part.end_lineno or 0
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _functions(part, (*names, part.name))
        else:
            yield from _functions(part, names)


def tests_for(point: Point, reached: dict[str, dict[str, list[str]]]) -> list[str]:
    """Nearest first: those of the same room, then those of few functions."""
    functions = reached.get(point.path, {})
    if point.function in functions:
        tests = functions[point.function]
    else:
        tests = sorted({test for tests in functions.values() for test in tests})
    room = point.path.partition("/")[0]
    near = sorted(tests, key=lambda test: (not test.startswith(room), test))
    if len(near) <= TESTS_MAX:
        return near
    # Many tests pass here; an even share of all is as good as all.
    step = len(near) / TESTS_MAX
    return [near[int(index * step)] for index in range(TESTS_MAX)]


# --- running ------------------------------------------------------------------------------------


def run(seed: int, count: int, only: Sequence[str]) -> int:
    reached = json.loads(REACH_FILE.read_text())
    everything = [p for p in points() if not only or any(word in p.path for word in only)]
    drawn = random.Random(seed).sample(everything, min(count, len(everything)))
    say(f"seed {seed}: {len(drawn)} of {len(everything)} points")
    waiting: Queue[Point] = Queue()
    for point in drawn:
        waiting.put(point)
    verdicts: dict[Point, str] = {}

    def work(folder: Path) -> None:
        with contextlib.suppress(Empty):
            while True:
                point = waiting.get_nowait()
                started = time.monotonic()
                verdicts[point] = _verdict(point, folder, tests_for(point, reached))
                say(f"{verdicts[point]:8} {point} ({time.monotonic() - started:.0f} s)")

    with contextlib.ExitStack() as copies:
        jobs = [
            threading.Thread(target=work, args=(copies.enter_context(scratch_copy()),))
            for _job in range(JOBS)
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
    survivors = [point for point in drawn if verdicts[point] != "killed"]
    killed = len(drawn) - len(survivors)
    say(f"seed {seed}: {killed} of {len(drawn)} killed ({killed / len(drawn):.1%})")
    for point in survivors:
        say(f"{verdicts[point]} {point}")
    return 1 if survivors else 0


def _verdict(point: Point, folder: Path, tests: Sequence[str]) -> str:
    if not tests:
        return "UNTESTED"
    path = folder / point.path
    sound = path.read_bytes()
    path.write_bytes(point.apply(sound))
    try:
        return "SURVIVED" if passes(folder, tests, on_mariadb=False) else "killed"
    except NothingProven as error:
        # The code can't even be imported, or a test that was named is gone.
        return "GONE" if "not found: " in str(error) else "killed"
    finally:
        path.write_bytes(sound)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.drawn")
    parser.add_argument("what", choices=("reach", "run"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--only", action="append", default=[], metavar="PATH", help="in a path")
    given, tests = parser.parse_known_args(arguments)
    if given.what == "reach":
        reach(tests)
        return 0
    return run(given.seed, given.count, given.only)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
