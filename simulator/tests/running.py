"""A stand-in as a process of its own, spoken to over HTTP."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

from simulator.tests.clients import Config, send

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS_MAX = 20
CALM = {
    "notify_factor": 0.002,
    "spacing_factor": 0,
    "refund_delay_seconds": 0.05,
    "refund_outcome": "SUCCESS",
    "alipay_refund_async": False,
    "merchant_short": False,
    "statement_creating": False,
    "hold_notices": False,
    "console_refund_notify_url": "",
    "alipay_certificate": "current",
    "h5_refuses_loopback": False,
}


def started(directory, *arguments):
    """The process, which says where it listens in its first line."""
    command = [sys.executable, "-m", "simulator", "--dir", str(directory), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


class StandIn:
    def __init__(self, base_url, directory):
        self.base_url = base_url
        self.directory = directory
        self.config = Config(directory)

    def control(self, name, **body):
        answer = send(self.base_url, "POST", f"/_control/{name}", json.dumps(body).encode())
        return answer.json | {"status_code": answer.status}

    def shown(self, name):
        return send(self.base_url, "GET", f"/_control/{name}").json

    def get(self, target):
        return send(self.base_url, "GET", target)

    def change_trade(self, order, **columns):
        """As if time had passed: directly on its books."""
        changes = ", ".join(f"{name} = ?" for name in columns)
        values = (*columns.values(), order["out_trade_no"])
        with closing(sqlite3.connect(self.directory / "simulator.sqlite3", timeout=20)) as books:
            books.execute(f"UPDATE trade SET {changes} WHERE out_trade_no = ?", values)
            books.commit()


@contextmanager
def running(directory, **options):
    chosen = {"port": 0} | options
    flags = {name.removesuffix("_seconds").replace("_", "-"): chosen[name] for name in chosen}
    process = started(directory, *(f"--{name}={value}" for name, value in flags.items()))
    try:
        base_url = process.stdout.readline().split()[2].rstrip("/")
        assert send(base_url, "GET", "/_control/settings", timeout=60).status == 200
        yield StandIn(base_url, directory)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)
        process.stdout.close()
