"""pytest's own loop, replaced: each mutant is a fork of one process that is ready to test.

Reading the code, collecting the tests and building the database takes longer than most tests. It is
done once; a fork then replaces the code of one function where it lives, runs the tests that were
chosen for it up to the first that fails, and is gone. For changes inside of functions: what is
evaluated as a module is read needs a process of its own (``drawn``).

A test kills where it fails with the mutant and passes without it, both times after nothing but the
tests of its own file that were chosen.

``drawn`` names the plan (JSON: what to change, the tests, the seconds that they take) in
DRAWN_PLAN, and gets a list of [verdict, failing test] back in DRAWN_VERDICTS.
"""

import gc
import importlib
import inspect
import json
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from itertools import islice, pairwise
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from tests.mutants.points import ROOT, Point
from tests.rooms import ROOMS

# Seconds of the processor's time, and by the clock, beyond the tests' own: a mutant that hangs is
# noticed too.
CPU_SECONDS_MAX, WALL_SECONDS_MAX = 120, 600
TOLD_BYTES = 64 * 1024
KILLED, SURVIVED, HANGS, NOT_HERE = "killed", "SURVIVED", "hangs", "elsewhere"
BROKEN = "BROKEN"  # this tool


class NotHere(LookupError):
    """The function does not live, or its changed code does not fit into it."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    plan = json.loads(Path(os.environ["DRAWN_PLAN"]).read_text("utf-8"))
    mutants = [
        (Point(**mutant["point"]), list(mutant["tests"]), mutant["seconds"]) for mutant in plan
    ]
    for path in {point.path for point, *_rest in mutants}:
        module = path.removesuffix(".py").removesuffix("/__init__")
        importlib.import_module(module.replace("/", "."))
    forks = Forks(session)
    verdicts = []
    for number, (point, tests, seconds_told) in enumerate(mutants, start=1):
        started = time.monotonic()
        forks.seconds = seconds_told
        verdict, test = forks.judge(point, tests)
        verdicts.append((verdict, test))
        seconds = time.monotonic() - started
        left = len(mutants) - number
        sys.stdout.write(f"{verdict:9} {point} ({seconds:.0f} s, {left} left) {test}\n")
        sys.stdout.flush()
        Path(os.environ["DRAWN_VERDICTS"]).write_text(json.dumps(verdicts), "utf-8")
    return True


class Forks:
    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.items = {item.nodeid: item for item in session.items}
        self.seconds = 0.0  # of the tests that are chosen
        self.told = mmap.mmap(-1, TOLD_BYTES)  # by a fork: its verdict, and the test it is at
        self.sound: dict[tuple[str, ...], bool] = {}
        self.unsound: set[str] = set()
        self._make_ready()
        gc.unfreeze()
        self.functions = list(_live_functions())
        self.caches = [found for found in gc.get_objects() if _is_cache_of_a_room(found)]
        gc.freeze()

    def _make_ready(self) -> None:
        """What tests share for the whole session is made by the first that needs it."""
        items = self.session.items
        needy = (item for item in items if "django_db_setup" in getattr(item, "fixturenames", ()))
        said = os.dup(1), os.dup(2)
        _be_silent()
        for item in islice(needy, 1):
            # Nothing but the session is left set up: of a folder that is, only its own tests could
            # run, and all others would fail without any mutant.
            _run(item, self.session)
        for number, descriptor in enumerate(said, start=1):
            os.dup2(descriptor, number)

    def judge(self, point: Point, tests: Sequence[str]) -> tuple[str, str]:
        """The verdict, and the test that fails: one that passes without the mutant."""
        chosen = [test for test in tests if test in self.items and test not in self.unsound]
        while True:
            verdict, test = self._in_fork(point, chosen)
            if verdict not in {KILLED, HANGS} or not test:
                return verdict, test
            file = test.partition("::")[0]
            before = [one for one in chosen[: chosen.index(test) + 1] if one.startswith(file)]
            if not self._is_sound(before):
                self.unsound.add(test)
            elif self._in_fork(point, before) == (verdict, test):
                return verdict, test
            chosen.remove(test)

    def _is_sound(self, tests: Sequence[str]) -> bool:
        key = tuple(tests)
        if key not in self.sound:
            self.sound[key] = self._in_fork(None, tests)[0] == SURVIVED
        return self.sound[key]

    def _in_fork(self, point: Point | None, tests: Sequence[str]) -> tuple[str, str]:
        self._tell(HANGS, "")
        child = os.fork()
        if child == 0:
            try:
                self._tell(*self._be_mutant(point, tests))
            except NotHere:
                self._tell(NOT_HERE, "")
            except BaseException as error:
                self._tell(BROKEN, f"{type(error).__name__}: {error}"[:200])
            os._exit(0)
        _wait(child, WALL_SECONDS_MAX + 4 * self.seconds)
        told = self.told[:].rstrip(b"\0")
        return tuple(json.loads(told))

    def _tell(self, verdict: str, test: str) -> None:
        self.told[:] = json.dumps([verdict, test]).encode().ljust(TOLD_BYTES, b"\0")

    def _be_mutant(self, point: Point | None, tests: Sequence[str]) -> tuple[str, str]:
        seconds_max = CPU_SECONDS_MAX + int(4 * self.seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds_max, seconds_max))
        _be_silent()
        self.session.testsfailed = 0
        if point is not None:
            _replace(point, self.functions)
            for cached in self.caches:
                cached.cache_clear()
        items = [self.items[test] for test in tests]
        for item, following in pairwise([*items, self.session.items[0]]):
            self._tell(HANGS, item.nodeid)
            _run(item, following)
            if self.session.testsfailed:
                return KILLED, item.nodeid
        return SURVIVED, ""


def _run(item: pytest.Item, following: pytest.Item | pytest.Session) -> None:
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _wait(child: int, seconds: float) -> None:
    latest = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > latest:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.02)


# --- replacing the code of a function where it lives ---------------------------------------------


@dataclass(frozen=True)
class Live:
    function: FunctionType
    code: CodeType


def _live_functions() -> Iterator[Live]:
    rooms = tuple(f"{ROOT / room}{os.sep}" for room in ROOMS)
    for found in gc.get_objects():
        if type(found) is FunctionType and found.__code__.co_filename.startswith(rooms):
            yield Live(found, found.__code__)


def _replace(point: Point, functions: Sequence[Live]) -> None:
    """Raises NotHere."""
    path = str(ROOT / point.path)
    source = (ROOT / point.path).read_bytes()
    sound = _outermost(compile(source, path, "exec", dont_inherit=True), point)
    changed = _outermost(compile(point.apply(source), path, "exec", dont_inherit=True), point)
    # Functions inside of it may live already: made when a module was read.
    new = {_name_and_line(sound): changed}
    alike: set[tuple[str, int]] = set()  # two in one line: which is meant, nobody can tell
    for old_inner, new_inner in zip(_inner(sound), _inner(changed), strict=False):
        if old_inner.co_qualname == new_inner.co_qualname:
            name = _name_and_line(old_inner)
            alike |= {name} & set(new)
            new[name] = new_inner
    is_replaced = False
    for live in functions:
        name = _name_and_line(live.code)
        code = new.get(name)
        if code is None or live.code.co_filename != path:
            continue
        if code.co_freevars != live.code.co_freevars or name in alike:
            raise NotHere
        live.function.__code__ = code
        is_replaced = True
    if not is_replaced:
        raise NotHere


def _is_cache_of_a_room(found: object) -> bool:
    # By its type first: some objects answer to anything else with a question to a database.
    if not issubclass(type(found), _lru_cache_wrapper):
        return False
    return str(getattr(found, "__module__", "")).partition(".")[0] in ROOMS


def _outermost(module: CodeType, point: Point) -> CodeType:
    """The code of the function that is no part of another and holds ``point``."""
    place = [code for code in _outer(module) if code.co_qualname == point.outermost]
    for code in place:
        if code.co_firstlineno == point.outermost_line:
            return code
    raise NotHere


def _outer(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module and of its classes."""
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            if not part.co_flags & inspect.CO_OPTIMIZED:  # the body of a class
                yield from _outer(part)


def _inner(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _inner(part)


def _name_and_line(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno
