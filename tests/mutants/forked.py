"""pytest's own loop, replaced: each mutant is a fork of one process that is ready to test.

Reading the code, collecting the tests and building the database takes longer than most tests. It is
done once; a fork then replaces the code of one function where it lives, runs the tests that were
chosen for it up to the first that fails, and is gone. For changes inside of functions: what is
evaluated as a module is read needs a process of its own (``drawn``).

``drawn`` names the plan (JSON: what to change, the tests) in DRAWN_PLAN, and gets a list of
[verdict, failing test] back in DRAWN_VERDICTS.
"""

import gc
import importlib
import inspect
import json
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

# Seconds of the processor's time, and by the clock: a mutant that hangs is noticed too.
CPU_SECONDS_MAX, WALL_SECONDS_MAX = 120, 600
KILLED, SURVIVED, HANGS, NOT_HERE = "killed", "SURVIVED", "hangs", "elsewhere"
BROKEN = "BROKEN"  # this tool


class NotHere(LookupError):
    """The function does not live, or its changed code does not fit into it."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    plan = json.loads(Path(os.environ["DRAWN_PLAN"]).read_text("utf-8"))
    mutants = [(Point(**mutant["point"]), list(mutant["tests"])) for mutant in plan]
    for path in {point.path for point, _tests in mutants}:
        module = path.removesuffix(".py").removesuffix("/__init__")
        importlib.import_module(module.replace("/", "."))
    forks = Forks(session)
    verdicts = []
    for number, (point, tests) in enumerate(mutants, start=1):
        started = time.monotonic()
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
        self.sound: set[str] = set()
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
            if verdict != KILLED or not test or self._is_sound(test, chosen):
                return verdict, test
            self.unsound.add(test)
            chosen.remove(test)

    def _is_sound(self, test: str, chosen: Sequence[str]) -> bool:
        if test not in self.sound:
            file = test.partition("::")[0]
            before = [one for one in chosen[: chosen.index(test) + 1] if one.startswith(file)]
            if self._in_fork(None, before)[0] != SURVIVED:
                return False
            self.sound.add(test)
        return True

    def _in_fork(self, point: Point | None, tests: Sequence[str]) -> tuple[str, str]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                told = self._be_mutant(point, tests)
            except NotHere:
                told = (NOT_HERE, "")
            except BaseException as error:
                told = (BROKEN, f"{type(error).__name__}: {error}"[:200])
            with os.fdopen(writing, "w") as pipe:
                pipe.write(json.dumps(told))
            os._exit(0)
        os.close(writing)
        _wait(child)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        return tuple(json.loads(answer)) if answer else (HANGS, "")

    def _be_mutant(self, point: Point | None, tests: Sequence[str]) -> tuple[str, str]:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
        _be_silent()
        self.session.testsfailed = 0
        if point is not None:
            _replace(point, self.functions)
            for cached in self.caches:
                cached.cache_clear()
        items = [self.items[test] for test in tests]
        for item, following in pairwise([*items, self.session.items[0]]):
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


def _wait(child: int) -> None:
    latest = time.monotonic() + WALL_SECONDS_MAX
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
    for old_inner, new_inner in zip(_inner(sound), _inner(changed), strict=False):
        if old_inner.co_qualname == new_inner.co_qualname:
            new[_name_and_line(old_inner)] = new_inner
    is_replaced = False
    for live in functions:
        code = new.get(_name_and_line(live.code))
        if code is None or live.code.co_filename != path:
            continue
        if code.co_freevars != live.code.co_freevars:
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
