"""The Celery application. Schedules are in settings: money jobs are code, not rows."""

import os
import time
from socket import gethostname
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_ready,
)
from celery.worker.control import inspect_command
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from prometheus_client import Histogram
from structlog.contextvars import bind_contextvars, reset_contextvars

from tcmpay.common.database_session import require_sound_database
from tcmpay.common.request_id import choose_request_id, current_request_id, set_request_id
from tcmpay.telemetry import telemetry_begin
from tcmpay.version import __version__

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tcmpay.settings")

REQUEST_HEADER = "tcmpay_request_id"

app = Celery("tcmpay", task_cls="tcmpay.limits.beat_lease:FencedTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def _telemetry_begins(**kwargs: Any) -> None:
    telemetry_begin(settings.TELEMETRY)


@worker_init.connect
def refuse_an_unsound_database(**kwargs: Any) -> None:
    try:
        require_sound_database()
    except ImproperlyConfigured as error:
        # Celery logs what a signal's receiver raises and goes on; this it lets through.
        raise SystemExit(str(error)) from error


@inspect_command(name="tcmpay_version")
def version_told(state: Any) -> dict[str, str]:
    """Which version a worker runs, for the doctor."""
    return {"ok": __version__}


@worker_ready.connect
def _worker_shows_life(sender: Any = None, **kwargs: Any) -> None:
    from backoffice.ops.signs import WORKER, signs_begin
    from tcmpay.common import clock

    signs_begin(WORKER, str(sender.hostname), clock.now)


@beat_init.connect
def _beat_shows_life(sender: Any = None, **kwargs: Any) -> None:
    from backoffice.ops.signs import BEAT, newest_of_beat, signs_begin

    signs_begin(BEAT, gethostname(), lambda: newest_of_beat(sender))


TASK_SECONDS = Histogram(
    "task_seconds",
    "Work of the queue, from a worker's beginning it to its end",
    ["task", "state"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 90, 120),
)


@setup_logging.connect
def _logs_stay_as_they_are(**kwargs: Any) -> None:
    """With a receiver Celery makes no handlers of its own: its lines are JSON like all others."""


@before_task_publish.connect
def _name_the_request(headers: dict[str, Any] | None = None, **kwargs: Any) -> None:
    if headers is not None and (request_id := current_request_id()):
        headers[REQUEST_HEADER] = request_id


@task_prerun.connect
def _task_begins(task: Any = None, task_id: str = "", **kwargs: Any) -> None:
    task.request.began_at = time.perf_counter()
    # What a request rang for goes by its id, up to the gateway's call; the others by their own.
    request_id = choose_request_id(str(getattr(task.request, REQUEST_HEADER, "") or task_id))
    task.request.id_before = current_request_id()
    set_request_id(request_id)
    task.request.logged = bind_contextvars(request_id=request_id, task=task.name)


@task_postrun.connect
def _task_ends(task: Any = None, state: str | None = None, **kwargs: Any) -> None:
    reset_contextvars(**task.request.logged)
    set_request_id(task.request.id_before)
    seconds = time.perf_counter() - task.request.began_at
    TASK_SECONDS.labels(task.name, str(state)).observe(seconds)
