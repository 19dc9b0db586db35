"""``python -m tests.faults``: break everything, compare, print a table; exit 1 on any finding."""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import galera, kills
from tests.faults.play import Result, Scenario, Skipped, play
from tests.faults.programs import StageBroken
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import stage

ALL_KILLS = (*kills.SINGLE, *kills.CLUSTER)


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    # However it is stopped, everything that was started is stopped too.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, _interrupted)
    if options.list:
        for scenario in SCENARIOS:
            say(f"{scenario.name:28} {scenario.what}")
        return 0
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**31)
    say(f"seed {seed} (repeat with --seed {seed})")
    with tempfile.TemporaryDirectory(prefix="tcm-faults-") as name:
        results = _run(options, Path(name), seed)
        is_clean = not any(result.problems for result in results)
        if not is_clean and options.keep:
            kept = Path(tempfile.gettempdir()) / f"tcm-faults-kept-{os.getpid()}"
            Path(name).rename(kept)
            Path(name).mkdir()
            say(f"logs and journals: {kept}")
    summary(results)
    say("nothing lost, nothing doubled" if is_clean else "SEE ABOVE")
    return 0 if is_clean else 1


def _interrupted(number: int, _frame: object) -> None:
    say(f"stopped by signal {number}")
    raise SystemExit(128 + number)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="the scenarios")
    parser.add_argument("--only", default="", help="names that contain this, or several: a,b")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--short", action="store_true", help="faults of seconds, not of half minutes"
    )
    parser.add_argument("--kills", action="store_true", help="the kills only")
    parser.add_argument("--times", type=int, default=3, help="how often each kill is repeated (3)")
    parser.add_argument("--no-kills", action="store_true", help="without the repeated kills")
    parser.add_argument("--keep", action="store_true", help="keep logs and journals on a finding")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, folder: Path, seed: int) -> list[Result]:
    wanted = [word for word in options.only.split(",") if word]

    def is_wanted(name: str) -> bool:
        return not wanted or any(word in name for word in wanted)

    results: list[Result] = []
    if not options.kills:
        chosen = [scenario for scenario in SCENARIOS if is_wanted(scenario.name)]
        results += _play_all(chosen, folder, seed, options.short)
    if not options.no_kills:
        single = [kill for kill in kills.SINGLE if is_wanted(kill.name)]
        cluster = [kill for kill in kills.CLUSTER if is_wanted(kill.name)]
        results += _kill_all(single, cluster, folder, seed, options.times)
    return results


def _play_all(
    scenarios: Sequence[Scenario], folder: Path, seed: int, is_short: bool
) -> list[Result]:
    results = []
    shared = [scenario for scenario in scenarios if scenario.own_stage is None]
    if shared:
        with stage(_subfolder(folder, "shared")) as common:
            for scenario in shared:
                results.append(shown(play(common, scenario, seed, is_short=is_short)))
    for scenario in scenarios:
        if scenario.own_stage is None:
            continue
        try:
            with scenario.own_stage(_subfolder(folder, scenario.name)) as own:
                results.append(shown(play(own, scenario, seed, is_short=is_short)))
        except (Skipped, StageBroken) as error:
            results.append(shown(_unplayed(scenario.name, error)))
    return results


def _kill_all(
    single: Sequence[kills.Kill], cluster: Sequence[kills.Kill], folder: Path, seed: int, times: int
) -> list[Result]:
    results = []
    if single:
        with stage(_subfolder(folder, "kills"), processes=1) as common:
            results += [shown(kills.repeat(common, kill, seed, times)) for kill in single]
    if cluster:
        try:
            with galera.galera_stage(_subfolder(folder, "galera")) as clustered:
                results += [shown(kills.repeat(clustered, kill, seed, times)) for kill in cluster]
        except (Skipped, StageBroken) as error:
            results.append(shown(_unplayed("galera", error)))
    return results


def _unplayed(name: str, error: Exception) -> Result:
    if isinstance(error, Skipped):
        return Result(name, skipped=str(error))
    return Result(name, problems=[str(error)])


def _subfolder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def shown(result: Result) -> Result:
    mark = "SKIP" if result.skipped else "FAIL" if result.problems else "ok"
    said = result.skipped or "; ".join(result.notes)
    say(
        f"{time.strftime('%H:%M:%S')} {mark:4} {result.name:28} {result.seconds:5.0f} s "
        f"{result.acknowledged:6} acks  stall {result.stall:5.1f} s  "
        f"lost {result.lost} doubled {result.doubled}  {said}"
    )
    for problem in result.problems:
        say(f"       {problem}")
    return result


def summary(results: Sequence[Result]) -> None:
    say(f"\n{'fault':28} {'acks':>7} {'stall s':>8} {'lost':>5} {'doubled':>8}")
    for result in results:
        if result.skipped:
            say(f"{result.name:28} skipped: {result.skipped}")
            continue
        say(
            f"{result.name:28} {result.acknowledged:7} {result.stall:8.1f} {result.lost:5}"
            f" {result.doubled:8}{'  PROBLEMS' if result.problems else ''}"
        )
    say(
        f"{'all':28} {sum(r.acknowledged for r in results):7}"
        f" {max((r.stall for r in results), default=0):8.1f}"
        f" {sum(r.lost for r in results):5} {sum(r.doubled for r in results):8}"
    )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
