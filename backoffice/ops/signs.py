"""Signs of life of the processes that nobody asks: beat and the queue's workers."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connections

from backoffice.models import ProcessSign
from tcmpay.common import clock
from tcmpay.version import __version__

logger = logging.getLogger(__name__)

BEAT, WORKER = "beat", "worker"
EVERY_SECONDS = 30.0
# Workers' names change with their hosts': what was not seen for so long is forgotten.
FORGOTTEN_AFTER = timedelta(days=1)


def sign_keep(kind: str, name: str, seen_at: datetime) -> None:
    ProcessSign.objects.update_or_create(
        kind=kind, name=name[:128], defaults={"seen_at": seen_at, "version": __version__}
    )
    # Of its own kind alone: that the last one ended long ago is to be seen.
    forgotten = ProcessSign.objects.filter(kind=kind, seen_at__lt=clock.now() - FORGOTTEN_AFTER)
    forgotten.exclude(name=name[:128]).delete()


def signs_seen() -> Mapping[str, Mapping[str, float]]:
    """How many seconds ago each process that is remembered was seen, by kind and name."""
    now = clock.now()
    found: dict[str, dict[str, float]] = {BEAT: {}, WORKER: {}}
    for kind, name, seen_at in ProcessSign.objects.values_list("kind", "name", "seen_at"):
        found[kind][name] = max(0.0, (now - seen_at).total_seconds())
    return found


def signs_begin(kind: str, name: str, last_sign: Callable[[], datetime | None]) -> None:
    """Keep signs from now on, in a thread of their own: a database that hangs holds up no task.

    ``last_sign``: when the process last did what it is there for; None: not yet.
    """
    threading.Thread(
        target=_keep_on, args=(kind, name, last_sign), name="signs-of-life", daemon=True
    ).start()


def _keep_on(kind: str, name: str, last_sign: Callable[[], datetime | None]) -> None:
    while True:
        try:
            if (seen_at := last_sign()) is not None:
                sign_keep(kind, name, seen_at)
        except Exception as error:
            # Whatever it is, it ends no worker; and who looks for the sign misses it.
            logger.warning("sign_of_life_not_kept", extra={"reason": type(error).__name__})
        finally:
            connections.close_all()
        time.sleep(EVERY_SECONDS)


def newest_of_beat(service: Any) -> datetime | None:
    """When beat last sent something: the process may live and its schedule stand still."""
    moments = [entry.last_run_at for entry in service.scheduler.schedule.values()]
    return max((moment for moment in moments if moment is not None), default=None)
