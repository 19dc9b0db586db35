"""Rows as the driver hands them out, for the audit's quick looks at every row.

A quick look only says whether a row is exactly as the services write it: what it computes is
compared with a keyed digest, so a value that it reads in another way than the models do makes the
digest differ. Whatever is not plainly right is judged again by the models in ``checks``.
"""

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any

import orjson
from django.db import connections, models

from tcmpay.audit.macs import mac_reader
from tcmpay.audit.row_digests import told_fields
from tcmpay.common.fields import UUIDTextField
from tcmpay.common.invariants import CHUNK, Scope, batches, rows_in_chunks
from tcmpay.common.money import format_money

# Ten times as quick as ``macs.canonical``, which writes the same bytes. Numbers that it writes in
# another way are none that the services write: with them the digest differs, and the models look.
ENCODE, DECODE = orjson.dumps, orjson.loads
ENCODE_SORTED = partial(orjson.dumps, option=orjson.OPT_SORT_KEYS)
# As ``row_digests`` writes a JSON column, whose text is one fact.
_JSON_TEXT = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
IDS_AT_ONCE = 500
# More rows of a few objects than so many of each are not read at once.
ROWS_AN_ID = 20


class Odd(ValueError):
    """A value that the services never write: to be judged by the models."""


# --- moments --------------------------------------------------------------------------------


def moment_column(using: str, name: str) -> str:
    """The column's text, which nobody parses in vain."""
    text = "TEXT" if connections[using].vendor == "sqlite" else "CHAR"
    return f"CAST({name} AS {text})"


def bare_moment(moment: datetime) -> str:
    """``moment`` as such a column reads, to compare with and to ask by."""
    return str(moment.astimezone(UTC).replace(tzinfo=None))


def moment_text(value: str) -> str:
    """A bare moment as digests write it: in UTC, with microseconds."""
    if len(value) == 26:
        return value.replace(" ", "T") + "+00:00"
    if len(value) == 19:
        return value.replace(" ", "T") + ".000000+00:00"
    raise Odd(value)


def moment_of(value: str) -> datetime:
    """A bare moment as the models give it."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


# --- amounts --------------------------------------------------------------------------------


def amount_column(using: str, name: str) -> str:
    """The column's text on MariaDB, for which nobody makes a Decimal in vain."""
    return name if connections[using].vendor == "sqlite" else f"CAST({name} AS CHAR)"


def amount_text(value: Any) -> str:
    """A bare amount with two places, as digests and people write it."""
    return value if type(value) is str else format_money(value)


# --- rows of one model ----------------------------------------------------------------------


class BareTable:
    """Bare rows of ``model`` with an attribute for each column, and whether digests are theirs."""

    def __init__(self, model: type[models.Model], using: str) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        told = told_fields(model)
        names = {name for name, _prepared, _default in told}
        self.columns = tuple(_column(field, using, field.attname in names) for field in fields)
        bare: Any = namedtuple("Bare", [field.attname for field in fields])  # type: ignore[misc]
        self.make = bare._make
        key = model._meta.pk
        assert key is not None
        self._key = fields.index(key)
        places = {field.attname: number for number, field in enumerate(fields)}
        by_name = {field.attname: field for field in fields}
        # In the order in which digests name them, so that nobody sorts them for every row.
        named = sorted(told, key=itemgetter(0))
        self._told = tuple((name, default, _reader(by_name[name])) for name, _, default in named)
        self._values = _getter([places[name] for name, _default, _read in self._told])
        self._holds = mac_reader(f"row:{model._meta.db_table}")

    def rows(
        self, scope: Scope, where: str = "", values: tuple[Any, ...] = (), size: int = CHUNK
    ) -> Iterator[Any]:
        """Every row by its primary key, a bounded number at a time."""
        key = self.columns[self._key]
        columns = (key, *self.columns)
        table = self._model._meta.db_table
        found = rows_in_chunks(
            scope, table=table, columns=columns, where=where, values=values, size=size
        )
        for row in found:
            yield self.make(row[1:])

    def holds(self, row: Any, stored: str, **more: str) -> bool:
        """Whether ``stored`` is the digest of the row, which must not be open (``is_open``), and
        of ``more``."""
        try:
            facts = {}
            for value, (name, default, read) in zip(self._values(row), self._told, strict=True):
                if value is not None and value != default:
                    facts[name] = value if read is None else read(value)
            encode = ENCODE_SORTED if more else ENCODE
            return self._holds(encode([row[self._key], facts | more]), stored)
        except (ValueError, TypeError, ArithmeticError, UnicodeError):
            return False


def _getter(places: list[int]) -> Callable[[Any], tuple[Any, ...]]:
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places)


def _column(field: Any, using: str, is_told: bool) -> str:
    column = str(field.column)
    if isinstance(field, models.DateField):
        return moment_column(using, column)
    if isinstance(field, models.DecimalField) and is_told:
        return amount_column(using, column)
    return column


def _reader(field: Any) -> Callable[[Any], Any] | None:
    """What makes of a bare value the fact that ``row_digests`` makes of it; None: it is the fact,
    or something that is written in another way."""
    field = field.target_field if field.is_relation else field
    if isinstance(field, models.DateTimeField):
        return moment_text
    if isinstance(field, models.DecimalField):
        return _decimal_reader(field.decimal_places)
    if isinstance(field, models.BooleanField):
        return _boolean
    if isinstance(field, models.JSONField):
        return _json
    if isinstance(
        field,
        models.DateField
        | models.IntegerField
        | models.CharField
        | models.TextField
        | UUIDTextField,
    ):
        return None
    raise TypeError(f"no bare reading of {field}")


def _boolean(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise Odd(value)


def _json(value: Any) -> str:
    found = DECODE(value)
    if found is None:
        raise Odd(value)
    return _JSON_TEXT(found)


def _decimal_reader(places: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = value if type(value) is str else f"{value:.{places}f}"
        return text.rstrip("0").rstrip(".") if places else text

    return read


# --- rows by their ids ---------------------------------------------------------------------


def rows_of(
    scope: Scope, select: str, key: str, ids: Sequence[str], where: str = "", order: str = ""
) -> list[Any]:
    """The rows of ``select`` whose ``key`` is one of ``ids``, which are in the order of the
    database, and perhaps others that lie among them; names are ours, never input.

    Where ``ids`` are all that there are, one look from the first to the last is several times
    quicker for the database than one for each.
    """
    more = f" AND {where}" if where else ""
    tail = f"{more} ORDER BY {order}" if order else more
    if scope.since is None and ids:
        limit = ROWS_AN_ID * len(ids)
        sql = f"{select} WHERE {key} BETWEEN %s AND %s{tail} LIMIT {limit}"
        rows = _fetched(scope.using, sql, (ids[0], ids[-1]))
        if len(rows) < limit:
            return rows
    return list(rows_among(scope, select, key, ids, where, order))


def rows_among(
    scope: Scope, select: str, key: str, ids: Iterable[str], where: str = "", order: str = ""
) -> Iterator[Any]:
    """The same, of these ``ids`` alone, in any order; as many as there are."""
    more = f" AND {where}" if where else ""
    tail = f"{more} ORDER BY {order}" if order else more
    for batch in batches(ids, IDS_AT_ONCE):
        sql = f"{select} WHERE {key} IN ({', '.join(['%s'] * len(batch))}){tail}"
        yield from _fetched(scope.using, sql, batch)


def same_id(using: str) -> Callable[[str], str]:
    """MariaDB finds an id in capitals too, as the models do; SQLite does not."""
    return str if connections[using].vendor == "sqlite" else str.lower


def _fetched(using: str, sql: str, values: Sequence[Any]) -> list[Any]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[Any] = cursor.fetchall()
    return rows
