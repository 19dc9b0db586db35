"""Playing one scenario: load, fault, healing, rest; then all lists and books are compared."""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import books
from tests.faults.books import Comparison, Lines
from tests.faults.load import Plan
from tests.faults.programs import Program, StageBroken
from tests.faults.stage import Stage

USERS = 5
WARM_ACKS, RECOVERED_ACKS = 20, 15
# Bounds for a hang, generous: the machine may be busy with other things.
RECOVERY_SECONDS_MAX = 300.0
REST_SECONDS_MAX = 300.0
REST_LOOK_SECONDS = 0.7
LOAD_END_SECONDS_MAX = 400.0


class FaultFound(AssertionError):
    """The product did not do what it promises under a fault."""


def expect(is_so: Any, otherwise: str) -> None:
    """Raises FaultFound."""
    if not is_so:
        raise FaultFound(otherwise)


@dataclass
class Act:
    """A scenario while it is played: what it may use, and what it wants to tell."""

    stage: Stage
    load: "Load"
    chance: random.Random
    is_short: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def lasts(self, seconds: float, *, short: float) -> float:
        """How long a fault lasts: as asked for, or shortened."""
        return short if self.is_short else seconds


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    run: Callable[[Act], None]
    is_quick: bool = False  # runs in `make test` too
    plan: dict[str, Any] = field(default_factory=dict)
    own_stage: Callable[[Path], AbstractContextManager[Stage]] | None = None

    @property
    def group(self) -> str:
        return self.name.partition("-")[0]


@dataclass
class Result:
    name: str
    seconds: float = 0.0
    acknowledged: int = 0
    stall: float = 0.0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""


class Skipped(Exception):
    """This machine can't do it; the text says what is missing."""


class Load:
    """The load generator and its journal."""

    def __init__(self, stage: Stage, seed: str, **changes: Any) -> None:
        self.run = stage.next_run()
        folder = stage.folder
        self.journal = folder / f"{self.run}.jsonl"
        self._stop_file = folder / f"{self.run}.stop"
        plan = Plan(
            run=self.run,
            seed=seed,
            web_port=stage.web_port,
            stand_in_port=stage.stand_in_port,
            users=stage.new_users(USERS),
            journal=str(self.journal),
            stop_file=str(self._stop_file),
            **changes,
        )
        plan_file = folder / f"{self.run}.plan"
        plan.write(plan_file)
        self._program = load_program(stage, folder, self.run, plan_file)
        self._stage = stage
        self.stopped_at = float("inf")

    def start(self) -> None:
        self._program.start()

    def lines(self) -> Lines:
        return books.read_journal(self.journal)

    def count(self) -> int:
        return len(books.acknowledgements(self.lines()))

    def wait_for_more(self, number: int, *, seconds: float = RECOVERY_SECONDS_MAX) -> float:
        """Wait for ``number`` further acknowledgements; how long it took."""
        wanted = self.count() + number
        return self._stage.wait_for(
            lambda: self.count() >= wanted or not self._program.is_running(),
            f"{number} more acknowledgements",
            seconds=seconds,
        )

    def stop(self) -> None:
        """Let everybody finish what they began."""
        if self.stopped_at == float("inf"):
            self.stopped_at = time.time()
            self._stop_file.touch()
        code = self._program.wait(LOAD_END_SECONDS_MAX)
        if code:
            raise StageBroken(f"the load ended with {code}:\n{self._program.log_tail()}")

    def kill(self) -> None:
        self._program.kill()

    def stall(self, since: float = 0.0) -> float:
        return books.longest_gap(self.lines(), since=since, until=self.stopped_at)


def load_program(stage: Stage, folder: Path, run: str, plan_file: Path) -> Program:
    return Program(
        f"load-{run}",
        [sys.executable, "-m", "tests.faults.load", str(plan_file)],
        folder=folder,
        environment={"JWT_SECRET": stage.environment["JWT_SECRET"]},
    )


@contextmanager
def loaded(stage: Stage, seed: str, **changes: Any) -> Iterator[Load]:
    load = Load(stage, seed, **changes)
    try:
        load.start()
        yield load
    finally:
        load.kill()


def play(stage: Stage, scenario: Scenario, seed: int, *, is_short: bool = False) -> Result:
    """One scenario from a sound stage to a sound stage. Problems are in the result."""
    result = Result(scenario.name)
    begun = time.monotonic()
    try:
        stage.repair()
        with loaded(stage, f"{seed} {scenario.name}", **scenario.plan) as load:
            _play(stage, scenario, seed, load, result, is_short)
    except Skipped as reason:
        result.skipped = str(reason)
    except (FaultFound, StageBroken) as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - begun
    return result


def _play(
    stage: Stage, scenario: Scenario, seed: int, load: Load, result: Result, is_short: bool
) -> None:
    act = Act(stage, load, random.Random(f"{seed} {scenario.name}"), is_short, result.notes)
    load.wait_for_more(WARM_ACKS)
    fault_at = time.time()
    try:
        scenario.run(act)
    except FaultFound as error:
        result.problems.append(str(error))
    stage.repair()
    load.wait_for_more(RECOVERED_ACKS)
    load.stop()
    result.stall = load.stall(since=fault_at - 1)
    judge(stage, load, result)


def play_together(stage: Stage, scenarios: Sequence[Scenario], seed: int) -> Result:
    """Several short faults one after the other under one load, compared once at the end."""
    result = Result(", ".join(scenario.name for scenario in scenarios))
    with loaded(stage, f"{seed} together") as load:
        for scenario in scenarios:
            load.wait_for_more(WARM_ACKS)
            chance = random.Random(f"{seed} {scenario.name}")
            scenario.run(Act(stage, load, chance, True, result.notes))
            stage.repair()
        load.wait_for_more(RECOVERED_ACKS)
        load.stop()
        judge(stage, load, result)
    return result


def judge(stage: Stage, load: Load, result: Result) -> None:
    """Once all has come to rest: the list, both books, the audit."""
    take(result, at_rest(stage))
    comparison = books.compare(stage, load.lines(), load.run)
    result.acknowledged += comparison.acknowledged
    take(result, comparison)
    take(result, books.compare_gateways(stage))
    result.problems += audited(stage, "--strict")


def at_rest(stage: Stage) -> Comparison:
    """Wait until nothing moves any more."""
    waited = Comparison()

    def is_at_rest() -> bool:
        """Twice: something may have been on its way at the first look."""
        stage.supervise()
        if books.unsettled(stage):
            return False
        time.sleep(REST_LOOK_SECONDS)
        return not books.unsettled(stage)

    try:
        stage.wait_for(is_at_rest, "all has come to rest", seconds=REST_SECONDS_MAX)
    except StageBroken as error:
        waited.others.append(str(error))
    return waited


def take(result: Result, comparison: Comparison) -> None:
    result.lost += len(comparison.lost)
    result.doubled += len(comparison.doubled)
    result.problems += comparison.lines()


def audited(stage: Stage, *arguments: str) -> list[str]:
    """What ``audit_money`` finds, past the proxy."""
    code, text = stage.try_manage("audit_money", *arguments, is_direct=True)
    if not code:
        return []
    return [f"audit: {line}" for line in text.splitlines() if "[提示]" not in line][:10]


def median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0
