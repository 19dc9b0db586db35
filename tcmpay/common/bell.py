"""Ringing a worker after the commit. The row is the queue; the bell only saves waiting."""

import logging
from functools import partial
from typing import Any

from celery import current_app
from django.db.transaction import on_commit

from tcmpay.common.cooldown import Cooldown

logger = logging.getLogger(__name__)

# A silent broker may hold up one request for as long as its sockets wait, not every request.
_cooldown = Cooldown()


def ring(task: str, *args: Any) -> None:
    """Send the task called ``task`` once the running transaction is committed.

    A broker that is away costs only time: a sweep of the database finds the work.
    """
    on_commit(partial(_send, task, args))


def _send(task: str, args: tuple[Any, ...]) -> None:
    if _cooldown.is_running():
        return
    try:
        current_app.send_task(task, args=args)
    except Exception:
        _cooldown.start()
        logger.warning("bell_not_heard", extra={"task": task}, exc_info=True)
