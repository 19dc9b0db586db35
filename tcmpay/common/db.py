"""Transactions for money: one durable unit, repeated as a whole when the database asks for it."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, models
from django.db.models import F, Sum
from django.db.models.functions import Cast, Coalesce, Round
from django.db.transaction import atomic

from tcmpay.common.money import ZERO, Money, fen_to_yuan

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)

# Deadlock, lock wait timeout, record changed since last read (MariaDB ≥ 11.6), Galera not ready.
# After each of them the whole unit is rolled back and nothing was committed, so it may run again.
RETRYABLE_MYSQL_ERRORS = frozenset({1213, 1205, 1020, 1047})
ATTEMPTS_MAX = 6
BACKOFF_MAX_SECONDS = 1.0


def is_retryable(error: OperationalError) -> bool:
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return code in RETRYABLE_MYSQL_ERRORS
    return "database is locked" in str(error) or "database table is locked" in str(error)


def money_unit(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` in one durable transaction, and again from its start after a deadlock.

    The function must re-read everything it decides upon: on a repetition nothing that it saw
    before is true any more. ``durable`` proves that no caller holds a transaction open, so what
    the function returns is committed when it returns.
    """

    @functools.wraps(function)
    def unit(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with atomic(durable=True):
                    return function(*args, **kwargs)
            except OperationalError as error:
                if attempt == ATTEMPTS_MAX or not is_retryable(error):
                    raise
                logger.warning("unit_repeated", extra={"unit": function.__name__, "no": attempt})
                time.sleep(random.uniform(0, min(BACKOFF_MAX_SECONDS, 0.02 * 2**attempt)))
        raise AssertionError("unreachable")

    return unit


def sum_money(rows: models.QuerySet, field: str) -> Money:
    """The sum of ``field`` (yuan) over ``rows``, exact on every database.

    SQLite keeps decimals as floating point, so there the rounded fen are summed as integers.
    """
    if connection.vendor == "sqlite":
        fen = Sum(Cast(Round(F(field) * 100), models.BigIntegerField()))
        return fen_to_yuan(rows.aggregate(total=Coalesce(fen, 0))["total"])
    total = rows.aggregate(total=Sum(field))["total"]
    return ZERO if total is None else Money(total)
