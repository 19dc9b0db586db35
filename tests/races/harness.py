"""Runs scenarios in real processes and compares what comes out with the serial orders."""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.races.figures import Figures, difference, is_overlapping
from tests.races.scenarios import SWEEPS, Move, Scenario
from tests.races.worker import HELD, Trace

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS_MAX = 12
# Of the 64 databases of tests.servers' Redis, tests use as many of the first as pytest has workers.
CACHES_APART = 32
# Far beyond any lock wait: a worker that is silent for so long hangs.
ANSWER_SECONDS_MAX = 60.0
# How long the others may run while one is held. Whoever needs longer waits for its locks.
OTHERS_SECONDS_MAX = 0.05
RUNS_VARIABLE, SEED_VARIABLE = "RACE_RUNS", "RACE_SEED"
ASKED_AGAIN_MAX = 3
SHOWN_STATEMENTS_MAX = 120
DEAD = "died"

World = dict[str, Any]


def runs_asked(default: int) -> int:
    return int(os.environ.get(RUNS_VARIABLE) or default)


def seed_asked() -> int:
    """RACE_SEED, or the seed of the whole test run, which prints it."""
    return int(os.environ.get(SEED_VARIABLE) or os.environ.get("TEST_SEED") or 0)


@dataclass(frozen=True)
class Outcome:
    """What everybody was told and what is in the database afterwards."""

    answers: tuple[str, ...]
    summary: dict[str, Any]
    violations: tuple[str, ...] = ()
    traces: tuple[Trace, ...] = field(default=(), compare=False, repr=False)

    def shown(self) -> str:
        lines = [f"    answers: {', '.join(self.answers)}"]
        lines += [f"    {name}: {value}" for name, value in self.summary.items()]
        lines += [f"    VIOLATED {violation}" for violation in self.violations]
        return "\n".join(lines)

    def is_as(self, other: "Outcome") -> bool:
        return (self.answers, self.summary) == (other.answers, other.summary)


@dataclass(frozen=True)
class Hold:
    """The mover that stops before one of its steps while all others run."""

    mover: int
    step: int


class RaceLost(AssertionError):
    """A race ended in a way that no order of its events explains."""


class WorkerFailed(RuntimeError):
    """The harness itself broke."""


class Harness:
    """Warm worker processes on a scratch database."""

    def __init__(self, hire: Callable[[], Connection], gate: int, database: str) -> None:
        self._hire = hire
        self._workers = [hire() for _worker in range(WORKERS_MAX)]
        self._gate = gate
        self.database = database
        self.seed = seed_asked()
        self._is_broken = False

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    # --- what tests call ------------------------------------------------------------------------

    def check(self, scenario: Scenario, *, runs: int) -> Figures:
        """Run ``scenario`` many times. Raises RaceLost with everything needed to understand it."""
        self.clear()
        expected, holds = self.serial_outcomes(scenario)
        figures = Figures(scenario.name, self.database, serial=len(expected), holds=len(holds))
        for run in range(runs):
            # Every second time one mover is held before a step, every step in its turn; in the
            # other runs delays decide.
            hold = holds[run // 2] if run % 2 == 0 and run // 2 < len(holds) else None
            outcome = self.race(scenario, run, hold)
            number = next((n for n, one in enumerate(expected) if outcome.is_as(one)), None)
            if number is None or outcome.violations:
                raise RaceLost(self._report(scenario, run, hold, outcome, expected))
            figures.add(number, is_held=bool(hold), is_overlapping=is_overlapping(outcome.traces))
        if not scenario.is_naive and (found := self._tell(0, "audit")):
            raise RaceLost(f"{scenario.name}, the audit of all runs: {found}")
        return figures

    def serial_outcomes(self, scenario: Scenario) -> tuple[list[Outcome], list[Hold]]:
        """What every order of the moves, one after the other, leads to; and all points where a
        mover can be held, shuffled.
        """
        outcomes: list[Outcome] = []
        steps: dict[Move, int] = {}
        for order, idle in _orders(scenario):
            things = self._built(scenario)
            told = [(DEAD, 0) if move in idle else self._act(things, move) for move in order]
            for move, (_answer, count) in zip(order, told, strict=True):
                steps[move] = max(count, steps.get(move, 0))
            outcome = self._judged(scenario, things, order, [answer for answer, _count in told], ())
            problems = [*outcome.violations, *(a for a in outcome.answers if "→ !" in a)]
            if problems:
                raise RaceLost(f"{scenario.name}, serially: {problems}\n{outcome.shown()}")
            if outcome not in outcomes:
                outcomes.append(outcome)
        holds = [
            Hold(scenario.moves.index(move), step)
            for move, count in steps.items()
            for step in range(1, count + 1)
        ]
        random.Random(f"{self.seed} {scenario.name}").shuffle(holds)
        return outcomes, holds

    def race(self, scenario: Scenario, run: int = 0, hold: Hold | None = None) -> Outcome:
        """All moves at the same moment, each in a process of its own."""
        things, moves = self._built(scenario), scenario.moves
        everybody = range(len(moves))
        results: dict[int, tuple[str, Trace]] = {}
        if hold is None:
            for mover in everybody:
                seed = f"{self.seed} {scenario.name} {run} {mover}"
                self._prepare(mover, things, moves[mover], seed=seed)
            os.write(self._gate, b"!" * len(moves))
        else:
            self._prepare(hold.mover, things, moves[hold.mover], hold_at=hold.step)
            os.write(self._gate, b"!")
            first = self._result(hold.mover)
            others = [mover for mover in everybody if mover != hold.mover]
            for mover in others:
                self._prepare(mover, things, moves[mover])
            os.write(self._gate, b"!" * len(others))
            if first is None:
                self._wait_for(others)
                self._workers[hold.mover].send("go on")
            else:
                results[hold.mover] = first
        for mover in everybody:
            if mover not in results:
                results[mover] = self._result(mover) or (HELD, [])
        answers = [
            self._asked_again(things, moves[mover], results[mover][0], scenario)
            for mover in everybody
        ]
        traces = tuple(results[mover][1] for mover in everybody)
        return self._judged(scenario, things, moves, answers, traces)

    def clear(self) -> None:
        self._tell(0, "clear")

    # --- inside -----------------------------------------------------------------------------------

    def _built(self, scenario: Scenario) -> World:
        things: World = self._tell(0, "build", scenario.world)
        for move in scenario.before:
            self._act(things, move)
        return things

    def _prepare(
        self,
        mover: int,
        things: World,
        move: Move,
        *,
        seed: str | None = None,
        hold_at: int | None = None,
    ) -> None:
        """Let a worker walk up to the gate."""
        arguments = (things, move.as_tuple(), move.dies, seed, hold_at)
        self._workers[mover].send(("race", arguments))
        self._answer(mover)

    def _result(self, mover: int) -> tuple[str, Trace] | None:
        """A mover's answer and trace; None when it is held."""
        told = self._answer(mover, may_die=True)
        if told == DEAD:
            return DEAD, []
        return None if told == HELD else (told[0], told[1])

    def _wait_for(self, movers: Sequence[int]) -> None:
        deadline = time.monotonic() + OTHERS_SECONDS_MAX
        for mover in movers:
            with contextlib.suppress(OSError):
                self._workers[mover].poll(max(0.0, deadline - time.monotonic()))

    def _act(self, things: World, move: Move) -> tuple[str, int]:
        self._workers[0].send(("act", (things, move.as_tuple(), move.dies)))
        told = self._answer(0, may_die=True)
        return (DEAD, 0) if told == DEAD else told

    def _asked_again(self, things: World, move: Move, answer: str, scenario: Scenario) -> str:
        """Some refusals tell the client to come again; then it does."""
        for _time in range(ASKED_AGAIN_MAX):
            if answer not in scenario.ask_again:
                break
            answer = self._act(things, move)[0]
        return answer

    def _judged(
        self,
        scenario: Scenario,
        things: World,
        moves: Sequence[Move],
        answers: list[str],
        traces: tuple[Trace, ...],
    ) -> Outcome:
        for move in dict.fromkeys(moves):
            if move.action in SWEEPS:
                self._act(things, move)
        summary, violations = self._tell(0, "judge", things)
        if scenario.is_naive:
            violations = []
        names = [move.action if scenario.is_alike else str(move) for move in moves]
        told = sorted(f"{name} → {answer}" for name, answer in zip(names, answers, strict=True))
        return Outcome(tuple(told), summary, tuple(violations), traces)

    def _tell(self, worker: int, name: str, *arguments: Any) -> Any:
        if self._is_broken:
            # Answers of before may still be on their way: nothing that comes can be trusted.
            raise WorkerFailed("a worker failed before; see the first failure")
        self._workers[worker].send((name, arguments))
        return self._answer(worker)

    def _answer(self, worker: int, *, may_die: bool = False) -> Any:
        is_done, value = False, f"worker {worker} is silent or dead"
        try:
            if self._workers[worker].poll(ANSWER_SECONDS_MAX):
                is_done, value = self._workers[worker].recv()
        except (EOFError, ConnectionResetError):
            if may_die:
                self._workers[worker].close()
                self._workers[worker] = self._hire()
                return DEAD
        if not is_done:
            self._is_broken = True
            raise WorkerFailed(value)
        return value

    def _report(
        self,
        scenario: Scenario,
        run: int,
        hold: Hold | None,
        outcome: Outcome,
        expected: list[Outcome],
    ) -> str:
        lines = [
            f"{scenario.name} on {self.database}, run {run}: no serial order ends like this"
            f" (repeat: {SEED_VARIABLE}={self.seed} {RUNS_VARIABLE}={run + 1})",
            difference(outcome.summary, [serial.summary for serial in expected]),
            outcome.shown(),
        ]
        if hold is not None:
            lines.insert(1, f"  mover {hold.mover} was held before its step {hold.step}")
        for number, serial in enumerate(expected, start=1):
            lines += [f"  serial outcome {number}:", serial.shown()]
        steps = sorted(
            (moment, number, text)
            for number, trace in enumerate(outcome.traces)
            for moment, text in trace
        )
        lines.append("  interleaving (ms, who, what):")
        lines += [
            f"    {(moment - steps[0][0]) * 1000:7.1f} {number} {text}"
            for moment, number, text in steps[:SHOWN_STATEMENTS_MAX]
        ]
        return "\n".join(lines)


def _orders(scenario: Scenario) -> Iterator[tuple[tuple[Move, ...], frozenset[Move]]]:
    """Every order of the moves; equal moves are interchangeable. Also with each of those that die
    having died before it did anything: in between it may meet what another one did.
    """
    alive = frozenset[Move]()
    if scenario.is_alike or len(set(scenario.moves)) == 1:
        yield scenario.moves, alive
        return
    orders = list(dict.fromkeys(itertools.permutations(scenario.moves)))
    yield from ((order, alive) for order in orders)
    if idle := frozenset(move for move in scenario.moves if move.dies):
        yield from ((order, idle) for order in orders)


# --- the scratch database and the processes -----------------------------------------------------


@contextlib.contextmanager
def harness(folder: Path) -> Iterator[Harness]:
    """Workers on a database of their own, beside the one that DATABASE_URL names."""
    with _scratch_database(folder) as url, _processes(folder, url) as (hire, gate):
        ready = Harness(hire, gate, urlsplit(url).scheme)
        with contextlib.closing(ready):
            yield ready


@contextlib.contextmanager
def _scratch_database(folder: Path) -> Iterator[str]:
    given = urlsplit(os.environ.get("DATABASE_URL", ""))
    if given.scheme not in {"mysql", "mariadb"}:
        yield f"sqlite:///{folder / 'race.sqlite3'}"
        return
    import MySQLdb

    name = f"race_{os.getpid()}_{random.SystemRandom().randrange(10**6)}"
    server = MySQLdb.connect(
        host=given.hostname or "127.0.0.1",
        port=given.port or 3306,
        user=unquote(given.username or ""),
        password=unquote(given.password or ""),
        autocommit=True,
    )
    try:
        server.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        yield given._replace(path=f"/{name}").geturl()
    finally:
        server.ping()
        server.query(f"DROP DATABASE IF EXISTS {name}")
        server.close()


@contextlib.contextmanager
def _processes(folder: Path, url: str) -> Iterator[tuple[Callable[[], Connection], int]]:
    """How to get one more worker, and the gate."""
    (folder / "gateway").mkdir()
    # A socket's path has 107 bytes at most, and pytest's folders have long names.
    with tempfile.TemporaryDirectory(prefix="race") as short, contextlib.ExitStack() as closing:
        address = f"{short}/s"
        listener = closing.enter_context(Listener(address, "AF_UNIX", backlog=WORKERS_MAX))
        gate_out, gate_in = os.pipe()
        closing.callback(os.close, gate_in)
        log = closing.enter_context((folder / "workers.log").open("wb"))
        root = subprocess.Popen(
            [sys.executable, "-m", "tests.races.worker", address, str(gate_out)],
            cwd=ROOT,
            env=_environment(folder, url),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[gate_out],
            start_new_session=True,
        )
        closing.callback(_end, root)
        os.close(gate_out)

        def hire() -> Connection:
            assert root.stdin is not None
            root.stdin.write(b"one more\n")
            root.stdin.flush()
            return _next_worker(listener, root, folder)

        yield hire, gate_in


def _environment(folder: Path, url: str) -> dict[str, str]:
    return {
        **os.environ,
        **_cache_apart(),
        "DATABASE_URL": url,
        "RACE_GATEWAY_DIR": str(folder / "gateway"),
        "DEBUG": "on",
        "MOCK_CALLBACKS": "on",
        "ORDER_PRICE_POLICY": "open",
        "ORDER_EXPIRE_MINUTES": "120",
        "LATE_PAYMENT_POLICY": "refund",
        "REFUND_SECOND_APPROVAL_OVER": "",
        "TOPUPS": "on",
        # Bells ring unheard: the rows are the queue, and the sweeps are moves of their own.
        "CELERY_BROKER_URL": "memory://",
        "LOG_LEVEL": "ERROR",
    }


def _cache_apart() -> dict[str, str]:
    """What races count there must not meet the tests that come after."""
    cache = urlsplit(os.environ.get("CACHE_URL", ""))
    if cache.scheme != "redis":
        return {}
    return {"CACHE_URL": cache._replace(path=f"/{int(cache.path[1:]) + CACHES_APART}").geturl()}


def _next_worker(listener: Listener, root: "subprocess.Popen[bytes]", folder: Path) -> Connection:
    waiting = listener._listener._socket
    waiting.settimeout(0.2)
    while True:
        try:
            return listener.accept()
        except TimeoutError:
            if root.poll() is not None:
                text = (folder / "workers.log").read_text(errors="replace")
                raise WorkerFailed(f"the workers did not start:\n{text[-5000:]}") from None


def _end(root: "subprocess.Popen[bytes]") -> None:
    """Close its input: it kills its workers, then ends itself."""
    assert root.stdin is not None
    root.stdin.close()
    try:
        root.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(root.pid, 9)
        root.wait()
