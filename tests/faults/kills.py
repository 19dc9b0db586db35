"""kill -9 again and again under load; after each, everything told before is there."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import books
from tests.faults.play import Result, StageBroken, audited, judge, loaded, median, take
from tests.faults.stage import Stage

WARM_ACKS, RECOVERED_ACKS = 15, 10
# The books as a whole; what was acknowledged is looked up after each.
AUDITED_EVERY = 5
# Reads of another cluster node may be behind by what it has still to apply.
SECOND_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Kill:
    """``strike`` kills, ``recover`` does what a supervisor does."""

    name: str
    strike: Callable[[Stage, random.Random], None]
    recover: Callable[[Stage], None]


def repeat(stage: Stage, kill: Kill, seed: int, times: int) -> Result:
    """Strike ``times`` times under one load; compare after each, audit every few times."""
    result = Result(kill.name)
    begun = time.monotonic()
    chance = random.Random(f"{seed} {kill.name}")
    stalls: list[float] = []
    checked = done = 0
    try:
        stage.repair()
        with loaded(stage, f"{seed} {kill.name}") as load:
            while done < times:
                done += 1
                load.wait_for_more(WARM_ACKS)
                time.sleep(chance.uniform(0.0, 0.7))
                struck_at = time.time()
                kill.strike(stage, chance)
                told = load.lines()
                kill.recover(stage)
                load.wait_for_more(RECOVERED_ACKS)
                stalls.append(load.stall(since=struck_at - 1))
                checked += _look(stage, told, load.run, result)
                if done % AUDITED_EVERY == 0:
                    result.problems += audited(stage)
            load.stop()
            judge(stage, load, result)
    except StageBroken as error:
        result.problems.append(f"round {done}: {error}")
    result.stall = max(stalls, default=0.0)
    result.notes.append(
        f"{done} times; {checked} acknowledgements looked up right after the kills;"
        f" stall median {median(stalls):.1f} s, longest {result.stall:.1f} s"
    )
    result.seconds = time.monotonic() - begun
    return result


def _look(stage: Stage, told: books.Lines, run: str, result: Result) -> int:
    """What clients were told before the kill is there; how much that is."""
    comparison = books.compare(stage, told, run)
    if not comparison.is_clean:
        time.sleep(SECOND_LOOK_SECONDS)
        comparison = books.compare(stage, told, run)
    take(result, comparison)
    return comparison.acknowledged


def _restart(name: str) -> Callable[[Stage], None]:
    return lambda stage: getattr(stage, name).start()


def _kill(name: str) -> Callable[[Stage, random.Random], None]:
    return lambda stage, _chance: getattr(stage, name).kill()


def _kill_one_node(stage: Stage, chance: random.Random) -> None:
    """Mostly the one that is written to: that is the worst one."""
    stage.database.kill_one(is_primary=chance.random() < 0.75)


def _kill_all_nodes(stage: Stage, _chance: random.Random) -> None:
    stage.database.kill_all()


def _rejoin(stage: Stage) -> None:
    stage.database.recover()


SINGLE = (
    Kill("kill-web", _kill("web"), _restart("web")),
    Kill("kill-worker", _kill("worker"), _restart("worker")),
    Kill("kill-beat", _kill("beat"), _restart("beat")),
    Kill("kill-mariadb", _kill("database"), _restart("database")),
)
CLUSTER = (
    Kill("kill-galera-one", _kill_one_node, _rejoin),
    Kill("kill-galera-all", _kill_all_nodes, _rejoin),
)
