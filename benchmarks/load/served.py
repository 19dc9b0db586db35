"""The product as gunicorn and Celery run it under load.

DEBUG is on, for the gateways' addresses are stand-ins' on this machine. What DEBUG costs besides,
every statement kept and logged, is taken away: production does not pay it. Every answer tells the
CPU that its thread used, for the proxy's log.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from tcmpay.celery import app
from tcmpay.wsgi import application as product

CPU_HEADER = "X-Load-CPU-Milliseconds"
BaseDatabaseWrapper.queries_logged = property(  # type: ignore[method-assign, assignment]
    lambda self: self.force_debug_cursor
)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    began = time.thread_time()

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        used = (time.thread_time() - began) * 1_000
        return start_response(status, [*headers, (CPU_HEADER, f"{used:.3f}")], *more)

    return product(environ, start)


__all__ = ["app", "application"]
