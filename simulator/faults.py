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

from simulator import schema
from simulator.web import Response, html_response

KINDS = (
    "lost_after",  # it is done, the connection is cut without an answer
    "error_after",  # it is done, the answer is a 500 (WeChat) or 20000 (Alipay)
    "error_before",  # the same answer, nothing is done
    "slow",  # it is done, the answer comes seconds later
    "garbage",  # it is done, a proxy answers with HTML
    "bad_signature",  # it is done, the answer's signature is wrong
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
HTML_OF_A_PROXY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

SECONDS = {"type": "number", "minimum": 0, "maximum": 600}
PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
ORDER = schema.fields(
    "operation kind",
    operation=TEXT | {"minLength": 1}, kind={"enum": [*KINDS, *NOTICE_KINDS]},
    times={"type": "integer", "minimum": 1, "maximum": 1_000}, lasting=FLAG, number=TEXT,
    seconds=SECONDS, code=TEXT | {"minLength": 1}, sub_code=TEXT,
    status={"type": "integer", "minimum": 400, "maximum": 599}, message=TEXT, signed=FLAG,
)  # fmt: skip
ORDER |= {"if": {"properties": {"kind": {"const": "refused"}}}, "then": {"required": ["code"]}}
CHANGE = schema.fields(
    percent=schema.fields(**dict.fromkeys((*CHANCE_KINDS, *NOTICE_KINDS), PERCENT)),
    seed={"type": "integer"}, slow_seconds=SECONDS, notice_late_seconds=SECONDS,
    once={"type": "array", "items": ORDER}, end={"type": "array", "items": TEXT}, clear=FLAG,
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What goes wrong. An ordered one says for which calls; what a refusal leaves out follows from
    its code, as the channels' fact sheets have it."""

    kind: str
    seconds: float
    operation: str = ""
    times: int = 1
    lasting: bool = False
    number: str = ""
    code: str = ""
    sub_code: str = ""  # Alipay
    status: int | None = None  # WeChat
    message: str = "测试要求的拒绝"
    signed: bool | None = None

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
        self._ordered: deque[Fault] = deque(maxlen=ORDERS_MAX)
        self._drawn: dict[str, int] = {}

    def draw(
        self, operation: str, numbers: Collection[str] = (), kinds: tuple[str, ...] = CHANCE_KINDS
    ) -> Fault | None:
        """The fault that this call about these numbers gets; one that was ordered goes first."""
        orderable = kinds if kinds == NOTICE_KINDS else KINDS
        with self._lock:
            fault = self._take_ordered(operation, orderable, numbers) or self._by_chance(kinds)
            if fault:
                self._drawn[fault.kind] = self._drawn.get(fault.kind, 0) + 1
            return fault

    def _take_ordered(
        self, operation: str, kinds: tuple[str, ...], numbers: Collection[str]
    ) -> Fault | None:
        fault = next((f for f in self._ordered if f.fits(operation, kinds, numbers)), None)
        if fault and not fault.lasting:
            self._ordered.remove(fault)
            if fault.times > 1:
                self._ordered.appendleft(replace(fault, times=fault.times - 1))
        return fault

    def _by_chance(self, kinds: tuple[str, ...]) -> Fault | None:
        """One throw, so that each kind has exactly the chance that was asked for."""
        thrown = self._random.uniform(0, 100)
        for kind in kinds:
            thrown -= self.percent[kind]
            if thrown < 0:
                is_late = kind == "notice_late"
                return Fault(kind, self.notice_late_seconds if is_late else self.slow_seconds)
        return None

    def change(self, wanted: dict[str, Any]) -> None:
        """Apply a body of POST /_control/faults, all or nothing.

        A bare number as ``percent`` sets every random kind of an answer; ``once`` and ``end`` take
        one or a list.

        Raises:
            NotAllowed: a kind, number or name that does not exist.
        """
        percent = wanted.get("percent", {})
        if isinstance(percent, int | float) and not isinstance(percent, bool):
            percent = dict.fromkeys(RANDOM_KINDS, percent)
        once, ended = listed(wanted.get("once", [])), listed(wanted.get("end", []))
        wanted = wanted | {"percent": percent, "once": once, "end": ended}
        schema.check(CHANGE, wanted)
        with self._lock:
            is_clear = wanted.get("clear", False)
            current = dict.fromkeys(self.percent, 0.0) if is_clear else self.percent
            percent = current | {kind: float(value) for kind, value in percent.items()}
            check_sum(percent)
            orders = [Fault(**{"seconds": self.slow_seconds} | order) for order in once]
            kept = [f for f in self._ordered if not is_clear and f.operation not in ended]
            self._ordered = deque([*kept, *orders], maxlen=ORDERS_MAX)
            self.percent = percent
            self.slow_seconds = wanted.get("slow_seconds", self.slow_seconds)
            self.notice_late_seconds = wanted.get("notice_late_seconds", self.notice_late_seconds)
            if "seed" in wanted:
                self.seed = wanted["seed"]
                self._random = random.Random(self.seed)

    def shown(self) -> dict[str, Any]:
        with self._lock:
            names = ("percent", "seed", "slow_seconds", "notice_late_seconds")
            once = [asdict(order) for order in self._ordered]
            shown = {name: getattr(self, name) for name in names}
            return shown | {"once": once, "drawn": dict(self._drawn)}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check_sum(percent: dict[str, float]) -> None:
    for kinds in (CHANCE_KINDS, NOTICE_KINDS):
        if sum(percent[kind] for kind in kinds) > 100:
            raise schema.NotAllowed("the chances add up to more than 100 percent")


def answer_with_fault(
    fault: Fault | None,
    act: Callable[[], Response],
    *,
    refuse: Callable[[Fault], Response],
    corrupt: Callable[[Response], Response],
    pause: Callable[[float], Any],
) -> Response:
    """Do what was asked as far as the fault allows, and answer as it demands.

    ``refuse`` makes the error answers of a channel, ``corrupt`` breaks a signature.
    """
    if fault is None:
        return act()
    if fault.kind in BEFORE:
        return refuse(fault)
    answer = act()
    if fault.kind == "lost_after":
        answer.cut = True
    elif fault.kind == "slow":
        pause(fault.seconds)
    elif fault.kind == "error_after":
        return refuse(fault)
    elif fault.kind == "garbage":
        return html_response(HTML_OF_A_PROXY)  # with status 200, the harder case
    elif fault.kind == "bad_signature":
        return corrupt(answer)
    return answer
