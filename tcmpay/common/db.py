"""Transactions for money: one durable unit, repeated as a whole when the database asks for it."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection, connections, models
from django.db.models import F, Sum
from django.db.models.functions import Cast, Round
from django.db.transaction import atomic, on_commit
from prometheus_client import Counter

from tcmpay.common.money import ZERO, Money, fen_to_yuan

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)

# Record changed since last read (MariaDB ≥ 11.6), lock wait timeout (which by itself rolls back
# only its statement: leaving the unit rolls back the rest), deadlock. Wherever they come, also at
# COMMIT (Galera's conflicts), nothing of the unit was committed, so it may run again.
CONFLICTS = frozenset({1020, 1205, 1213})
# Galera not ready; server shutting down; connection killed, gone, lost, cut in the middle of an
# answer, closed for idleness; or the server takes no writes any more (read_only, a former primary),
# and the same address leads to another one. Before COMMIT the server rolls the unit back. From
# COMMIT on nobody knows.
LOST = frozenset({1047, 1053, 1290, 1792, 1836, 1927, 2006, 2013, 2027, 2055, 4031})
ATTEMPTS_MAX = 6
BACKOFF_MAX_SECONDS = 1.0
# A unit whose attempts took so long already (each may wait for a lock) is not tried again.
RETRY_SECONDS_MAX = 20.0

REPEATED = Counter(
    "money_unit_repeated_total", "Units rolled back and run again", ["unit", "reason"]
)
GIVEN_UP = Counter("money_unit_given_up_total", "Units that no repetition saved", ["unit"])
COMMIT_UNKNOWN = Counter(
    "money_unit_commit_unknown_total", "Units whose COMMIT was not answered", ["unit"]
)


class CommitUnknown(OperationalError):
    """The connection went away during COMMIT: the unit may be committed or not.

    It must not be redone blindly: whoever asks again has to look for the effect by its row first.
    """


def error_code(error: Exception) -> int | None:
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None


def is_conflict(error: Exception) -> bool:
    """Whether the database rolled the unit back for the sake of another one."""
    if error_code(error) is None:
        return "database is locked" in str(error) or "database table is locked" in str(error)
    return error_code(error) in CONFLICTS


def is_lost(error: Exception) -> bool:
    """Whether the connection went away, or leads to a server that takes no work any more."""
    if isinstance(error, InterfaceError) and not error_code(error):
        return True  # so the driver says of a connection that is closed on our side: (0, "")
    return error_code(error) in LOST


def is_retryable(error: Exception) -> bool:
    """Whether a unit that failed so before its COMMIT may run again."""
    return is_conflict(error) or is_lost(error)


def money_unit(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` in one durable transaction, and again from its start after a deadlock.

    The function must re-read everything it decides upon: on a repetition nothing that it saw
    before is true any more. ``durable`` proves that no caller holds a transaction open, so what
    the function returns is committed when it returns.

    Raises CommitUnknown when the answer to COMMIT was lost.
    """

    @functools.wraps(function)
    def unit(*args: P.args, **kwargs: P.kwargs) -> R:
        started = time.monotonic()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            is_committing, committed = False, list[bool]()
            try:
                with atomic(durable=True):
                    # The first hook to run: from then on the unit must never run again.
                    on_commit(functools.partial(committed.append, True))
                    result = function(*args, **kwargs)
                    is_committing = True
                return result
            except (OperationalError, InterfaceError) as error:
                drop_lost_connection(error)
                if committed:
                    # What failed was a hook (a bell, a cache): the money has moved all the same.
                    logger.exception("after_commit_failed", extra={"unit": function.__name__})
                    return result
                if is_committing and not is_conflict(error):
                    COMMIT_UNKNOWN.labels(function.__name__).inc()
                    logger.error("commit_unknown", extra={"unit": function.__name__})
                    raise CommitUnknown(*error.args) from error
                is_late = time.monotonic() - started > RETRY_SECONDS_MAX
                if attempt == ATTEMPTS_MAX or is_late or not is_retryable(error):
                    GIVEN_UP.labels(function.__name__).inc()
                    raise
                _count_repetition(function.__name__, attempt, error)
                time.sleep(random.uniform(0, min(BACKOFF_MAX_SECONDS, 0.02 * 2**attempt)))
        raise AssertionError("unreachable")

    return unit


def drop_lost_connection(error: Exception) -> None:
    """After ``error``, close a connection that went away; the next statement opens a fresh one.

    Django would keep it, dead, until the request or the task ends. Inside a transaction (of a
    test) it must stay.
    """
    if is_lost(error) and not connection.in_atomic_block:
        connection.close()


def _count_repetition(unit: str, attempt: int, error: Exception) -> None:
    reason = str(error_code(error) or "locked")
    REPEATED.labels(unit, reason).inc()
    logger.warning("unit_repeated", extra={"unit": unit, "no": attempt, "reason": reason})


def columns_write(row: models.Model, **changes: Any) -> None:
    """Write ``changes`` to a row that the caller has locked, in the database and in hand."""
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))


def exact_sum(field: str, *, using: str) -> tuple[models.Aggregate, Callable[[Any], Money]]:
    """The sum of ``field`` (yuan) as an aggregate that is exact on the database ``using``, and
    what makes yuan of its result.

    SQLite keeps decimals as floating point, so there the rounded fen are summed as integers.
    """
    if connections[using].vendor == "sqlite":
        return Sum(Cast(Round(F(field) * 100), models.BigIntegerField())), fen_to_yuan
    return Sum(field), Money


def sum_money(rows: models.QuerySet, field: str) -> Money:
    """The sum of ``field`` (yuan) over ``rows``, exact on every database; of no rows, nothing."""
    aggregate, to_money = exact_sum(field, using=rows.db)
    total = rows.aggregate(total=aggregate)["total"]
    return ZERO if total is None else to_money(total)
