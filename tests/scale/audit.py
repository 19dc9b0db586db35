"""What the audit costs at two sizes of books, and the most memory that it holds.

    python -m tests.scale.audit --mix mixed --copies 500 2000

Makes sound books (``tests.scale.books``: twenty ledger entries a copy) in a SQLite file and in a
private MariaDB, and runs ``manage.py audit_money`` on them. The line of a pair says what a million
entries take, drawn from both sizes. On a shared machine the CPU time counts, of our processes and
of the database's server; where there are enough cores, they share it. Exits 1 when the audit finds
anything wrong, or holds more than MEMORY_MB_MAX.
"""

import argparse
import base64
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.scale.__main__ import ENVIRONMENT, MEMORY_MB_MAX, say
from tests.servers import mariadb

MILLION = 1_000_000
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.2
ENCRYPTION_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


class Books(NamedTuple):
    url: str
    server_pid: int | None
    entries: int


class Cost(NamedTuple):
    """In seconds; memory in megabytes of all processes together, shared pages once."""

    cpu: float
    server_cpu: float
    wall: float
    memory: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.audit", description=__doc__)
    parser.add_argument("--mix", nargs="+", default=["topups", "balance", "mixed"])
    parser.add_argument("--copies", nargs=2, type=int, default=[200, 800])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "mariadb"])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 0], help="0: as usual")
    given = parser.parse_args(arguments)
    memory = 0.0
    for database in given.databases:
        for mix in given.mix:
            few, many = given.copies
            with _books(database, mix, few) as small, _books(database, mix, many) as large:
                for processes in given.processes:
                    title = f"{mix} {database} {processes or 'usual'}"
                    costs = [_told(title, books, processes) for books in (small, large)]
                    _tell_million(title, (small, large), costs)
                    memory = max(memory, *(cost.memory for cost in costs))
    return 0 if memory <= MEMORY_MB_MAX else 1


@contextmanager
def _books(database: str, mix: str, copies: int) -> Iterator[Books]:
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/books.sqlite3"
            yield Books(url, None, _made(url, mix, copies))
    else:
        options = ("--innodb-buffer-pool-size=512M", "--innodb-flush-log-at-trx-commit=2")
        with mariadb(database="books", options=options) as server:
            yield Books(server.url, server.pid, _made(server.url, mix, copies))


def _made(url: str, mix: str, copies: int) -> int:
    say(f"making {mix}, {copies} copies")
    done = subprocess.run(
        [sys.executable, "-m", "tests.scale.parts", "books", mix, str(copies)],
        env={**_environment(url), "DEBUG": "on"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1])


def _told(title: str, books: Books, processes: int) -> Cost:
    cost = _cost(books, processes)
    say(
        f"{title:<22}{books.entries:>8} entries: {cost.cpu:.1f} + {cost.server_cpu:.1f} CPU s, "
        f"{cost.wall:.1f} s on the wall, {cost.memory:.0f} MB"
    )
    return cost


def _tell_million(title: str, books: Sequence[Books], costs: Sequence[Cost]) -> None:
    entries = books[1].entries - books[0].entries
    each, of_server = ((costs[1][n] - costs[0][n]) * 1000 / entries for n in (0, 1))
    million = MILLION / 1000
    say(
        f"{title:<22}an entry: {each:.3f} + {of_server:.3f} CPU ms; "
        f"a million: {each * million:.0f} + {of_server * million:.0f} CPU s"
    )


def _cost(books: Books, processes: int) -> Cost:
    before, server_before = _children_cpu(), _server_cpu(books.server_pid)
    started, memory = time.perf_counter(), 0.0
    audit = subprocess.Popen(
        [sys.executable, "manage.py", "audit_money", "--processes", str(processes)],
        env=_environment(books.url),
        stdout=subprocess.PIPE,
        text=True,
    )
    while audit.poll() is None:
        memory = max(memory, _memory_mb(audit.pid))
        time.sleep(SAMPLE_SECONDS)
    if audit.returncode:
        raise SystemExit(audit.stdout.read() if audit.stdout else "")
    wall = time.perf_counter() - started
    server_cpu = _server_cpu(books.server_pid) - server_before
    return Cost(_children_cpu() - before, server_cpu, wall, memory)


def _environment(url: str) -> dict[str, str]:
    """As in production: with DEBUG on Django would keep and word every query."""
    ours = {
        "DEBUG": "off",
        "SQLITE_IN_PRODUCTION": "yes",
        "ALLOWED_HOSTS": "localhost",
        "CONFIG_ENCRYPTION_KEYS": ENCRYPTION_KEY,
    }
    return {**os.environ, **ENVIRONMENT, **ours, "DATABASE_URL": url}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _server_cpu(pid: int | None) -> float:
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _memory_mb(pid: int) -> float:
    """What ``pid`` and its children hold now, shared pages counted once (Linux)."""
    kilobytes = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *children):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # ended meanwhile
    return kilobytes / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
