"""Rows whose time has come, in an order that is fair: nobody's many rows hold up the others."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

Row = TypeVar("Row")


def in_time(rows: Iterable[Row], *, seconds: float) -> Iterator[Row]:
    """``rows`` until ``seconds`` have passed; what is left is due in the next sweep.

    Tasks are stopped after 90 seconds: a slow gateway must not cost what stands behind in the same
    task.
    """
    started = time.monotonic()
    for row in rows:
        if time.monotonic() - started > seconds:
            return
        yield row


@contextmanager
def by_itself(logger: logging.Logger, event: str, **row: str) -> Iterator[None]:
    """Log a fault inside as ``event`` of this ``row``: one broken row must not hold up the others.

    Raises SoftTimeLimitExceeded: then the whole task is over, and the row is not broken.
    """
    try:
        yield
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        logger.exception(event, extra=row)


def in_turns(rows: QuerySet[Any], *, of: str, by: tuple[str, ...], count: int) -> list[Any]:
    """The keys of the first ``count`` of ``rows``, everybody's first before anybody's second.

    ``of`` is the way from a row to whose it is, ``by`` what the rows of one owner are ordered by,
    and those of one turn; what is empty comes first. Keys alone: the database sorts all that is
    due, and rows are wide.
    """
    order = (*by, "pk")
    turn = Window(RowNumber(), partition_by=[F(of)], order_by=[F(name).asc() for name in order])
    turned = rows.annotate(turn=turn).order_by("turn", *order)
    return list(turned.values_list("pk", flat=True)[:count])
