"""Small changes of the code, drawn by a seed from its syntax tree: what do the tests not notice?

    python -m tests.mutants.drawn reach              # once: which tests run which lines
    python -m tests.mutants.drawn run --count 120 --seed 7 [--only refunds/ …]

``table`` holds the guards of money that somebody thought of; here nobody chooses. Every comparison,
condition, connective, sum, constant, answer and call of the product may be drawn (``points``), but
the lines of the log. A mutant is run against the tests that run its lines, those of its own room
first. A test counts as killing only where it passes without the mutant. Changes inside of functions
are forks of one process (``forked``), a second or two each; what is evaluated as a module is read,
and what no fork could take, has a process of its own.

Left out of ``reach``: what waits for processes, browsers or thousands of rows.
"""

import argparse
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.__main__ import SEED, NothingProven, passes, say, scratch_copy
from tests.mutants.points import ROOT, Point, points, sources
from tests.rooms import ROOMS

REACH_FILE = ROOT / "test-artifacts" / "reach.json"
LEFT_OUT = (
    "tests/engine", "tests/races", "tests/reconciled", "tests/scale", "tests/trial",
    "tests/test_demo_env.py", "tests/test_slow_clients.py",
)  # fmt: skip
JOBS = 2
QUICK = 0.2
NOT_IN_A_FORK = "elsewhere"


# --- which tests run a line ---------------------------------------------------------------------


def reach(arguments: Sequence[str]) -> None:
    """Run the tests under line coverage, once; those that ``arguments`` name are added."""
    REACH_FILE.parent.mkdir(exist_ok=True)
    data = REACH_FILE.with_suffix(".coverage")
    config = REACH_FILE.with_suffix(".rc")
    config.write_text(f"[run]\ndata_file = {data}\nsource = {','.join(ROOMS)}\n")
    left_out = [f"--ignore={path}" for path in LEFT_OUT]
    timed = REACH_FILE.with_suffix(".xml")
    subprocess.run(
        [*_pytest(), "-n", str(JOBS), "-m", "not browser and not race and not fault",
         f"--cov-config={config}", "--cov", "--cov-context=test", "--cov-report=",
         f"--junit-xml={timed}", *left_out,
         *(["--cov-append", *arguments] if arguments else [])],
        cwd=ROOT, check=False,
    )  # fmt: skip
    seconds = json.loads(REACH_FILE.read_text())["seconds"] if arguments else {}
    REACH_FILE.write_text(json.dumps(_reached(data) | {"seconds": seconds | _seconds(timed)}))
    say(f"{REACH_FILE}")


def _seconds(timed: Path) -> dict[str, float]:
    """How long each test took, as pytest's report has it."""
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": float(
            case.get("time", 0)
        )
        for case in ElementTree.parse(timed).getroot().iter("testcase")
    }


def _pytest() -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"]


def _reached(data: Path) -> dict[str, object]:
    """The tests, the sets of them that occur, and path → line → number of the set."""
    from coverage.numbits import numbits_to_nums

    numbers: dict[str, int] = {}
    sets: dict[frozenset[int], int] = {}
    lines: dict[str, dict[int, int]] = {}
    with contextlib.closing(sqlite3.connect(data)) as database:
        for path in sources():
            of_line: dict[int, set[int]] = {}
            for context, bits in database.execute(
                "SELECT context.context, line_bits.numbits FROM line_bits JOIN file ON"
                " file.id = line_bits.file_id JOIN context ON context.id = line_bits.context_id"
                " WHERE file.path = ?",
                [str(path)],
            ):
                test = context.rpartition("|")[0]
                for line in numbits_to_nums(bits) if test else ():
                    of_line.setdefault(line, set()).add(numbers.setdefault(test, len(numbers)))
            lines[str(path.relative_to(ROOT))] = {
                line: sets.setdefault(frozenset(tests), len(sets))
                for line, tests in of_line.items()
            }
    return {"tests": list(numbers), "sets": [sorted(one) for one in sets], "lines": lines}


class Reach:
    """``seconds``: of the tests that run a line so many seconds' worth are chosen, a third of it
    for those of its own room, and none that takes a third by itself."""

    def __init__(self, seconds: float) -> None:
        self.seconds_max = seconds
        kept = json.loads(REACH_FILE.read_text())
        self.tests: list[str] = kept["tests"]
        self.seconds: dict[str, float] = kept["seconds"]
        self.sets: list[list[int]] = kept["sets"]
        self.lines: dict[str, dict[str, int]] = kept["lines"]

    def tests_for(self, point: Point, share: float = 1.0) -> list[str]:
        """Those of the same room first, then file by file, the quick ones first."""
        numbers = self._of_lines(point.path, range(point.line, point.last_line + 1))
        if not point.function:
            # Run as the module is read, by no test: whatever uses the module.
            numbers = self._of_lines(point.path, map(int, self.lines.get(point.path, ())))
        room = point.path.partition("/")[0]
        seconds = self.seconds_max * share
        numbers = {number for number in numbers if self._took([number]) < seconds / 3}
        near = {number for number in numbers if self.tests[number].startswith(room)}
        return [
            *self._share(near, seconds / 3),
            *self._share(numbers - near, seconds * 2 / 3),
        ]

    def _share(self, numbers: set[int], seconds_max: float) -> list[str]:
        """All of them, or an even share that takes so long: where many pass, that is as good."""
        files: dict[str, list[int]] = {}
        for number in sorted(numbers):
            files.setdefault(self.tests[number].partition("::")[0], []).append(number)
        quick_first = sorted(files.values(), key=lambda tests: self._took(tests) / len(tests))
        ordered = [number for tests in quick_first for number in tests]
        share = min(1.0, seconds_max / max(self._took(ordered), 0.001))
        return [
            self.tests[number]
            for index, number in enumerate(ordered)
            if int(index * share) != int((index + 1) * share) or share == 1.0
        ]

    def _took(self, numbers: Sequence[int]) -> float:
        return sum(self.seconds.get(self.tests[number], 0.05) for number in numbers)

    def _of_lines(self, path: str, lines: Iterator[int] | range) -> set[int]:
        sets = self.lines.get(path, {})
        reached = {sets[str(line)] for line in lines if str(line) in sets}
        return {test for number in reached for test in self.sets[number]}


# --- running ------------------------------------------------------------------------------------


def run(seed: int, count: int, only: Sequence[str], begin: int, seconds: float) -> int:
    everything = [p for p in points() if not only or p.path.startswith(tuple(only))]
    drawn = random.Random(seed).sample(everything, min(count, len(everything)))
    drawn = drawn[begin:]
    say(f"seed {seed}: {len(drawn)} of {len(everything)} points")
    verdicts = judged(drawn, Reach(seconds))
    survivors = [point for point in drawn if verdicts[point] not in {"killed", "hangs"}]
    killed = len(drawn) - len(survivors)
    say(f"seed {seed}: {killed} of {len(drawn)} killed ({killed / len(drawn):.1%})")
    for point in survivors:
        say(f"{verdicts[point]} {point}")
    return 1 if survivors else 0


def judged(drawn: Sequence[Point], reached: Reach) -> dict[Point, str]:
    verdicts = {point: NOT_IN_A_FORK if reached.tests_for(point) else "UNTESTED" for point in drawn}
    inside = [p for p, verdict in verdicts.items() if verdict == NOT_IN_A_FORK and p.function]
    # Most die at once: a few tests for each first, then all of them for those that are left.
    for share in (QUICK, 1.0):
        verdicts |= _in_forks({point: reached.tests_for(point, share) for point in inside})
        inside = [point for point in inside if verdicts[point] == "SURVIVED"]
    alone = [point for point, verdict in verdicts.items() if verdict == NOT_IN_A_FORK]
    if alone:
        with scratch_copy() as folder:
            for point in alone:
                started = time.monotonic()
                verdicts[point] = _alone(point, folder, reached.tests_for(point))
                say(f"{verdicts[point]:9} {point} ({time.monotonic() - started:.0f} s)")
    return verdicts


def _in_forks(tests_of: dict[Point, list[str]]) -> dict[Point, str]:
    if not tests_of:
        return {}
    files = sorted({test.partition("::")[0] for tests in tests_of.values() for test in tests})
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        plan, told = Path(name, "plan.json"), Path(name, "verdicts.json")
        plan.write_text(
            json.dumps([{"point": asdict(p), "tests": tests} for p, tests in tests_of.items()])
        )
        names = {"DRAWN_PLAN": str(plan), "DRAWN_VERDICTS": str(told), "TEST_SEED": SEED}
        kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CACHE_URL"}}
        subprocess.run(
            [*_pytest(), "-s", "-n", "0", "-p", "tests.mutants.forked",
             "-o", "faulthandler_timeout=0", *files],
            cwd=ROOT, check=False, env=kept | names,
        )  # fmt: skip
        verdicts = [verdict for verdict, _test in json.loads(told.read_text())]
    return dict(zip(tests_of, verdicts, strict=True))


def _alone(point: Point, folder: Path, tests: Sequence[str]) -> str:
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
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATH", help="a folder or file"
    )
    parser.add_argument("--begin", type=int, default=0, help="go on after so many drawn")
    parser.add_argument("--seconds", type=float, default=20.0, help="of tests, for each mutant")
    given, more = parser.parse_known_args(arguments)
    if given.what == "reach":
        reach(more)
        return 0
    return run(given.seed, given.count, given.only, given.begin, given.seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
