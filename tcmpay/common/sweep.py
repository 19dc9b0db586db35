"""Rows whose time has come, in an order that is fair: nobody's many rows hold up the others."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

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


def in_turns(rows: QuerySet[Any], *, of: str, by: str) -> QuerySet[Any]:
    """``rows`` so that everybody's first comes before anybody's second.

    ``of`` is the way from a row to whose it is, ``by`` what the rows of one owner are ordered by,
    and those of one turn.
    """
    turn = Window(RowNumber(), partition_by=[F(of)], order_by=[F(by).asc(), F("pk").asc()])
    turned: QuerySet[Any] = rows.annotate(turn=turn).order_by("turn", by, "pk")
    return turned
