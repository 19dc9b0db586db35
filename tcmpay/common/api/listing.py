"""Lists of one model's rows, newest first: which filters there are, in two short statements.

A list's filters are known beforehand, so its text is written once for each combination of them
and only values are sent; the ORM took longer to write both statements than MariaDB to answer them
(docs/performance.md). Names come from models, values go through their fields.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Model

from tcmpay.common.api.pages import Asked, Cursor, Page, Stretch
from tcmpay.common.compiled import AnswersByKey

# Up to so many rows ``total`` of a list is exact.
TOTAL_EXACT_MAX = 10_000
# A filter's column and how it is compared; ``IN`` takes several values.
Filter = tuple[str, str]
_Shape = tuple[tuple[str, int], ...]


def period(column: str, start: str, end: str) -> dict[str, Filter]:
    """Filters by a moment: ``start`` belongs to the period, ``end`` no longer does."""
    return {start: (column, ">="), end: (column, "<")}


class Listing:
    """Rows of ``model``, newest first (``created_at``, ``id``), as ``told`` answers them."""

    def __init__(
        self, model: type[Model], told: AnswersByKey, filters: Mapping[str, Filter]
    ) -> None:
        self._model = model
        self._told = told
        self._filters = filters
        self._condition = cache(self._condition_of)

    def take(self, query: Mapping[str, Any], asked: Asked) -> Page | Stretch:
        """A page of the rows that ``query`` (filter → value) lets through, by its number or from a
        cursor on. A filter that is None lets everything through."""
        given = {name: value for name, value in query.items() if value is not None}
        condition, values = self._where(given)
        if asked.cursor is None:
            return self._page(condition, values, asked.page, asked.page_size)
        return self._stretch(condition, values, asked.cursor, asked.page_size)

    def _page(self, condition: str, values: list[Any], page: int, size: int) -> Page:
        # The ids are picked from an index first and the rows fetched by id, so that a deep page
        # doesn't drag every skipped row along. One more than asked for: is there another page?
        start = (page - 1) * size
        ids = self._ids(condition, [*values, size + 1, start], " OFFSET %s")
        if 0 < len(ids) <= size or (not ids and not start):
            total = start + len(ids)
        else:
            total = self._total(condition, values, seen=start + len(ids))
        return Page(self._told(ids[:size]), total, page, size)

    def _stretch(self, condition: str, values: list[Any], after: Cursor, size: int) -> Stretch:
        if after.created_at is not None:
            condition += " AND created_at <= %s AND (created_at < %s OR id < %s)"
            moment = self._value("created_at", after.created_at)
            values = [*values, moment, moment, str(after.id)]
        ids = self._ids(condition, [*values, size + 1], "")
        rows = self._told(ids[:size])
        following = None
        if len(ids) > size and rows:
            last = rows[-1]
            following = Cursor(datetime.fromisoformat(last["created_at"]), last["id"])
        return Stretch(rows, size, following)

    def _ids(self, condition: str, values: list[Any], more: str) -> list[str]:
        table = connection.ops.quote_name(self._model._meta.db_table)
        sql = f"SELECT id FROM {table} WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT %s"
        with connection.cursor() as cursor:
            cursor.execute(sql + more, values)
            return [key for (key,) in cursor.fetchall()]

    def _total(self, condition: str, values: list[Any], *, seen: int) -> int:
        """How many rows there are, exactly up to TOTAL_EXACT_MAX.

        Beyond, as many as are known to be there: who goes on page by page comes to the end all
        the same, and nobody waits for the counting of millions.
        """
        table = connection.ops.quote_name(self._model._meta.db_table)
        some = f"SELECT 1 FROM {table} WHERE {condition} LIMIT {TOTAL_EXACT_MAX + 1}"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM ({some}) some", values)
            counted = int(cursor.fetchone()[0])
        return counted if counted <= TOTAL_EXACT_MAX else max(TOTAL_EXACT_MAX, seen)

    def _where(self, given: Mapping[str, Any]) -> tuple[str, list[Any]]:
        values: list[Any] = []
        shape: list[tuple[str, int]] = []
        for name, value in given.items():
            column, comparison = self._filters[name]
            several: Sequence[Any] = value if comparison == "IN" else (value,)
            values += [self._value(column, one) for one in several]
            shape.append((name, len(several)))
        return self._condition(tuple(shape)), values

    def _condition_of(self, shape: _Shape) -> str:
        parts = ["1 = 1"]
        for name, count in shape:
            column, comparison = self._filters[name]
            places = f"({', '.join(['%s'] * count)})" if comparison == "IN" else "%s"
            parts.append(f"{connection.ops.quote_name(column)} {comparison} {places}")
        return " AND ".join(parts)

    def _value(self, column: str, value: Any) -> Any:
        field: Any = self._model._meta.get_field(column)
        return field.get_db_prep_value(value, connection)
