"""The back office at scale: what its pages cost at millions of orders, and what an export takes.

    python -m tests.scale --orders 1000000 --small 10000

Loads two private MariaDB databases by SQL, a small and a large one, and measures the same pages on
both, interleaved: on a shared machine only the ratio counts. Then it exports the large list as
CSV and XLSX, each in a process of its own, and prints the most memory that the process held.
Exits 1 when an export is not complete or held more than MEMORY_MB_MAX.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers import MariaDB, mariadb

MEMORY_MB_MAX = 300
ROUNDS = 7
TODAY = datetime.now(UTC).date()
PAGES = {
    "today": "/admin/",
    "order list": "/admin/payments/paymentorder/",
    "paid by WeChat": (
        "/admin/payments/paymentorder/?status__exact=paid&payment_method__exact=wechat"
    ),
    "paid in a month": (
        f"/admin/payments/paymentorder/?paid_on_from={TODAY - timedelta(days=60)}"
        f"&paid_on_to={TODAY - timedelta(days=30)}"
    ),
    "one amount": "/admin/payments/paymentorder/?amount_from=42&amount_to=42.00",
    "no such amount": "/admin/payments/paymentorder/?amount_from=9999",
    "search by number": "/admin/payments/paymentorder/?q=ORD-NONE",
    "payment list": "/admin/payments/paymenttransaction/",
    "refund list": "/admin/refunds/refund/",
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    given = parser.parse_args(arguments)
    options = ("--innodb-buffer-pool-size=1G", "--innodb-flush-log-at-trx-commit=2")
    with (
        mariadb(database="small", options=options) as small,
        mariadb(database="large", options=options) as large,
    ):
        for server, orders in ((small, given.small), (large, given.orders)):
            say(f"loading {orders} orders")
            part(server, "load", str(orders))
        is_good = compare(small, large)
        for file_format in ("csv", "xlsx"):
            is_good &= export(large, file_format, given.orders)
    return 0 if is_good else 1


def compare(small: MariaDB, large: MariaDB) -> bool:
    """Print what each page costs on both, in milliseconds of one process, and the ratio."""
    cost: dict[str, dict[str, list[float]]] = {page: {"small": [], "large": []} for page in PAGES}
    for _round in range(2):
        for name, server in (("small", small), ("large", large)):
            for page, milliseconds in part(server, "pages", str(ROUNDS)).items():
                cost[page][name] += milliseconds
    say(f"{'page':<18}{'small ms':>10}{'large ms':>10}{'ratio':>8}")
    for page, found in cost.items():
        few, many = (statistics.median(found[name]) for name in ("small", "large"))
        say(f"{page:<18}{few:>10.0f}{many:>10.0f}{many / few:>8.2f}")
    return True


def export(server: MariaDB, file_format: str, orders: int) -> bool:
    done = part(server, "export", file_format)
    say(
        f"{file_format}: {done['rows']} rows, {done['megabytes']:.0f} MB in "
        f"{done['seconds']:.0f} s, {done['memory_mb']:.0f} MB of memory at most; "
        f"{done['status']} {done['error']}"
    )
    is_complete = done["status"] == "done" and done["rows"] == orders
    return is_complete and done["memory_mb"] <= MEMORY_MB_MAX


def part(server: MariaDB, *arguments: str) -> Any:
    """Run one part in a process of its own; what it prints last is its result."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.scale.parts", *arguments],
        env={**os.environ, **ENVIRONMENT, "DATABASE_URL": server.url},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


ENVIRONMENT = {
    "TCMPAY_ENV_FILE": "",
    "DEBUG": "on",
    "SECRET_KEY": "scale-only-4f0c9d2e7b1a6f3c8e5d0a9b7c2f1e6d",
    "CONFIG_ENCRYPTION_KEYS": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
    "JWT_SECRET": "scale-only-9a3e6c1f5b8d2e7a0c4f9b6d3e1a8c5f",
    "CELERY_BROKER_URL": "memory://",
    "LOG_LEVEL": "ERROR",
}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
