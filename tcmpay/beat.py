"""Celery's beat, on whose clock nothing of money hangs longer than a moment."""

from datetime import datetime
from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """Celery's own, which doesn't wait until a moment that a wrong clock wrote down.

    Beat keeps when each task ran last. Written by a clock that was hours ahead, it would hold
    the sweeps back for as many hours once the clock is right again.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; the seconds until the next look."""
        if self._turn_back(self.app.now()):
            self._heap = None  # ordered by the wrong clock: made anew
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def _turn_back(self, now: datetime) -> bool:
        is_turned = False
        for entry in self.schedule.values():
            if entry.last_run_at is not None and entry.last_run_at > now:
                entry.last_run_at = now
                is_turned = True
        return is_turned
