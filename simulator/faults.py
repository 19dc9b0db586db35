"""Faults on demand: by chance (seeded) or once, for the next call of a named operation."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from simulator.web import Response, html_response

KINDS = (
    "lost_after",  # the deed is done, the connection is cut without an answer
    "error_after",  # the deed is done, the answer is a 500 (WeChat) or 20000 (Alipay)
    "error_before",  # the same answer, nothing is done
    "slow",  # the deed is done, the answer comes seconds later
    "garbage",  # the deed is done, a proxy answers with HTML
    "bad_signature",  # the deed is done, the answer's signature is wrong
    "rate_limited",  # 429 (WeChat) or 40005 (Alipay), nothing is done
    "not_found",  # WeChat refunds: the passing 404 for an order that exists; nothing is done
)
# Of notifications: never sent, sent twice at once, sent late.
NOTICE_KINDS = ("notice_lost", "notice_twice", "notice_late")
BEFORE = frozenset({"error_before", "rate_limited", "not_found"})
# Chance kinds: what --fault-percent sets. The passing 404 is for refunds only, on demand.
RANDOM_KINDS = KINDS[:-1]
ONE_SHOTS_MAX = 1_000
SLOW_SECONDS_MAX = 600.0

CHANGEABLE = {"percent", "seed", "slow_seconds", "notice_late_seconds", "once", "clear"}
HTML_OF_A_PROXY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True)
class Fault:
    kind: str
    seconds: float = 0.0


@dataclass(frozen=True)
class OneShot:
    operation: str
    kind: str
    times: int
    seconds: float


class Faults:
    def __init__(self, *, percent: float, seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self.seed = seed
        self.percent = dict.fromkeys(RANDOM_KINDS, percent)
        self.percent |= {"not_found": 0.0} | dict.fromkeys(NOTICE_KINDS, 0.0)
        check_sum(self.percent)
        self.slow_seconds = 2.0
        self.notice_late_seconds = 3.0
        self._one_shots: deque[OneShot] = deque(maxlen=ONE_SHOTS_MAX)
        self._drawn: dict[str, int] = {}

    def draw(self, operation: str) -> Fault | None:
        """The fault that this call gets; a one-shot for its operation goes first."""
        with self._lock:
            return self._count(self._take_one_shot(operation) or self._by_chance(KINDS))

    def draw_notice(self, operation: str) -> Fault | None:
        with self._lock:
            return self._count(self._take_one_shot(operation) or self._by_chance(NOTICE_KINDS))

    def _count(self, fault: Fault | None) -> Fault | None:
        if fault:
            self._drawn[fault.kind] = self._drawn.get(fault.kind, 0) + 1
        return fault

    def _take_one_shot(self, operation: str) -> Fault | None:
        for shot in self._one_shots:
            if f"{operation}.".startswith(f"{shot.operation}."):
                self._one_shots.remove(shot)
                if shot.times > 1:
                    self._one_shots.appendleft(replace(shot, times=shot.times - 1))
                return Fault(shot.kind, shot.seconds)
        return None

    def _by_chance(self, kinds: tuple[str, ...]) -> Fault | None:
        """One throw, so that each kind has exactly the chance that was asked for."""
        thrown = self._random.uniform(0, 100)
        for kind in kinds:
            thrown -= self.percent[kind]
            if thrown < 0:
                late = kind == "notice_late"
                return Fault(kind, self.notice_late_seconds if late else self.slow_seconds)
        return None

    def change(self, wanted: dict[str, Any]) -> None:
        """Apply a body of POST /_control/faults, all or nothing.

        Raises:
            ValueError: a kind, number or name that does not exist.
        """
        unknown = set(wanted) - CHANGEABLE
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        percent = checked_percent(wanted.get("percent", {}), self.percent)
        once = listed(wanted.get("once", []))
        shots = [checked_one_shot(item, self.slow_seconds) for item in once]
        slow = checked_number(wanted.get("slow_seconds", self.slow_seconds), SLOW_SECONDS_MAX)
        late = checked_number(
            wanted.get("notice_late_seconds", self.notice_late_seconds), SLOW_SECONDS_MAX
        )
        with self._lock:
            if wanted.get("clear") is True:
                none = dict.fromkeys(self.percent, 0.0)
                percent = checked_percent(wanted.get("percent", {}), none)
                self._one_shots.clear()
            self.percent, self.slow_seconds, self.notice_late_seconds = percent, slow, late
            self._one_shots.extend(shots)
            if "seed" in wanted:
                self.seed = int(wanted["seed"])
                self._random = random.Random(self.seed)

    def shown(self) -> dict[str, Any]:
        with self._lock:
            return {
                "percent": dict(self.percent),
                "seed": self.seed,
                "slow_seconds": self.slow_seconds,
                "notice_late_seconds": self.notice_late_seconds,
                "once": [vars(shot) for shot in self._one_shots],
                "drawn": dict(self._drawn),
            }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def checked_percent(wanted: Any, current: dict[str, float]) -> dict[str, float]:
    """Percentages by kind; a bare number sets every random kind of an answer."""
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        wanted = dict.fromkeys(RANDOM_KINDS, wanted)
    if not isinstance(wanted, dict) or set(wanted) - set(current):
        raise ValueError(f"percent must be a number or name kinds of {', '.join(current)}")
    percent = current | {kind: checked_number(value, 100.0) for kind, value in wanted.items()}
    check_sum(percent)
    return percent


def check_sum(percent: dict[str, float]) -> None:
    for kinds in (KINDS, NOTICE_KINDS):
        if sum(percent[kind] for kind in kinds) > 100:
            raise ValueError("the chances add up to more than 100 percent")


def checked_number(value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"not a number from 0 to {most:g}: {value!r}")
    return float(value)


def checked_one_shot(value: Any, slow_seconds: float) -> OneShot:
    if not isinstance(value, dict) or value.get("kind") not in KINDS + NOTICE_KINDS:
        raise ValueError(f"once needs an operation and a kind of {', '.join(KINDS + NOTICE_KINDS)}")
    operation = value.get("operation")
    if not isinstance(operation, str) or not operation:
        raise ValueError("once needs an operation, e.g. wechat.refund")
    times = int(checked_number(value.get("times", 1), 1_000))
    seconds = checked_number(value.get("seconds", slow_seconds), SLOW_SECONDS_MAX)
    return OneShot(operation, value["kind"], max(times, 1), seconds)


def answer_with_fault(
    fault: Fault | None,
    deed: Callable[[], Response],
    *,
    refusals: dict[str, Callable[[], Response]],
    spoil: Callable[[Response], Response],
    pause: Callable[[float], Any],
) -> Response:
    """Do the deed as the fault allows and answer as it demands.

    ``refusals`` makes the error answers of a channel, ``spoil`` breaks a signature.
    """
    if fault is None:
        return deed()
    if fault.kind in BEFORE:
        return refusals[fault.kind]()
    answer = deed()
    if fault.kind == "lost_after":
        answer.cut = True
    elif fault.kind == "slow":
        pause(fault.seconds)
    elif fault.kind == "error_after":
        return refusals["error_after"]()
    elif fault.kind == "garbage":
        return html_response(HTML_OF_A_PROXY)  # with status 200, the harder case
    elif fault.kind == "bad_signature":
        return spoil(answer)
    return answer
