"""Small changes of the code, drawn by a seed from its syntax tree: what do the tests not notice?

    python -m tests.mutants.drawn reach              # once: which tests run which lines
    python -m tests.mutants.drawn run --count 120 --seed 7 [--only refunds/ …]

``table`` holds the guards of money that somebody thought of; here nobody chooses. Every comparison,
condition, connective, sum, constant, answer and call of the product may be drawn (``points``), but
the lines of the log. Which are drawn, a digest of the seed and of each point decides: what changes
elsewhere leaves a draw as it is.

A mutant is run against the tests that run its lines, those of its own room first: a few, then some
20 seconds' worth. Changes inside of functions are forks of one process (``forked``), a second or
two each; what is evaluated as a module is read, and what no fork could take, has a process of its
own. What is left after that gets all tests that run its lines, in a process that reads the changed
file: only what passes there has survived. A test counts as killing only where it fails with the
mutant and passes without it, by itself. ``run --unchanged`` asks the judge itself: it changes
nothing, so nothing may be killed.

Left out of ``reach``: what waits for processes, browsers or thousands of rows.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.__main__ import SECONDS_MAX, SEED, say, scratch_copy
from tests.mutants.points import ROOT, Point, points, sources
from tests.rooms import ROOMS

REACH_FILE = ROOT / "test-artifacts" / "reach.json"
LEFT_OUT = (
    "tests/engine", "tests/races", "tests/reconciled", "tests/scale", "tests/trial",
    "tests/test_demo_env.py", "tests/test_slow_clients.py",
)  # fmt: skip
# What these run are processes, which nobody looks into: each begins with the settings.
BEGUN_BY_PROCESSES = frozenset({"tcmpay/dotenv.py", "tcmpay/environment.py", "tcmpay/settings.py"})
TESTS_OF_PROCESSES = ("tests/test_environment.py", "tests/test_environment_forms.py")
JOBS = 2
ALONE_MAX = 40  # fewer tests are run sooner than more workers are made
QUICK = 0.2
NOT_IN_A_FORK = "elsewhere"
NOTICED = frozenset({"killed", "hangs"})
NONE_LEFT = 5  # pytest's word for it: all were deselected
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", re.MULTILINE)


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

    def all_tests_for(self, point: Point) -> list[str]:
        """However long they take, the quick ones first; of some a whole file."""
        numbers = sorted(self._numbers(point), key=lambda number: self._took([number]))
        more = TESTS_OF_PROCESSES if point.path in BEGUN_BY_PROCESSES else ()
        return [*more, *(self.tests[n] for n in numbers if not self.tests[n].startswith(more))]

    def took(self, tests: Iterable[str]) -> float:
        return sum(self.seconds.get(test, 0.05) for test in tests)

    def _numbers(self, point: Point) -> set[int]:
        if point.function:
            return self._of_lines(point.path, range(point.line, point.last_line + 1))
        # Run as the module is read, by no test: whatever uses the module.
        return self._of_lines(point.path, map(int, self.lines.get(point.path, ())))

    def tests_for(self, point: Point, share: float = 1.0) -> list[str]:
        """Those of the same room first, then file by file, the quick ones first."""
        numbers = self._numbers(point)
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

    def _took(self, numbers: Iterable[int]) -> float:
        return self.took(self.tests[number] for number in numbers)

    def _of_lines(self, path: str, lines: Iterable[int]) -> set[int]:
        sets = self.lines.get(path, {})
        reached = {sets[str(line)] for line in lines if str(line) in sets}
        return {test for number in reached for test in self.sets[number]}


# --- running ------------------------------------------------------------------------------------


def run(given: argparse.Namespace) -> int:
    everything = [p for p in points() if not given.only or p.path.startswith(tuple(given.only))]
    chosen = draw(everything, given.seed, given.count)[given.begin :]
    if given.unchanged:
        chosen = [_changing_nothing(point) for point in chosen]
    say(f"seed {given.seed}: {len(chosen)} of {len(everything)} points")
    verdicts = judged(chosen, Reach(given.seconds))
    survivors = [point for point in chosen if verdicts[point] not in NOTICED]
    killed = len(chosen) - len(survivors)
    say(f"seed {given.seed}: {killed} of {len(chosen)} killed ({killed / len(chosen):.1%})")
    for point in survivors:
        say(f"{verdicts[point]} {point}")
    return 1 if survivors else 0


def draw(everything: Iterable[Point], seed: int, count: int) -> list[Point]:
    """The first ``count`` in an order that hangs on the seed and on each point alone."""
    alike: Counter[tuple[str, str, str]] = Counter()
    ranks: dict[Point, bytes] = {}
    for point in everything:
        what = (point.path, point.function, point.kind)
        alike[what] += 1
        ranks[point] = hashlib.sha256(repr((seed, *what, alike[what])).encode()).digest()
    return sorted(ranks, key=ranks.__getitem__)[:count]


def _changing_nothing(point: Point) -> Point:
    text = (ROOT / point.path).read_bytes()[point.start : point.end].decode()
    return replace(point, new=text, kind=f"as it is: {point.kind}")


def judged(drawn: Sequence[Point], reached: Reach) -> dict[Point, str]:
    verdicts = {point: NOT_IN_A_FORK if reached.tests_for(point) else "UNTESTED" for point in drawn}
    inside = [p for p, verdict in verdicts.items() if verdict == NOT_IN_A_FORK and p.function]
    # Most die at once: a few tests for each first, then more of them for those that are left.
    for share in (QUICK, 1.0):
        verdicts |= _in_forks({p: reached.tests_for(p, share) for p in inside}, reached)
        inside = [point for point in inside if verdicts[point] == "SURVIVED"]
    alone = [point for point, verdict in verdicts.items() if verdict == NOT_IN_A_FORK]
    with scratch_copy() as folder:
        for point in alone:
            verdicts[point] = _alone(point, folder, reached.tests_for(point), reached)
        for point, verdict in verdicts.items():
            if verdict not in NOTICED and (tests := reached.all_tests_for(point)):
                verdicts[point] = _alone(point, folder, tests, reached)
    return verdicts


def _in_forks(tests_of: dict[Point, list[str]], reached: Reach) -> dict[Point, str]:
    if not tests_of:
        return {}
    files = sorted({test.partition("::")[0] for tests in tests_of.values() for test in tests})
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        plan, told = Path(name, "plan.json"), Path(name, "verdicts.json")
        mutants = [
            {"point": asdict(point), "tests": tests, "seconds": reached.took(tests)}
            for point, tests in tests_of.items()
        ]
        plan.write_text(json.dumps(mutants))
        names = {"DRAWN_PLAN": str(plan), "DRAWN_VERDICTS": str(told)}
        subprocess.run(
            [*_pytest(), "-s", "-n", "0", "-p", "tests.mutants.forked",
             "-o", "faulthandler_timeout=0", *files],
            cwd=ROOT, check=False, env=_environment() | names,
        )  # fmt: skip
        verdicts = [verdict for verdict, _test in json.loads(told.read_text())]
    return dict(zip(tests_of, verdicts, strict=True))


def _alone(point: Point, folder: Path, tests: Sequence[str], reached: Reach) -> str:
    started = time.monotonic()
    verdict, test = _judged_alone(point, folder, list(tests), reached)
    seconds = time.monotonic() - started
    say(f"{verdict:9} {point} ({seconds:.0f} s, {len(tests)} tests, alone) {test}")
    return verdict


def _judged_alone(point: Point, folder: Path, tests: list[str], reached: Reach) -> tuple[str, str]:
    """The verdict, and the test that fails with the mutant and passes without, both by itself."""
    path = folder / point.path
    sound = path.read_bytes()

    passed_over: list[str] = []

    def failed(tests: Sequence[str], *, mutated: bool) -> list[str] | None:
        path.write_bytes(point.apply(sound) if mutated else sound)
        try:
            return _failed(folder, [*tests, *passed_over], reached)
        finally:
            path.write_bytes(sound)

    try:
        while found := failed(tests, mutated=True):
            for test in found:
                if failed([test], mutated=True) != [] and failed([test], mutated=False) == []:
                    return "killed", test
            passed_over += [f"--deselect={test}" for test in found]
    except subprocess.TimeoutExpired:
        return "TOO LONG", ""
    if found is None:
        # The code can't even be imported, or a test that was named is gone.
        one = tests[:1]
        is_it = failed(one, mutated=True) is None and failed(one, mutated=False) == []
        return ("killed" if is_it else "BROKEN"), tests[0]
    return "SURVIVED", ""


def _failed(folder: Path, tests: Sequence[str], reached: Reach) -> list[str] | None:
    """The tests that fail, of those run up to the first; None where nothing could be run."""
    jobs = str(JOBS if len(tests) > ALONE_MAX or any("::" not in test for test in tests) else 0)
    python = str(folder / ".venv" / "bin" / "python")
    run = subprocess.run(
        [python, *_pytest()[1:], "-x", "-n", jobs, *tests],
        cwd=folder, env=_environment(), capture_output=True, text=True, check=False,
        timeout=SECONDS_MAX + 4 * reached.took(tests),
    )  # fmt: skip
    if run.returncode in {0, NONE_LEFT}:
        return []
    return FAILED.findall(run.stdout) or None


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CACHE_URL"}}
    return kept | {"TEST_SEED": SEED}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.drawn")
    parser.add_argument("what", choices=("reach", "run"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATH", help="a folder or file"
    )
    parser.add_argument("--begin", type=int, default=0, help="go on after so many drawn")
    parser.add_argument("--unchanged", action="store_true", help="judge the judge")
    parser.add_argument("--seconds", type=float, default=20.0, help="of tests, for each mutant")
    given, more = parser.parse_known_args(arguments)
    if given.what == "reach":
        reach(more)
        return 0
    return run(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
