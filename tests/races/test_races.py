"""Whatever happens at once ends as if it had happened one after the other."""

from collections.abc import Callable

import pytest

from tests.races.crashes import CRASHES
from tests.races.figures import Figures
from tests.races.harness import Harness, RaceLost, runs_asked
from tests.races.scenarios import HEADLINES, NAIVE, PAIRS, Scenario, do, race
from tests.races.topups import TOPUPS

pytestmark = pytest.mark.race

Note = Callable[[Figures], None]

HEADLINE_RUNS = 4
PAIR_RUNS = 2
CRASH_RUNS = 1
# A harness that does not find naive code within so many runs has no teeth.
NAIVE_RUNS = 60


def named(*scenarios: Scenario) -> pytest.MarkDecorator:
    names = [scenario.name for scenario in scenarios]
    return pytest.mark.parametrize("scenario", scenarios, ids=names)


@named(*HEADLINES)
def test_the_orders_first_demands(races: Harness, scenario: Scenario, noted: Note) -> None:
    noted(races.check(scenario, runs=runs_asked(HEADLINE_RUNS)))


@named(*PAIRS, *TOPUPS)
def test_it_ends_like_one_of_the_serial_orders(
    races: Harness, scenario: Scenario, noted: Note
) -> None:
    noted(races.check(scenario, runs=runs_asked(PAIR_RUNS)))


@named(*CRASHES)
def test_a_crash_loses_and_doubles_nothing(races: Harness, scenario: Scenario, noted: Note) -> None:
    noted(races.check(scenario, runs=runs_asked(CRASH_RUNS)))


@named(*NAIVE)
def test_it_finds_naive_code(races: Harness, scenario: Scenario) -> None:
    with pytest.raises(RaceLost, match="no serial order ends like this"):
        races.check(scenario, runs=NAIVE_RUNS)


@pytest.mark.parametrize("counter", ["hit_limit", "count_in_database"])
def test_a_limit_is_exact(races: Harness, counter: str) -> None:
    """Sixty hits from eight processes on a limit of ten: exactly ten pass."""
    processes, hits, limit = 8, [8, 8, 8, 8, 7, 7, 7, 7], 10
    moves = [do(counter, times=times, limit=limit) for times in hits]
    scenario = race(f"limit by {counter}", "nobody", *moves)
    assert len(moves) == processes
    for run in range(runs_asked(PAIR_RUNS)):
        answers = races.race(scenario, run).answers
        passed = [int(answer.split(" → ")[1]) for answer in answers]
        assert sum(passed) == limit, answers
