"""Rows as an answer writes them: queries of the ORM that are compiled once and asked by keys alone.

For what is read at nearly every request. Compiling an order's query took half of the time of
answering with it, and making model values (UUIDs, moments, decimals) of what was written out again
at once most of the rest (docs/performance.md). So each column is made what the contract writes
(``presenters.present``) straight from the driver's value, with shorter ways where its text is the
answer already; a test compares both.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import (
    CharField,
    DateTimeField,
    DecimalField,
    F,
    Func,
    IntegerField,
    Model,
    QuerySet,
)

from tcmpay.common.api.presenters import present
from tcmpay.common.fields import FenField, UUIDTextField, as_uuid_or_text
from tcmpay.common.ids import new_id
from tcmpay.common.money import format_money

Convert = Callable[[Any], Any]
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class MomentText(Func):
    """A moment (UTC) as the contract writes it, written by MariaDB or MySQL."""

    output_field = CharField()
    template = "DATE_FORMAT(%(expressions)s, '%%%%Y-%%%%m-%%%%dT%%%%H:%%%%i:%%%%s.%%%%fZ')"


class AnswersByKey:
    """The ``columns`` (of the model, or annotated; the first is ``id``) of ``rows()`` as an answer
    holds them, by the primary keys asked for."""

    def __init__(self, rows: Callable[[], QuerySet[Any]], columns: Iterable[str]) -> None:
        self._rows = rows
        self._columns = tuple(columns)
        # One text for each number of keys: a page has at most a hundred.
        self._compiled = cache(self._compile)

    def __call__(self, keys: Sequence[UUID | str]) -> list[dict[str, Any]]:
        """The rows of ``keys`` in their order; those that are not there are left out."""
        if not keys:
            return []
        sql, parameters, places, converters = self._compiled(len(keys), connection.vendor)
        asked = list(parameters)
        for place, key in zip(places, keys, strict=True):
            asked[place] = str(key)
        with connection.cursor() as cursor:
            cursor.execute(sql, asked)
            found = cursor.fetchall()
        answers: dict[str, dict[str, Any]] = {}
        for row in found:
            values = list(row)
            for place, convert in converters:
                if values[place] is not None:
                    values[place] = convert(values[place])
            answers[values[0]] = dict(zip(self._columns, values, strict=True))
        wanted = (_uuid_text(str(key)) for key in keys)
        return [answers[key] for key in wanted if key in answers]

    def one(self, key: UUID) -> dict[str, Any] | None:
        found = self([key])
        return found[0] if found else None

    def _compile(
        self, size: int, vendor: str
    ) -> tuple[str, tuple[Any, ...], list[int], list[tuple[int, Convert]]]:
        """The text, its parameters, where among them the keys are, and what makes answers of the
        columns of which something has to be made."""
        stand_ins = [new_id() for _key in range(size)]
        rows = self._rows().order_by().filter(pk__in=stand_ins)
        moments = _moments(rows.model) if vendor == "mysql" else frozenset()
        selected = (MomentText(F(name)) if name in moments else name for name in self._columns)
        query = rows.values_list(*selected).query
        compiler = query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        places = [parameters.index(str(key)) for key in stand_ins]
        expressions = [expression for expression, _sql, _alias in compiler.select]
        return sql, tuple(parameters), places, list(_converters(expressions))


def _moments(model: type[Model]) -> frozenset[str]:
    fields = model._meta.concrete_fields
    return frozenset(field.attname for field in fields if isinstance(field, DateTimeField))


def _converters(expressions: Sequence[Any]) -> Iterable[tuple[int, Convert]]:
    for place, expression in enumerate(expressions):
        field = expression.output_field
        if shorter := next((way for kind, way in _SHORTER if isinstance(field, kind)), None):
            yield place, shorter
            continue
        steps = [
            *connection.ops.get_db_converters(expression),
            *expression.get_db_converters(connection),
        ]
        if not steps and isinstance(field, DecimalField):
            yield place, format_money
        elif steps or not isinstance(field, CharField):
            yield place, _presented(expression, steps)


def _uuid_text(text: str) -> str:
    return text if _UUID.fullmatch(text) else str(as_uuid_or_text(text))


def _fen_text(fen: int) -> str:
    yuan, rest = divmod(int(fen), 100)  # MariaDB gives a Decimal
    return f"{yuan}.{rest:02d}"


_SHORTER: Sequence[tuple[type[Any], Convert]] = (
    (UUIDTextField, _uuid_text),
    (FenField, _fen_text),
    (IntegerField, int),
)


def _presented(expression: Any, steps: Sequence[Any]) -> Convert:
    def convert(value: Any) -> Any:
        for step in steps:
            value = step(value, expression, connection)
        return present(value)

    return convert
