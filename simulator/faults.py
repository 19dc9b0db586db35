"""Faults on demand: by chance (seeded), or ordered for calls of a named operation.

An ordered fault hits its next call, its next ``times`` calls, or every one while it is
``lasting``; with a ``number`` only calls about that payment or refund.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
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
    "refused",  # a definite no, under the ``code`` that was ordered; nothing is done
)
# Of notifications: never sent, sent twice at once, sent late.
NOTICE_KINDS = ("notice_lost", "notice_twice", "notice_late")
BEFORE = frozenset({"error_before", "rate_limited", "not_found", "refused"})
# Chance kinds: what --fault-percent sets. The passing 404 is for refunds only, on demand; a
# refusal needs to be told its code.
CHANCE_KINDS = KINDS[:-1]
RANDOM_KINDS = CHANCE_KINDS[:-1]
ORDERS_MAX = 1_000
SLOW_SECONDS_MAX = 600.0

CHANGEABLE = {"percent", "seed", "slow_seconds", "notice_late_seconds", "once", "end", "clear"}
ORDERABLE = {
    "operation", "kind", "times", "lasting", "number", "seconds",
    "code", "sub_code", "status", "message", "signed",
}  # fmt: skip
HTML_OF_A_PROXY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True)
class Refusal:
    """What a ``refused`` call is told. What is left out follows from the code, as the channels'
    fact sheets have it."""

    code: str = ""
    sub_code: str = ""  # Alipay
    status: int | None = None  # WeChat
    message: str = "测试要求的拒绝"
    is_signed: bool | None = None


@dataclass(frozen=True)
class Fault:
    kind: str
    seconds: float = 0.0
    refusal: Refusal = Refusal()


@dataclass(frozen=True)
class Order:
    """A fault that was ordered."""

    operation: str
    kind: str
    times: int
    lasting: bool
    number: str
    seconds: float
    refusal: Refusal

    def fits(self, operation: str, kinds: tuple[str, ...], numbers: Collection[str]) -> bool:
        is_meant = f"{operation}.".startswith(f"{self.operation}.") and self.kind in kinds
        return is_meant and (not self.number or self.number in numbers)


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
        self._orders: deque[Order] = deque(maxlen=ORDERS_MAX)
        self._drawn: dict[str, int] = {}

    def draw(self, operation: str, numbers: Collection[str] = ()) -> Fault | None:
        """The fault that this call about these numbers gets; one that was ordered goes first."""
        with self._lock:
            ordered = self._take_ordered(operation, KINDS, numbers)
            return self._count(ordered or self._by_chance(CHANCE_KINDS))

    def draw_notice(self, operation: str, numbers: Collection[str] = ()) -> Fault | None:
        with self._lock:
            ordered = self._take_ordered(operation, NOTICE_KINDS, numbers)
            return self._count(ordered or self._by_chance(NOTICE_KINDS))

    def _count(self, fault: Fault | None) -> Fault | None:
        if fault:
            self._drawn[fault.kind] = self._drawn.get(fault.kind, 0) + 1
        return fault

    def _take_ordered(
        self, operation: str, kinds: tuple[str, ...], numbers: Collection[str]
    ) -> Fault | None:
        order = next((o for o in self._orders if o.fits(operation, kinds, numbers)), None)
        if order is None:
            return None
        if not order.lasting:
            self._orders.remove(order)
            if order.times > 1:
                self._orders.appendleft(replace(order, times=order.times - 1))
        return Fault(order.kind, order.seconds, order.refusal)

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
        orders = [checked_order(item, self.slow_seconds) for item in once]
        ended = [str(operation) for operation in listed(wanted.get("end", []))]
        slow = checked_number(wanted.get("slow_seconds", self.slow_seconds), SLOW_SECONDS_MAX)
        late = checked_number(
            wanted.get("notice_late_seconds", self.notice_late_seconds), SLOW_SECONDS_MAX
        )
        with self._lock:
            if wanted.get("clear") is True:
                none = dict.fromkeys(self.percent, 0.0)
                percent = checked_percent(wanted.get("percent", {}), none)
                self._orders.clear()
            kept = [order for order in self._orders if order.operation not in ended]
            self.percent, self.slow_seconds, self.notice_late_seconds = percent, slow, late
            self._orders = deque([*kept, *orders], maxlen=ORDERS_MAX)
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
                "once": [asdict(order) for order in self._orders],
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
    for kinds in (CHANCE_KINDS, NOTICE_KINDS):
        if sum(percent[kind] for kind in kinds) > 100:
            raise ValueError("the chances add up to more than 100 percent")


def checked_number(value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"not a number from 0 to {most:g}: {value!r}")
    return float(value)


def checked_order(value: Any, slow_seconds: float) -> Order:
    if not isinstance(value, dict) or value.get("kind") not in KINDS + NOTICE_KINDS:
        raise ValueError(f"once needs an operation and a kind of {', '.join(KINDS + NOTICE_KINDS)}")
    operation = value.get("operation")
    if not isinstance(operation, str) or not operation:
        raise ValueError("once needs an operation, e.g. wechat.refund")
    unknown = set(value) - ORDERABLE
    if unknown:
        raise ValueError(f"unknown in once: {', '.join(sorted(unknown))}")
    times = int(checked_number(value.get("times", 1), 1_000))
    return Order(
        operation,
        value["kind"],
        max(times, 1),
        value.get("lasting") is True,
        str(value.get("number", "")),
        checked_number(value.get("seconds", slow_seconds), SLOW_SECONDS_MAX),
        checked_refusal(value),
    )


def checked_refusal(value: dict[str, Any]) -> Refusal:
    code, status, is_signed = value.get("code", ""), value.get("status"), value.get("signed")
    if value["kind"] == "refused" and (not isinstance(code, str) or not code):
        raise ValueError("refused needs a code, e.g. NO_AUTH or 40006")
    if status is not None and not 400 <= checked_number(status, 599) <= 599:
        raise ValueError("status must be from 400 to 599")
    if is_signed is not None and not isinstance(is_signed, bool):
        raise ValueError("signed must be true or false")
    message = str(value.get("message") or Refusal.message)
    return Refusal(str(code), str(value.get("sub_code", "")), status, message, is_signed)


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
