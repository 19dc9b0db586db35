"""How fast the web answers while both gateways hang: ``python -m tests.gateways.responsiveness``.

The web server runs as the demo runs it. Payers keep asking for payments at gateways that answer
nothing for half a minute, while others look at orders, list them and pay from their balances.
Their times are compared with the quiet ones; exit code 1 when a median more than doubles.
"""

import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.programs import ENVIRONMENT

# The keys that the web server will be started with, before anything reads the settings.
os.environ.update(ENVIRONMENT)
# All of these people come from one address; what is measured here isn't the limits.
os.environ["RATE_LIMIT_PER_MINUTE"] = "1000000"

from tcmpay.common.actor import Role
from tests.gateways.stage import Person, Purchase, Stage, someone, stage_open

QUIET_SECONDS = 12.0
HANGING_SECONDS = 30.0
# More than the web server has threads; each tries again after a while, as people do.
PAYERS = 20
TRY_AGAIN_SECONDS = 2.0
LOOKERS = 2
LOOK_PAUSE_SECONDS = 0.05
RATIO_MAX = 2.0
Times = dict[str, list[float]]


def main() -> int:
    answers: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="tcm-hang-") as name,
        stage_open(Path(name), "") as stage,
    ):
        quiet = look_for(stage, QUIET_SECONDS)
        stage.stand_in.ask("faults", percent={"slow": 100}, slow_seconds=HANGING_SECONDS)
        with Payers(stage, answers):
            hanging = look_for(stage, HANGING_SECONDS)
    say(f"pays while the gateways hang: {dict(sorted(answers.items()))}")
    return verdict(quiet, hanging)


def verdict(quiet: Times, hanging: Times) -> int:
    is_slow = False
    for name in quiet:
        before, during = statistics.median(quiet[name]), statistics.median(hanging[name])
        ratio = during / before
        is_slow |= ratio > RATIO_MAX
        say(
            f"{name:12} median {before * 1000:6.1f} ms quiet, {during * 1000:6.1f} ms hanging "
            f"(×{ratio:.2f}); p95 {p95(quiet[name]):6.1f} and {p95(hanging[name]):6.1f} ms; "
            f"{len(quiet[name])} and {len(hanging[name])} requests"
        )
    say("TOO SLOW while the gateways hang" if is_slow else "within twice the quiet time")
    return 1 if is_slow else 0


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1] * 1000


def look_for(stage: Stage, seconds: float) -> Times:
    """What people who have nothing to do with the gateways wait for."""
    times: Times = defaultdict(list)
    ends_at = time.monotonic() + seconds
    with ThreadPoolExecutor(LOOKERS) as pool:
        for done in [pool.submit(look, stage, ends_at, times) for _looker in range(LOOKERS)]:
            done.result()
    return times


def look(stage: Stage, ends_at: float, times: Times) -> None:
    person = someone(Role.PATIENT)
    stage.fund(person, "9000.00")
    while time.monotonic() < ends_at:
        for name, call in calls_of(stage, person).items():
            began = time.monotonic()
            call()
            times[name].append(time.monotonic() - began)
        time.sleep(LOOK_PAUSE_SECONDS)


def calls_of(stage: Stage, person: Person) -> Mapping[str, Callable[[], object]]:
    order = Purchase(stage, person, "0.01")
    return {
        "order detail": lambda: stage.ask("GET", f"orders/{order.id}", person),
        "order list": lambda: stage.ask("GET", "orders", person),
        "balance pay": lambda: order.start("balance"),
    }


class Payers:
    """Payers at work, each with one payment after the other, until the block ends."""

    def __init__(self, stage: Stage, answers: Counter[str]) -> None:
        self._stage = stage
        self._answers = answers
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(PAYERS)

    def __enter__(self) -> "Payers":
        for number in range(PAYERS):
            self._pool.submit(self._pay, ("wechat", "alipay")[number % 2])
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._pool.shutdown()

    def _pay(self, method: str) -> None:
        person = someone(Role.PATIENT)
        scene = {"wechat": "native", "alipay": "qr"}[method]
        while not self._is_over.is_set():
            order = Purchase(self._stage, person, "30.00")
            body = {"order_id": order.id, "payment_method": method, "scene": scene}
            status, _answer = self._stage.call("POST", "pay", person, **body)
            self._answers[f"{method} {status}"] += 1
            self._is_over.wait(TRY_AGAIN_SECONDS)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
