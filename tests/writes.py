"""Seeing which tables a request writes to."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

_WRITE = re.compile(
    r"^\s*(?:INSERT\s+(?:IGNORE\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+[`\"]?(\w+)", re.I
)
# Counting requests and carrying sessions goes on whatever is refused.
BOOKKEEPING = frozenset({"django_session", "rate_counters"})


@contextmanager
def writes_seen() -> Iterator[set[str]]:
    """The names of the tables that statements inside write to, bookkeeping left out.

    A statement that changes no row counts too: what is refused doesn't even try.
    """
    seen: set[str] = set()

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if (found := _WRITE.match(sql)) and found[1] not in BOOKKEEPING:
            seen.add(found[1])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield seen
