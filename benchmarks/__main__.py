"""What the product's hot paths cost, beside what they can't cost less than, in the same run.

    make bench                       # or: python -m benchmarks [CELL…] --rounds 3
    make bench ARGS="pay guarded"

Private MariaDB and Redis; each round runs every cell once, in an order of its own. On a shared
machine the ratios of one run count, and CPU more than seconds. Milliseconds of CPU are those of
the processes that ask and of the database's server. Writes benchmarks/results/latest.json and
appends the ratios to benchmarks/results/history.jsonl.
"""

import argparse
import base64
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import MariaDB, mariadb, redis_server

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
# As a server of such books has: a million payments are 450 MB, which the tests' 128 MB never hold.
BUFFER_POOL = "--innodb-buffer-pool-size=1G"
FLOOR_USERS = 320
FLOOR_ORDERS = 200_000


class Cell(NamedTuple):
    name: str
    processes: int = 1

    def __str__(self) -> str:
        return self.name if self.processes == 1 else f"{self.name} x{self.processes}"


class Target(NamedTuple):
    """``value`` of a cell divided by the ``floor`` cell's; met when not above (or below) it."""

    id: str
    measure: str
    cell: Cell
    value: str
    floor: Cell | None
    at_most: float | None = None
    at_least: float | None = None


PAY, GUARDED, LIST = Cell("pay"), Cell("guarded"), Cell("http_list")
HTTP_PAY, ORDER, RECONCILE = Cell("http_pay"), Cell("http_order"), Cell("reconcile")
TARGETS = (
    Target("P1", "balance payment, CPU to raw guarded SQL", PAY, "cpu_ms", GUARDED, 2.5),
    Target("P2", "statements of a balance payment", PAY, "statements", None, 8),
    Target(
        "P3", "one busy user, 16 connections, payments a second to raw SQL",
        Cell("pay_hot", 16), "per_second", Cell("classic_hot", 16), at_least=1.0,
    ),
    Target(
        "P4", "balance payment over HTTP to raw WSGI and guarded SQL", HTTP_PAY, "cpu_ms",
        Cell("raw_pay"), 3.0,
    ),
    Target("P5", "one order to DRF with a user row", ORDER, "web_ms", Cell("drf_user"), 0.9),
    Target("P6", "twenty orders to DRF behind a token", LIST, "web_ms", Cell("drf_jwt"), 2.0),
    Target(
        "P6", "page 500 of everybody's orders to the first", Cell("http_list_deep"), "cpu_ms",
        Cell("http_list_all"), 2.0,
    ),
    Target(
        "P7", "orders past their time ended a second, to raw SQL in batches", Cell("expire"),
        "per_second", Cell("expire_raw"), at_least=0.7,
    ),
    Target("P8", "a month of statistics, ms", Cell("statistics"), "elapsed_ms", None, 5.0),
    Target(
        "P9", "a million lines reconciled, CPU to split and dict", RECONCILE, "cpu_ms",
        Cell("reconcile_raw"), 1.5,
    ),
    Target("P9", "the same, peak MB of the process", RECONCILE, "pss_mb", None, 200),
    Target(
        "P13", "one order with its log line to without", ORDER, "web_ms",
        Cell("http_order_unlogged"), 1.1,
    ),
    Target(
        "P13", "balance payment with an idempotency key to without", Cell("http_pay_keyed"),
        "cpu_ms", HTTP_PAY, 9.9,
    ),
    Target(
        "P16", "memory of web, worker and beat, MB", Cell("memory"), "pss_mb", None, 350
    ),
    Target("–", "/health/live, ms of CPU", Cell("http_live"), "web_ms", None, 0.4),
)  # fmt: skip

FLOOR_TABLES = (
    "CREATE DATABASE floor CHARACTER SET utf8mb4",
    "USE floor",
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, amount DECIMAL(10,2)"
    " NOT NULL, status TINYINT NOT NULL, paid_at DATETIME(6), KEY (user_id, status))",
    "CREATE TABLE balances (user_id BIGINT PRIMARY KEY, balance DECIMAL(12,2) NOT NULL,"
    " version INT NOT NULL)",
    "CREATE TABLE payments (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT NOT NULL,"
    " amount DECIMAL(10,2) NOT NULL, status TINYINT NOT NULL, created_at DATETIME(6) NOT NULL,"
    " UNIQUE (order_id))",
    "CREATE TABLE entries (id BIGINT AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL,"
    " order_id BIGINT NOT NULL, amount DECIMAL(10,2) NOT NULL, balance_after DECIMAL(12,2)"
    " NOT NULL, created_at DATETIME(6) NOT NULL, UNIQUE (order_id), KEY (user_id, id))",
    f"INSERT INTO balances SELECT seq, 90000, 0 FROM seq_1_to_{FLOOR_USERS}",
    # Half of them of one busy user.
    f"INSERT INTO orders SELECT seq, IF(seq MOD 2, 1, 1 + seq MOD {FLOOR_USERS}), 0.01, 0, NULL"
    f" FROM seq_1_to_{FLOOR_ORDERS}",
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cells", nargs="*", help="only targets of these cells or ids")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--orders", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args(arguments)
    targets = [
        target
        for target in TARGETS
        if not given.cells or {target.cell.name, target.id} & set(given.cells)
    ]
    cells = sorted({cell for t in targets for cell in (t.cell, t.floor) if cell is not None})
    print(f"seed {given.seed}, {given.rounds} rounds of {len(cells)} cells", flush=True)
    with mariadb(options=[BUFFER_POOL]) as database, redis_server() as redis:
        environment = _environment(database.url, redis.url)
        _prepare(environment, database, given.orders)
        found = _rounds(cells, environment, database.pid, given)
        _audit(environment)
    rows = [_row(target, found) for target in targets]
    _tell(rows, found)
    return 0 if all(row["met"] for row in rows) else 1


def _environment(database: str, redis: str) -> dict[str, str]:
    made = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "BENCH_LINES")
        if name in os.environ
    }
    return made | {
        "DJANGO_SETTINGS_MODULE": "tcmpay.settings",
        "TCMPAY_ENV_FILE": "",
        "DATABASE_URL": database,
        "CACHE_URL": redis,
        "CELERY_BROKER_URL": redis,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SECRET": secrets.token_urlsafe(48),
        "CONFIG_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "METRICS_TOKEN": secrets.token_urlsafe(24),
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL_REDIRECT": "off",
        "ORDER_PRICE_POLICY": "open",
        "ORDER_EXPIRE_MINUTES": "21600",
        "RATE_LIMIT_PER_MINUTE": "100000000",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _prepare(environment: dict[str, str], database: MariaDB, orders: int) -> None:
    subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={database.socket}", "-u", "root"],
        input=";\n".join(FLOOR_TABLES), text=True, check=True, env=environment,
    )  # fmt: skip
    for command in (
        ["manage.py", "migrate", "--verbosity=0"],
        ["-m", "benchmarks.books", str(orders), "64"],
        ["manage.py", "recount_statistics"],
    ):
        subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _rounds(
    cells: Sequence[Cell], environment: dict[str, str], server: int, given: argparse.Namespace
) -> dict[Cell, list[dict[str, float]]]:
    found: dict[Cell, list[dict[str, float]]] = defaultdict(list)
    chance = random.Random(given.seed)
    for _round in range(given.rounds):
        for cell in chance.sample(list(cells), len(cells)):
            measured = _measure(cell, environment, server, given.seconds)
            found[cell].append(measured)
            print(f"{cell!s:18}", json.dumps(measured), flush=True)
    return found


def _measure(
    cell: Cell, environment: dict[str, str], server: int, seconds: float
) -> dict[str, float]:
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", cell.name, str(seconds)],
            cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment
            | {"BENCH_WORKER": str(number), "BENCH_WORKERS": str(cell.processes)},
        )
        for number in range(cell.processes)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout
        if worker.stdout.readline().strip() != "ready":
            raise SystemExit(f"{cell}: a process did not get ready")
    server_before = _cpu_of(server)
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    reports = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
    server_cpu = _cpu_of(server) - server_before
    done = sum(report["done"] for report in reports)
    for report in reports:
        if report["failed"]:
            raise SystemExit(f"{cell}: {report['failed']}")
    elapsed = max(report["seconds"] for report in reports)
    web = sum(report["cpu"] for report in reports) * 1000 / done
    return {
        "done": done,
        "per_second": round(done / elapsed, 1),
        "web_ms": round(web, 3),
        "database_ms": round(server_cpu * 1000 / done, 3),
        "cpu_ms": round(web + server_cpu * 1000 / done, 3),
        "elapsed_ms": round(elapsed * 1000 / done, 3),
        "statements": reports[0]["statements"],
        "pss_mb": reports[0].get("pss_mb", 0),
    }


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _audit(environment: dict[str, str]) -> None:
    """Nothing that was measured may have cost a rule."""
    subprocess.run(
        [sys.executable, "-m", "benchmarks.books", "numbers"],
        cwd=ROOT, env=environment, check=True,
    )  # fmt: skip
    began = time.monotonic()
    audit = subprocess.run(
        [sys.executable, "manage.py", "audit_money", "--strict"], cwd=ROOT, env=environment,
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if audit.returncode:
        raise SystemExit(f"audit_money --strict: not clean\n{audit.stdout}{audit.stderr}")
    print(f"audit_money --strict: clean ({time.monotonic() - began:.0f} s)", flush=True)


def _row(target: Target, found: dict[Cell, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians of a target's cells and what they make of it."""
    value = statistics.median(measured[target.value] for measured in found[target.cell])
    floor = ratio = None
    if target.floor is not None:
        floor = statistics.median(measured[target.value] for measured in found[target.floor])
        ratio = round(value / floor, 2)
    figure = value if ratio is None else ratio
    is_met = (target.at_most is None or figure <= target.at_most) and (
        target.at_least is None or figure >= target.at_least
    )
    return {
        "id": target.id,
        "measure": target.measure,
        "value": value,
        "floor": floor,
        "peer": None,
        "ratio": ratio,
        "target": target.at_most if target.at_most is not None else target.at_least,
        "met": is_met,
    }


def _tell(rows: Sequence[dict[str, Any]], found: dict[Cell, list[dict[str, float]]]) -> None:
    for row in rows:
        print(
            f"{row['id']:3} {row['measure']:55} {row['value']:>9} floor {row['floor'] or '–':>8}"
            f" ratio {row['ratio'] or '–':>6} target {row['target']:>5}"
            f" {'met' if row['met'] else 'MISSED'}"
        )
    RESULTS.mkdir(exist_ok=True)
    _keep(rows)
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "load": round(os.getloadavg()[0], 1),
        **{row["measure"]: row["ratio"] or row["value"] for row in rows},
    }
    with (RESULTS / "history.jsonl").open("a") as history:
        history.write(json.dumps(line) + "\n")


def _keep(rows: Sequence[dict[str, Any]]) -> None:
    """Write ``rows`` into the file of latest results; what was not measured stays as it was."""
    latest = RESULTS / "latest.json"
    kept = json.loads(latest.read_text()) if latest.exists() else []
    found = {(row["id"], row["measure"]): row for row in (*kept, *rows)}
    named = [found[key] for t in TARGETS if (key := (t.id, t.measure)) in found]
    latest.write_text(json.dumps(named, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
