"""Time as the gateways write it. Both live in Beijing, whatever the zone of this process is."""

from __future__ import annotations

import time
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
