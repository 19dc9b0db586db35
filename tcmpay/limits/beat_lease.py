"""Of several beats one acts: whoever holds the lease, under a number that grows with each holder.

The database's clock decides. A holder that was frozen or cut off past its lease goes on under its
former number; what it sends then is refused by the worker (``FencedTask``).
"""

from datetime import timedelta
from typing import Any

from celery import Task
from celery.exceptions import Ignore
from django.db import IntegrityError
from django.db.models import F

from tcmpay.common.fields import UtcNow
from tcmpay.limits.models import BeatLease

# Longer than beat's longest sleep (CELERY_BEAT_MAX_LOOP_INTERVAL): who lives never loses it.
LEASE = timedelta(seconds=60)
TERM = "beat_term"


def lease_claim(holder: str) -> int | None:
    """Begin or prolong ``holder``'s lease: the number it acts under; None while another acts."""
    now = UtcNow()
    mine = BeatLease.objects.filter(pk=BeatLease.ONLY, holder=holder)
    if not mine.filter(until__gt=now).update(until=now + LEASE):
        over = BeatLease.objects.filter(pk=BeatLease.ONLY, until__lte=now)
        if not over.update(holder=holder, term=F("term") + 1, until=now + LEASE):
            _first_lease()
            return None
    return mine.values_list("term", flat=True).first()


def _first_lease() -> None:
    """The row, which nobody holds, where there is none yet."""
    if not BeatLease.objects.filter(pk=BeatLease.ONLY).exists():
        try:
            BeatLease.objects.create(pk=BeatLease.ONLY, holder="", term=0, until=UtcNow())
        except IntegrityError:
            return  # another beat was quicker


def lease_release(holder: str) -> None:
    """An orderly end: the next one need not wait."""
    BeatLease.objects.filter(pk=BeatLease.ONLY, holder=holder).update(until=UtcNow())


def is_overtaken(term: int) -> bool:
    """Whether somebody acts under a later number."""
    return BeatLease.objects.filter(pk=BeatLease.ONLY, term__gt=term).exists()


class FencedTask(Task):
    """Of every task: what a beat sent that is no longer the one is not done."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        # A worker finds a message's headers in the request itself, a task run in place does not.
        term = self.request.get(TERM, (self.request.headers or {}).get(TERM))
        if term is not None and is_overtaken(int(term)):
            raise Ignore()
