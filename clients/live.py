"""The kit against a demo of its own: ``python -m clients.live``, part of `make test-long clients`.

Both first orders, the conformance script with a platform in Python and in Node that gets the
demo's own events, and what consumers of the package compile. Ends with 1 where anything complains.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.live_demo import LiveDemo, free_port, live_demo

HERE = Path(__file__).resolve().parent
PATIENT = "0192f0c1-0000-7000-8000-000000000101"
SERVICE = "0192f0c1-0000-7000-8000-000000000902"
PLATFORMS = {
    "Python": [sys.executable, "webhook_receiver.py"],
    "Node": ["node", "webhook_receiver.mjs"],
}


def run(*words: str) -> None:
    subprocess.run(words, cwd=HERE, check=True)


def first_orders(demo: LiveDemo, service: str, patient: str) -> None:
    for program in ([sys.executable, "first_order.py"], ["node", "first_order.mjs"]):
        words = [program[0], f"examples/{program[1]}"]
        run(*words, demo.base, service, PATIENT, patient)


@contextmanager
def platform(demo: LiveDemo, program: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Its address for events, its secret and its address for orders; the demo knows the first."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    webhook = f"{address}/webhooks/{program[1].rpartition('.')[2]}"
    added = json.loads(demo.command("webhook_endpoint", "add", webhook, "--json"))
    command = [program[0], f"examples/{program[1]}", str(port), added["secret"]]
    running = subprocess.Popen(command, cwd=HERE)
    try:
        for _try in range(100):
            try:
                urlopen(address, timeout=5).close()
                break
            except URLError:
                time.sleep(0.1)
        yield webhook, added["secret"], f"{address}/orders/{{order_id}}"
    finally:
        demo.command("webhook_endpoint", "disable", added["id"])
        running.terminate()
        running.wait(10)


def conformance(demo: LiveDemo, program: Sequence[str], service: str, patient: str) -> None:
    with platform(demo, program) as (webhook, secret, status):
        run(sys.executable, "conformance.py", "--base", demo.base, "--gateways", demo.gateways,
            "--service-token", service, "--patient-id", PATIENT, "--patient-token", patient,
            "--webhook", webhook, "--secret", secret, "--status", status)  # fmt: skip


def main() -> int:
    if shutil.which("node") is None:
        sys.exit("missing: node (20 or later)")
    with live_demo() as demo:
        service = demo.command("issue_token", "--user", SERVICE, "--role", "service")
        patient = demo.command("issue_token", "--user", PATIENT, "--role", "patient")
        steps: dict[str, Callable[[], None]] = {
            "first orders": partial(first_orders, demo, service, patient)
        }
        for name, program in PLATFORMS.items():
            steps[f"a platform in {name}"] = partial(conformance, demo, program, service, patient)
        failed = []
        for name, step in steps.items():
            print(f"-- {name}", flush=True)
            try:
                step()
            except subprocess.CalledProcessError as error:
                failed.append(f"{name}: ended with {error.returncode}")
    print("\n".join([*failed, "kit: FAILED" if failed else "kit: all good"]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
