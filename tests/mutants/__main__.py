"""Runs the mutants, two at a time. ``python -m tests.mutants [-k WORD …] [--jobs 2]``

Every job has a scratch copy of the files that git tracks. First the tests must pass there as they
are; then, for each mutant, they must not.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, Queue

from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
# A mutant that makes the tests hang is noticed too.
SECONDS_MAX = 900
PYTEST_FAILED = 1
# One seed for everybody, so that what passes unmutated passes for a reason.
SEED = os.environ.get("TEST_SEED", "20250601")


class NothingProven(RuntimeError):
    """pytest found no tests, or could not start."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("-k", action="append", default=[], metavar="WORD", help="only these")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trust", action="store_true", help="don't run the unmutated tests first")
    given = parser.parse_args(arguments)
    mutants = [m for m in MUTANTS if not given.k or any(word in m.name for word in given.k)]
    strays = [mutant.name for mutant in mutants if not applies(mutant)]
    if strays:
        say(f"old text not found exactly once: {', '.join(strays)}")
        return 2
    started = time.monotonic()
    with contextlib.ExitStack() as copies:
        folders = [copies.enter_context(scratch_copy()) for _job in range(given.jobs)]
        if not given.trust and (broken := unmutated(folders[0], mutants)):
            say(f"failing without any mutant: {broken}")
            return 2
        survivors = run_all(mutants, folders)
    seconds = time.monotonic() - started
    killed = len(mutants) - len(survivors)
    say(f"{len(mutants)} mutants, {killed} killed, {len(survivors)} survived, {seconds:.0f} s")
    for mutant in survivors:
        say(f"SURVIVED {mutant.name} ({mutant.path}) {' '.join(mutant.tests)}")
    return 1 if survivors else 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def applies(mutant: Mutant) -> bool:
    """Whether the list still fits the code."""
    return (ROOT / mutant.path).read_text(encoding="utf-8").count(mutant.old) == 1


@contextlib.contextmanager
def scratch_copy() -> Iterator[Path]:
    """The tracked files as they are in the working tree, and the virtual environment."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        for path in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, folder / path)
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
        yield folder


def run_all(mutants: Sequence[Mutant], folders: Sequence[Path]) -> list[Mutant]:
    """The survivors, in the order of the list."""
    waiting: Queue[Mutant] = Queue()
    for mutant in mutants:
        waiting.put(mutant)
    survivors: list[Mutant] = []

    def work(folder: Path) -> None:
        while True:
            try:
                mutant = waiting.get_nowait()
            except Empty:
                return
            started = time.monotonic()
            try:
                verdict = "killed" if run_one(mutant, folder) else "SURVIVED"
            except NothingProven as error:
                verdict = f"BROKEN {error}"
            say(f"{verdict:8} {mutant.name} ({time.monotonic() - started:.0f} s)")
            if verdict != "killed":
                survivors.append(mutant)

    jobs = [threading.Thread(target=work, args=(folder,)) for folder in folders]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    return sorted(survivors, key=mutants.index)


def run_one(mutant: Mutant, folder: Path) -> bool:
    """Whether the tests notice ``mutant``."""
    path = folder / mutant.path
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return not passes(folder, mutant.tests, on_mariadb=mutant.on_mariadb)
    finally:
        path.write_text(sound, encoding="utf-8")


def unmutated(folder: Path, mutants: Sequence[Mutant]) -> str:
    """The first selection of tests that fails as it is; empty when all pass."""
    selections = dict.fromkeys((mutant.tests, mutant.on_mariadb) for mutant in mutants)
    plain = sorted({t for tests, on_mariadb in selections if not on_mariadb for t in tests[:1]})
    if plain and not passes(folder, plain, on_mariadb=False):
        return " ".join(plain)
    for tests, on_mariadb in selections:
        if on_mariadb and not passes(folder, tests, on_mariadb=True):
            return " ".join(tests)
    return ""


def passes(folder: Path, tests: Sequence[str], *, on_mariadb: bool) -> bool:
    """Raises NothingProven."""
    python = str(folder / ".venv" / "bin" / "python")
    pytest = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
    command = [python, "-m", "tests.servers", "--", *pytest] if on_mariadb else pytest
    environment = {
        **{k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CACHE_URL"}},
        "TEST_SEED": SEED,
        "RACE_RUNS": "30",
        "STATEFUL_EXAMPLES": "60",
    }
    try:
        run = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return False
    if run.returncode not in {0, PYTEST_FAILED}:
        raise NothingProven(run.stdout.decode()[-3000:] + run.stderr.decode()[-3000:])
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
