"""Celery's beat, on whose clock and files nothing of money hangs longer than a moment."""

import json
import logging
import os
import socket
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from celery.beat import Scheduler as CeleryScheduler
from django.db import Error as DatabaseError
from django.db import connection

from tcmpay.limits import beat_lease

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 256 * 1024
# So often does a beat that does not act look whether it may.
LOOK_SECONDS = 5.0


class Scheduler(CeleryScheduler):
    """Remembers when each task ran last, so that a restart delays no hourly one by an hour.

    That is all the file holds, and nothing hangs on it: a file that can't be read is thrown away,
    and beat begins as if it were new; one that can't be written is done without. Celery's own
    keeps it in a database file that may keep beat from ever starting again.

    A moment that a wrong clock wrote down is not waited for: written hours ahead, it would hold
    the sweeps back for as many hours once the clock is right again.

    Several may run, on hosts of their own: whoever holds the lease acts (limits/beat_lease.py), the
    others wait until it ends. What they would have sent meanwhile is then due at once.
    """

    def __init__(self, *args: Any, schedule_filename: str = "", **kwargs: Any) -> None:
        self._file = Path(schedule_filename or "celerybeat-schedule")
        self._holder = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"
        self._term: int | None = None
        super().__init__(*args, **kwargs)

    @property
    def info(self) -> str:
        return f"    . file -> {self._file}"

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for name, moment in self._remembered().items():
            if name in self.schedule:
                self.schedule[name].last_run_at = moment
        self.sync()

    def sync(self) -> None:
        """Write the moments down: whole, or not at all."""
        moments = {
            name: entry.last_run_at.isoformat()
            for name, entry in self.schedule.items()
            if entry.last_run_at is not None
        }
        unfinished = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        try:
            unfinished.write_text(json.dumps(moments), encoding="utf-8")
            unfinished.replace(self._file)
        except OSError as error:
            logger.warning("beat_schedule_not_kept", extra={"reason": error.strerror})

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, if this is the beat that acts; the seconds until the next look."""
        if not self._acts():
            return LOOK_SECONDS
        if self._turn_back(self.app.now()):
            self._heap = None  # ordered by the wrong clock: made anew
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Send one task under the number of our lease; a worker refuses a former holder's."""
        entry.options = {**entry.options, "headers": {beat_lease.TERM: self._term}}
        return super().apply_async(entry, *args, **kwargs)

    def close(self) -> None:
        super().close()
        try:
            beat_lease.lease_release(self._holder)
        except DatabaseError:
            connection.close()  # it ends by itself

    def _acts(self) -> bool:
        former = self._term
        try:
            self._term = beat_lease.lease_claim(self._holder)
        except DatabaseError as error:
            # Without a database there is nothing to sweep either.
            connection.close()
            self._term = None
            if former is not None:
                logger.warning("beat_lease_unknown", extra={"reason": str(error)})
            return False
        if self._term is not None and former is None:
            logger.info("beat_acts", extra={"term": self._term, "holder": self._holder})
        elif self._term is None and former is not None:
            logger.warning("beat_overtaken", extra={"term": former, "holder": self._holder})
        return self._term is not None

    def _remembered(self) -> dict[str, datetime]:
        try:
            with self._file.open("rb") as file:
                written = json.loads(file.read(FILE_BYTES_MAX).decode())
            moments = {str(name): datetime.fromisoformat(text) for name, text in written.items()}
            if any(moment.utcoffset() is None for moment in moments.values()):
                raise ValueError("a moment without its time zone")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            logger.warning("beat_schedule_thrown_away", extra={"reason": type(error).__name__})
            return {}
        return moments

    def _turn_back(self, now: datetime) -> bool:
        is_turned = False
        for entry in self.schedule.values():
            if entry.last_run_at is not None and entry.last_run_at > now:
                entry.last_run_at = now
                is_turned = True
        return is_turned
