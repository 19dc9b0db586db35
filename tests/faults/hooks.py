"""What the processes of a fault test have that the product has not: failpoints, and short waits.

A failpoint is a function of the product that looks, before and after its work, whether a file of
its name lies in FAULTS_ARMED. The process that manages to remove that file does what stood in it:
``kill`` (kill -9 of itself) or a number of seconds to sleep.
"""

import contextlib
import functools
import importlib
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

ARMED_VARIABLE, HASTE_VARIABLE = "FAULTS_ARMED", "FAULTS_HASTE"
KILL = "kill"

# Name → module that looks the function up, and the function. Every one ends in a commit, or
# stands before or after a call of the gateway.
POINTS = {
    "key-claim": ("tcmpay.limits.idempotency", "key_claim"),
    "key-complete": ("tcmpay.limits.idempotency", "key_complete"),
    "order-insert": ("payments.services.orders", "_insert"),
    "balance-debit": ("payments.services.attempts", "debit_and_apply"),
    "attempt-open": ("payments.services.attempts", "_open_attempt"),
    "attempt-keep": ("payments.services.attempts", "_keep_start"),
    "attempt-check": ("payments.services.sweeping", "attempt_check"),
    "callback-handle": ("payments.callbacks", "callback_handle"),
    "refund-request": ("refunds.services.requests", "_request"),
    "refund-decide": ("refunds.services.requests", "_decide"),
    "refund-begin": ("refunds.services.submission", "_begin_submission"),
    "refund-apply": ("refunds.services.submission", "refund_report_apply"),
}
COMMIT = "commit"  # around every COMMIT of a transaction

# Waits of minutes, made seconds: nothing of what happens afterwards depends on how long they are.
SHORTER: tuple[tuple[str, str, Any], ...] = (
    ("tcmpay.limits.services", "LEASE", timedelta(seconds=6)),
    ("tcmpay.limits.beat_lease", "LEASE", timedelta(seconds=12)),
    ("payments.services.attempts", "FIRST_CHECK_AFTER", timedelta(seconds=3)),
    ("payments.services.sweeping", "BACKOFF_SECONDS", (2, 2, 3, 5, 10, 20, 40, 300)),
    ("refunds.services.submission", "BACKOFF_SECONDS", (2, 2, 3, 5, 10, 20, 40)),
)
SWEEPS_SECONDS = {"expire-orders": 3.0, "sweep-attempts": 2.0, "submit-refunds": 2.0}


def install() -> None:
    """Put the failpoints into this process; Django is set up."""
    folder = os.environ.get(ARMED_VARIABLE)
    if folder:
        for name, (module_name, attribute) in POINTS.items():
            module = importlib.import_module(module_name)
            wrapped = _watched(name, getattr(module, attribute), Path(folder))
            setattr(module, attribute, wrapped)
        _watch_commit(Path(folder))
    if os.environ.get(HASTE_VARIABLE):
        for module_name, attribute, value in SHORTER:
            module = importlib.import_module(module_name)
            if not hasattr(module, attribute):
                raise AttributeError(
                    f"{module_name}.{attribute} is gone: see tests/faults/hooks.py"
                )
            setattr(module, attribute, value)


def _watch_commit(folder: Path) -> None:
    from django.db.backends.mysql.base import DatabaseWrapper

    wrapped = _watched(COMMIT, DatabaseWrapper._commit, folder)
    DatabaseWrapper._commit = wrapped


def _watched(name: str, function: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        reach(folder / f"{name}.before")
        result = function(*args, **kwargs)
        reach(folder / f"{name}.after")
        return result

    return watched


def reach(file: Path) -> None:
    """Do what an armed file says, if this process is the one that takes it."""
    if not file.exists():
        return
    taken = file.with_name(f"{file.name}.{os.getpid()}.{time.monotonic_ns()}")
    with contextlib.suppress(FileNotFoundError):
        file.rename(taken)
        wanted = taken.read_text()
        if wanted == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(wanted))


def arm(folder: Path, point: str, what: str = KILL) -> None:
    """``point``: a name of POINTS with ``.before`` or ``.after``."""
    draft = folder / f".{point}"
    draft.write_text(what)
    draft.rename(folder / point)


def disarm(folder: Path, point: str) -> bool:
    """Whether the point was reached; if not, it never will be."""
    try:
        (folder / point).unlink()
    except FileNotFoundError:
        return True
    return False


def every_point() -> list[str]:
    names = [*POINTS, COMMIT]
    return [f"{name}.{side}" for name in names for side in ("before", "after")]
