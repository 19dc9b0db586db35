"""Queries of the ORM that are compiled once and then asked by keys alone.

For what is read at nearly every request: compiling an order's query took half of the time of
answering with it (docs/performance.md).
"""

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from tcmpay.common.ids import new_id


class CompiledByKey:
    """The ``columns`` (of the model, or annotated) of ``rows()``, by the primary keys asked for."""

    def __init__(self, rows: Callable[[], QuerySet[Any]], columns: Sequence[str]) -> None:
        self._rows = rows
        self._columns = tuple(columns)
        self._make: Any = namedtuple("Row", self._columns)  # type: ignore[misc]
        # One text for each number of keys: a page has at most a hundred.
        self._compiled = cache(self._compile)

    def __call__(self, keys: Sequence[UUID]) -> dict[UUID, Any]:
        """Rows with an attribute for each column, by key; those that are not there are left out."""
        if not keys:
            return {}
        sql, parameters, places, read = self._compiled(len(keys), connection.vendor)
        asked = list(parameters)
        for place, key in zip(places, keys, strict=True):
            asked[place] = str(key)
        with connection.cursor() as cursor:
            cursor.execute(sql, asked)
            found = read(cursor.fetchall())
        rows = (self._make._make(values) for values in found)
        return {row.id: row for row in rows}

    def _compile(
        self, size: int, _vendor: str
    ) -> tuple[str, tuple[Any, ...], list[int], Callable[[Any], Any]]:
        """The text, its parameters, where among them the keys are, and what reads the rows."""
        stand_ins = [new_id() for _key in range(size)]
        query = self._rows().order_by().filter(pk__in=stand_ins).values_list(*self._columns).query
        compiler = query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        places = [parameters.index(str(key)) for key in stand_ins]
        converters = compiler.get_converters(
            [expression for expression, _sql, _alias in compiler.select]
        )

        def read(rows: Any) -> Any:
            return compiler.apply_converters(rows, converters) if converters else rows

        return sql, tuple(parameters), places, read
