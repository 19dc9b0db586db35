"""Time as the gateways write it. Both live in Beijing, whatever the zone of this process is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY_SECONDS = 86_400


def now() -> float:
    return time.time()


def beijing(at: float) -> datetime:
    return datetime.fromtimestamp(at, BEIJING)


def rfc3339(at: float) -> str:
    """WeChat's way: 2026-11-24T10:34:56+08:00."""
    return beijing(at).isoformat(timespec="seconds")


def wall(at: float) -> str:
    """Alipay's way: 2026-11-24 10:34:56, always GMT+8."""
    return beijing(at).strftime("%Y-%m-%d %H:%M:%S")


def from_wall(text: str) -> float:
    """Read Alipay's wall clock, with or without seconds.

    Raises:
        ValueError: it is not such a time.
    """
    pattern = "%Y-%m-%d %H:%M:%S" if len(text) == 19 else "%Y-%m-%d %H:%M"
    return datetime.strptime(text, pattern).replace(tzinfo=BEIJING).timestamp()


def day_bounds(day: date) -> tuple[float, float]:
    """The first second of a Beijing day and of the next one."""
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING).timestamp()
    return start, start + DAY_SECONDS


def today() -> date:
    return beijing(now()).date()


class BookClock:
    """When what happens counts as having happened: now, or in a past that a tester sets.

    Only the books' times follow it; signatures, deadlines and schedules keep to the real clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: ContextVar[float | None] = ContextVar("told", default=None)
        self.set(None, 0.0)

    def set(self, at: float | None, step_seconds: float) -> None:
        """From now on; each deed moves it on by ``step_seconds``. None: the real time again."""
        with self._lock:
            self._at, self._step_seconds = at, step_seconds

    @contextmanager
    def told(self, at: float | None) -> Iterator[None]:
        """For what one call does."""
        token = self._told.set(at)
        try:
            yield
        finally:
            self._told.reset(token)

    def now(self) -> float:
        told = self._told.get()
        at = self._at if told is None else told
        return now() if at is None else min(at, now())

    def take(self) -> float:
        """The moment of a deed."""
        with self._lock:
            at = self.now()
            if self._at is not None and self._told.get() is None:
                self._at += self._step_seconds
            return at
