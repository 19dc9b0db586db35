"""``python -m tests.hosts``: every host, every way; a table; exit 1 on any finding."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import galera
from tests.faults.__main__ import say, shown, summary
from tests.faults.play import Result, Skipped
from tests.faults.programs import StageBroken
from tests.hosts import matrix, net
from tests.hosts.cluster import HostedCluster
from tests.hosts.databases import Pair
from tests.hosts.stage import HostStage, played

APPS = {"web1": 11, "web2": 12, "job1": 21, "job2": 22, "redis": 31}
DATABASES = {"db1": 41, "db2": 42}
NODES = {"node1": 51, "node2": 52, "node3": 53}
PAIR_BLOWS = [
    matrix.Blow(host, kind) for host in ("primary", "replica", *APPS) for kind in matrix.KINDS
]
PAIR_BLOWS.append(matrix.Blow("primary", "commit"))
GALERA_BLOWS = [matrix.Blow(host, kind) for host in ("writer", "reader") for kind in matrix.KINDS]


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    try:
        net.enter(arguments)
    except Skipped as reason:
        say(f"SKIP {reason}")
        return 0
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**31)
    say(f"seed {seed} (repeat with --seed {seed})")
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="tcm-hosts-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        try:
            results += _stages(options, folder, seed)
        except StageBroken as error:
            results.append(shown(Result("stage", problems=[str(error)])))
        is_clean = not any(result.problems for result in results)
        if options.keep and not is_clean:
            kept = Path(tempfile.gettempdir()) / f"tcm-hosts-kept-{seed}"
            folder.rename(kept)
            folder.mkdir()
            say(f"logs and journals: {kept}")
    summary(results)
    say("nothing lost, nothing doubled" if is_clean else "SEE ABOVE")
    return 0 if is_clean else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.hosts", description=__doc__)
    parser.add_argument("--only", default="", help="names that contain this, or several: a,b")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--away", type=float, default=30.0, help="a host is away for up to so many seconds (30)"
    )
    parser.add_argument("--times", type=int, default=1, help="the chosen ones again (1)")
    parser.add_argument("--keep", action="store_true", help="keep logs and journals on a finding")
    return parser.parse_args(arguments)


def _stages(options: argparse.Namespace, folder: Path, seed: int) -> list[Result]:
    wanted = [word for word in options.only.split(",") if word]

    def chosen(blows: list[matrix.Blow]) -> list[matrix.Blow]:
        return [blow for blow in blows if not wanted or any(word in blow.name for word in wanted)]

    others = [
        name
        for name in ("beats", "doctor", "export", "readonly")
        if not wanted or any(word in name for word in wanted)
    ]
    on_pair, on_galera = chosen(PAIR_BLOWS), chosen(GALERA_BLOWS)
    hosts = {name: net.Host(name, number) for name, number in (APPS | DATABASES | NODES).items()}
    results = []
    if on_pair or others:
        pair = Pair((hosts["db1"], hosts["db2"]))
        stage = HostStage(_own(folder, "pair"), pair, hosts)
        results += _played(options, stage, on_pair, seed, others)
    if on_galera:
        try:
            provider = galera.installed_provider()
        except Skipped as reason:
            return [*results, shown(Result("galera", skipped=str(reason)))]
        own = _own(folder, "galera")
        cluster = HostedCluster([hosts[name] for name in NODES], _own(own, "nodes"), provider)
        results += _played(options, HostStage(own, cluster, hosts), on_galera, seed)
    return results


def _own(folder: Path, name: str) -> Path:
    own = folder / name
    own.mkdir(mode=0o711)
    return own


def _played(
    options: argparse.Namespace, stage: HostStage, blows: list[matrix.Blow], seed: int,
    others: Sequence[str] = (),
) -> list[Result]:  # fmt: skip
    results = []
    begun = time.monotonic()
    with played(stage):
        say(f"{stage.folder.name}: all hosts serve after {time.monotonic() - begun:.0f} s")
        for name in others:
            results.append(shown(getattr(matrix, name)(stage, seed)))
        for time_of in range(options.times):
            for blow in blows:
                results.append(shown(matrix.play(stage, blow, seed + time_of, options.away)))
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
