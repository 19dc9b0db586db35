"""What a room's ``checks.py`` hands to ``audit_money``, and how it reads in bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.functional import Promise

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
