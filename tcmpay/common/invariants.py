"""What a room's ``invariants.py`` hands to ``audit_money``, and how it reads in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.utils.functional import Promise

T = TypeVar("T")
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be and is.

    ``is_notice``: worth knowing, not wrong by itself. ``is_unfinished``: work past its time,
    wrong only for those who ask strictly.
    """

    code: str
    object_type: str
    object_id: str
    message: str | Promise
    is_notice: bool = False
    is_unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What an audit looks at: the database alias it reads, and since when (None: everything)."""

    using: str = "default"
    since: datetime | None = None


Check = Callable[[Scope], Iterator[Violation]]


def rows_in_chunks(
    scope: Scope,
    *,
    table: str,
    columns: Sequence[str],
    keys: int = 1,
    order: Sequence[str] = (),
    where: str = "",
    values: Sequence[Any] = (),
    size: int = CHUNK,
) -> Iterator[tuple[Any, ...]]:
    """Bare rows, where models would cost more than what is checked; names are ours, never input.

    The first ``keys`` columns order them: together unique and indexed. ``order`` is by what, where
    they are not read as they are stored.
    """
    order = order or columns[:keys]
    # Each in the form that its planner answers from the index alone.
    is_tuple = connections[scope.using].vendor == "sqlite"
    if is_tuple:
        after = f"({', '.join(order)}) > ({', '.join(['%s'] * keys)})"
    else:
        after = " OR ".join(
            "(" + " AND ".join([*(f"{name} = %s" for name in order[:n]), f"{order[n]} > %s"]) + ")"
            for n in range(keys)
        )
    select = f"SELECT {', '.join(columns)} FROM {table}"
    tail = f"ORDER BY {', '.join(order)} LIMIT {size}"
    last: tuple[Any, ...] | None = None
    while True:
        conditions = [where] if where else []
        arguments = list(values)
        if last is not None:
            conditions.append(f"({after})")
            lengths = [keys] if is_tuple else range(1, keys + 1)
            arguments += [value for length in lengths for value in last[:length]]
        filters = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        with connections[scope.using].cursor() as cursor:
            cursor.execute(f"{select} {filters} {tail}", arguments)
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < size:
            return
        last = rows[-1]


def batches(rows: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """``rows`` in lists, so that what belongs to many is read by one query."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def in_chunks(rows: QuerySet[Any], *keys: str, size: int = CHUNK) -> Iterator[Any]:
    """``rows`` ordered by ``keys`` (together unique and indexed), a bounded number at a time.

    The MySQL driver keeps a whole result in memory, so ``iterator()`` alone bounds nothing.
    """
    rows = rows.order_by(*keys)
    last: Model | None = None
    while True:
        chunk = list((rows if last is None else rows.filter(_after(last, keys)))[:size])
        yield from chunk
        if len(chunk) < size:
            return
        last = chunk[-1]


def _after(last: Model, keys: tuple[str, ...]) -> Q:
    condition = Q()
    for index, key in enumerate(keys):
        same = {name: getattr(last, name) for name in keys[:index]}
        condition |= Q(**same, **{f"{key}__gt": getattr(last, key)})
    return condition
