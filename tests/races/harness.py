"""Runs scenarios in real processes and compares what comes out with the serial orders."""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.races.scenarios import SWEEPS, Move, Scenario
from tests.races.worker import Trace

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS_MAX = 12
# Far beyond any lock wait: a worker that is silent for so long hangs.
ANSWER_SECONDS_MAX = 60.0
RUNS_VARIABLE, SEED_VARIABLE = "RACE_RUNS", "RACE_SEED"
ASKED_AGAIN_MAX = 3
SHOWN_STATEMENTS_MAX = 120

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


class RaceLost(AssertionError):
    """A race ended in a way that no order of its events explains."""


class WorkerFailed(RuntimeError):
    """The harness itself broke."""


class Harness:
    """Warm worker processes on a scratch database."""

    def __init__(self, workers: Sequence[Connection], gate: int, database: str) -> None:
        self._workers = workers
        self._gate = gate
        self.database = database
        self.seed = seed_asked()
        self._is_broken = False

    # --- what tests call ------------------------------------------------------------------------

    def check(self, scenario: Scenario, *, runs: int) -> None:
        """Run ``scenario`` many times. Raises RaceLost with everything needed to understand it."""
        self.clear()
        expected = self.serial_outcomes(scenario)
        for run in range(runs):
            outcome = self.race(scenario, run)
            if outcome.violations or all(
                (outcome.answers, outcome.summary) != (serial.answers, serial.summary)
                for serial in expected
            ):
                raise RaceLost(self._report(scenario, run, outcome, expected))

    def serial_outcomes(self, scenario: Scenario) -> list[Outcome]:
        """What every order of the moves, one after the other, leads to."""
        outcomes: list[Outcome] = []
        for order in _orders(scenario):
            things = self._tell(0, "build", scenario.world)
            answers = [self._tell(0, "act", things, move.as_tuple()) for move in order]
            outcome = self._judged(scenario, things, order, answers, ())
            problems = [*outcome.violations, *(a for a in answers if a.startswith("!"))]
            if problems:
                raise RaceLost(f"{scenario.name}, serially: {problems}\n{outcome.shown()}")
            if outcome not in outcomes:
                outcomes.append(outcome)
        return outcomes

    def race(self, scenario: Scenario, run: int = 0) -> Outcome:
        """All moves at the same moment, each in a process of its own."""
        moves = scenario.moves
        things = self._tell(0, "build", scenario.world)
        for number, move in enumerate(moves):
            seed = f"{self.seed} {scenario.name} {run} {number}"
            self._workers[number].send(("race", (things, move.as_tuple(), seed)))
        for number in range(len(moves)):
            self._answer(number)
        os.write(self._gate, b"!" * len(moves))
        results = [self._answer(number) for number in range(len(moves))]
        answers = [
            self._asked_again(things, move, result[0], scenario)
            for move, result in zip(moves, results, strict=True)
        ]
        traces = tuple(result[1] for result in results)
        return self._judged(scenario, things, moves, answers, traces)

    def clear(self) -> None:
        self._tell(0, "clear")

    # --- inside -----------------------------------------------------------------------------------

    def _asked_again(self, things: World, move: Move, answer: str, scenario: Scenario) -> str:
        """Some refusals tell the client to come again; then it does."""
        for _time in range(ASKED_AGAIN_MAX):
            if answer not in scenario.ask_again:
                break
            answer = self._tell(0, "act", things, move.as_tuple())
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
                self._tell(0, "act", things, move.as_tuple())
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

    def _answer(self, worker: int) -> Any:
        is_done, value = False, f"worker {worker} is silent or dead"
        with contextlib.suppress(EOFError):
            if self._workers[worker].poll(ANSWER_SECONDS_MAX):
                is_done, value = self._workers[worker].recv()
        if not is_done:
            self._is_broken = True
            raise WorkerFailed(value)
        return value

    def _report(
        self, scenario: Scenario, run: int, outcome: Outcome, expected: list[Outcome]
    ) -> str:
        lines = [
            f"{scenario.name} on {self.database}, run {run}: no serial order ends like this"
            f" (repeat: {SEED_VARIABLE}={self.seed} {RUNS_VARIABLE}={run + 1})",
            outcome.shown(),
        ]
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


def _orders(scenario: Scenario) -> Iterator[tuple[Move, ...]]:
    """Every order of the moves; equal moves are interchangeable."""
    if scenario.is_alike or len(set(scenario.moves)) == 1:
        yield scenario.moves
        return
    yield from dict.fromkeys(itertools.permutations(scenario.moves))


# --- the scratch database and the processes -----------------------------------------------------


@contextlib.contextmanager
def harness(folder: Path, *, workers: int = WORKERS_MAX) -> Iterator[Harness]:
    """Workers on a database of their own, beside the one that DATABASE_URL names."""
    with _scratch_database(folder) as url, _processes(folder, url, workers) as (ends, gate):
        yield Harness(ends, gate, urlsplit(url).scheme)


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
def _processes(folder: Path, url: str, number: int) -> Iterator[tuple[list[Connection], int]]:
    (folder / "gateway").mkdir()
    # A socket's path has 107 bytes at most, and pytest's folders have long names.
    with tempfile.TemporaryDirectory(prefix="race") as short, contextlib.ExitStack() as closing:
        address = f"{short}/s"
        listener = closing.enter_context(Listener(address, "AF_UNIX", backlog=number))
        gate_out, gate_in = os.pipe()
        closing.callback(os.close, gate_in)
        log = closing.enter_context((folder / "workers.log").open("wb"))
        root = subprocess.Popen(
            [sys.executable, "-m", "tests.races.worker", address, str(gate_out), str(number)],
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
        ends = [_next_worker(listener, root, folder) for _worker in range(number)]
        for end in ends:
            closing.callback(end.close)
        yield ends, gate_in


def _environment(folder: Path, url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": url,
        "RACE_GATEWAY_DIR": str(folder / "gateway"),
        "DEBUG": "on",
        "MOCK_CALLBACKS": "on",
        "ORDER_PRICE_POLICY": "open",
        "ORDER_EXPIRE_MINUTES": "120",
        "LATE_PAYMENT_POLICY": "refund",
        "REFUND_SECOND_APPROVAL_OVER": "",
        # Bells ring unheard: the rows are the queue, and the sweeps are moves of their own.
        "CELERY_BROKER_URL": "memory://",
        "LOG_LEVEL": "ERROR",
    }


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
