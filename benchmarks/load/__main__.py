"""``make load``: mixed requests at a chosen rate against the whole product, and what it costs.

    make load                                              # two minutes at 20 a second
    make load ARGS="--rate 50 --minutes 60"                # the target's hour

Starts its own nginx, gunicorn, worker, beat, MariaDB, Redis and stand-in gateways, lets locust ask
(benchmarks/load/traffic.py), and ends with ``audit_money --strict``. Prints tables and writes them
to benchmarks/results/load.json. Exit 1 on any error, or an audit that is not clean.
"""

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.load.stack import (
    ACCESS_LOG,
    PASSWORD,
    STAFF,
    LoadStage,
    Receiver,
    cpu_seconds,
    load_stage,
    pss_mb,
)

ROOT = Path(__file__).resolve().parent.parent.parent
RESULT = ROOT / "benchmarks" / "results" / "load.json"
LOCUST = ROOT / ".venv-load" / "bin" / "locust"
CUSTOMERS = 300
# Visitors a request a second: payers think, and ask again until they see the order paid.
VISITORS = 4
LOOK_SECONDS = 10
WARM_UP_SECONDS = 10
# Callbacks, refunds and events that are under way when the last visitor has left.
REST_SECONDS = 20
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b\d{5,}\b")
STATIC = ("/static/",)
Seen = dict[str, list[tuple[float, float, float]]]


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_of: sys.exit(143))
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    print(f"seed {seed}; {options.rate:g} requests a second for {options.minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="tcm-load-") as name:
        os.chmod(name, 0o755)  # nginx's own processes look into it
        folder = Path(name)
        with load_stage(folder, options.processes) as stage:
            report = _measured(stage, options, seed)
        if options.keep:
            kept = Path(tempfile.gettempdir()) / f"tcm-load-kept-{os.getpid()}"
            Path(name).rename(kept)
            Path(name).mkdir()
            print(f"logs: {kept}")
    RESULT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    _print(report)
    return 1 if report["failures"] or report["audit"] else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.load", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second (20)")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (2)")
    parser.add_argument("--processes", type=int, default=2, help="of gunicorn and Celery (2)")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    return parser.parse_args(arguments)


def _measured(stage: LoadStage, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    plan = stage.folder / "plan.json"
    result = stage.folder / "locust.json"
    host = f"http://127.0.0.1:{stage.proxy_port}"
    plan.write_text(
        json.dumps(
            {
                "seed": seed,
                "per_second": options.rate,
                "host": host,
                "users": stage.new_users(CUSTOMERS, "900000.00"),
                "jwt_secret": stage.environment["JWT_SECRET"],
                "stand_in_port": stage.stand_in_port,
                "staff": STAFF,
                "password": PASSWORD,
                "result": str(result),
            }
        )
    )
    receiver = Receiver()
    stage.manage("webhook_endpoint", "add", receiver.url)
    visitors = max(18, round(options.rate * VISITORS))
    command = [
        str(LOCUST), "--headless", "--locustfile", "benchmarks/load/traffic.py", "--host", host,
        "--users", str(visitors), "--spawn-rate", str(visitors / WARM_UP_SECONDS),
        "--run-time", f"{round(options.minutes * 60)}s", "--stop-timeout", "40",
        "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0",
    ]  # fmt: skip
    with (stage.folder / "locust.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "LOAD_PLAN": str(plan)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            looks = _looks(stage, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if not result.exists():
        raise SystemExit((stage.folder / "locust.log").read_text()[-4_000:])
    time.sleep(REST_SECONDS)
    asked = json.loads(result.read_text())
    code, audit = stage.try_manage("audit_money", "--strict")
    receiver.close()
    served = _served(stage.folder / ACCESS_LOG)
    total = next(row for row in asked["endpoints"] if row["name"] == "Aggregated")
    server_errors = sum(row["errors"] for row in served)
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seed": seed,
        "rate": options.rate,
        "minutes": options.minutes,
        "processes": options.processes,
        "machine_load": os.getloadavg()[1],
        "cores": os.cpu_count(),
        "failures": total["failures"] + server_errors,
        "problems": asked["problems"],
        "counted": {**asked["counted"], "events taken": receiver.taken},
        "clients": asked["endpoints"],
        "server": served,
        "processes_seen": _memory(looks),
        "audit": [line for line in audit.splitlines() if "[提示]" not in line] if code else [],
    }


def _looks(stage: LoadStage, load: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Memory and CPU of every process while the load lasts."""
    looks = []
    while load.poll() is None:
        seen = {}
        for name, pid in {**stage.processes_seen(), "locust": load.pid}.items():
            try:
                seen[name] = (pss_mb(pid), cpu_seconds(pid))
            except OSError:  # ended meanwhile
                continue
        looks.append({"at": time.monotonic(), "seen": seen})
        try:
            load.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return looks


def _memory(looks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each process: memory at the first quarter, the middle and the end, and CPU used."""
    quarter, middle, last = looks[len(looks) // 4], looks[len(looks) // 2], looks[-1]
    rows = []
    for name, (memory, cpu) in last["seen"].items():
        absent = (None, None)
        rows.append(
            {
                "name": name,
                "mb_quarter": quarter["seen"].get(name, absent)[0],
                "mb_middle": middle["seen"].get(name, absent)[0],
                "mb_end": memory,
                "cpu_seconds": round(cpu - (looks[0]["seen"].get(name, absent)[1] or 0), 1),
                "mb": [look["seen"][name][0] for look in looks if name in look["seen"]],
            }
        )
    return rows


def _served(log: Path) -> list[dict[str, Any]]:
    """Per endpoint as nginx saw it, the gateways' callbacks among them: seconds and CPU."""
    found: Seen = defaultdict(list)
    errors: dict[str, int] = defaultdict(int)
    for line in log.read_text().splitlines():
        method, path, status, seconds, cpu = (*line.split(), "-")[:5]
        if path.startswith(STATIC):
            continue
        name = f"{method} {IDS.sub('…', path)}"
        used = 0.0 if cpu == "-" else float(cpu)
        found[name].append((float(seconds) * 1_000, used, float(status)))
        errors[name] += status.startswith("5")
    return [
        {
            "name": name,
            "requests": len(seen),
            "errors": errors[name],
            "p50": percentile([one[0] for one in seen], 50),
            "p95": percentile([one[0] for one in seen], 95),
            "p99": percentile([one[0] for one in seen], 99),
            "max": max(one[0] for one in seen),
            "cpu_ms": round(sum(one[1] for one in seen) / len(seen), 2),
        }
        for name, seen in sorted(found.items(), key=lambda one: -sum(row[1] for row in one[1]))
    ]


def percentile(values: list[float], part: int) -> float:
    """The smallest value that ``part`` percent don't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * part // 100) - 1))]


def _print(report: dict[str, Any]) -> None:
    print(f"\n{'asked by clients':44} {'n':>7} {'fail':>5} {'p50':>6} {'p95':>6} {'p99':>6}"
          f" {'max':>7} ms")  # fmt: skip
    for row in report["clients"]:
        print(f"{row['name'][:44]:44} {row['requests']:7} {row['failures']:5} {row['p50']:6.0f}"
              f" {row['p95']:6.0f} {row['p99']:6.0f} {row['max']:7.0f}")  # fmt: skip
    print(f"\n{'seen by nginx, by CPU used':58} {'n':>7} {'5xx':>4} {'p50':>6} {'p99':>6}"
          f" {'max':>7} {'CPU ms':>7}")  # fmt: skip
    for row in report["server"]:
        print(f"{row['name'][:58]:58} {row['requests']:7} {row['errors']:4} {row['p50']:6.0f}"
              f" {row['p99']:6.0f} {row['max']:7.0f} {row['cpu_ms']:7.2f}")  # fmt: skip
    print(f"\n{'process':16} {'MB at ¼':>8} {'at ½':>8} {'end':>8} {'CPU s':>8}")
    for row in report["processes_seen"]:
        start, middle = (f"{row[key] or 0:8.1f}" for key in ("mb_quarter", "mb_middle"))
        print(f"{row['name']:16} {start} {middle} {row['mb_end']:8.1f} {row['cpu_seconds']:8.1f}")
    print(f"\ncounted: {report['counted']}")
    for text, number in report["problems"].items():
        print(f"{number:6} × {text}")
    for line in report["audit"]:
        print(line)
    print("audit: " + ("SEE ABOVE" if report["audit"] else "clean"))
    print(f"failures: {report['failures']}; machine's load {report['machine_load']:.1f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
