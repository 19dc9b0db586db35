"""The clock that decides. Hosts disagree about the time, so the database's clock is used,
carried forward on this host's monotonic clock between two looks at it.

All moments are aware and in UTC. Business days are days in Asia/Shanghai.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

SHANGHAI = ZoneInfo("Asia/Shanghai")
ONE_DAY = timedelta(days=1)
RESYNC_SECONDS = 30.0


@dataclass(frozen=True)
class _Reading:
    database: datetime
    monotonic: float


_local = threading.local()
_frozen: datetime | None = None


def now() -> datetime:
    """The moment that decides (UTC)."""
    if _frozen is not None:
        return _frozen
    if connection.vendor != "mysql":
        # SQLite lives in this process: its clock is this host's.
        return datetime.now(UTC)
    reading: _Reading | None = getattr(_local, "reading", None)
    elapsed = time.monotonic() - reading.monotonic if reading else RESYNC_SECONDS
    if reading is None or elapsed >= RESYNC_SECONDS:
        reading = _local.reading = _read_database()
        elapsed = 0.0
    return reading.database + timedelta(seconds=elapsed)


def _read_database() -> _Reading:
    with connection.cursor() as cursor:
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        value = cursor.fetchone()[0]
    return _Reading(database=value.replace(tzinfo=UTC), monotonic=time.monotonic())


def business_day(moment: datetime) -> date:
    """The day in Asia/Shanghai that ``moment`` falls on."""
    return moment.astimezone(SHANGHAI).date()


def today() -> date:
    """Today's business day."""
    return business_day(now())


def day_start(day: date) -> datetime:
    """The first moment (UTC) of the business day ``day``."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(UTC)


def as_long_again(since: datetime, *, at_most: timedelta) -> datetime:
    """As far from now as ``since`` is, or ``at_most``: what is asked about so is asked ever more
    rarely."""
    moment = now()
    return moment + min(moment - since, at_most)


@contextmanager
def frozen(moment: datetime) -> Iterator[None]:
    """Inject ``moment`` as the time that decides, for tests and simulations."""
    global _frozen
    before, _frozen = _frozen, moment
    try:
        yield
    finally:
        _frozen = before


def utc_text(moment: datetime) -> str:
    """``moment`` in UTC with microseconds, as digests cover it and the trail keeps it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
