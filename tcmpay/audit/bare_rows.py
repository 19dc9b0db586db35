"""Rows as the driver hands them out, for the audit's quick looks at every row.

A quick look only says whether a row is exactly as the services write it: what it computes is
compared with a keyed digest, so a value that it reads in another way than the models do makes the
digest differ. Whatever is not plainly right is judged again by the models in ``checks``.
"""

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from django.db import connections, models

from tcmpay.audit.macs import mac_reader
from tcmpay.audit.row_digests import told_fields
from tcmpay.common.fields import UUIDTextField
from tcmpay.common.invariants import Scope, batches, rows_in_chunks


def encoder(*, sort_keys: bool) -> Callable[[Any], bytes]:
    """Writes JSON as digests are made of it, with one C encoder for all values.

    ``macs.canonical`` makes one for each, which costs more than what it writes here.
    """
    each = json.JSONEncoder(ensure_ascii=False, sort_keys=sort_keys, separators=(",", ":"))
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda value: each.encode(value).encode()
    parts = make(
        None, each.default, json.encoder.encode_basestring, None, ":", ",", sort_keys, False, True
    )
    return lambda value: "".join(parts(value, 0)).encode()


ENCODE = encoder(sort_keys=False)
ENCODE_SORTED = encoder(sort_keys=True)
DECODE = json.JSONDecoder().raw_decode
# As ``row_digests`` writes a JSON column, whose text is one fact.
_JSON_TEXT = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
IDS_AT_ONCE = 500


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
        return f"{value[:10]}T{value[11:]}+00:00"
    if len(value) == 19:
        return f"{value[:10]}T{value[11:]}.000000+00:00"
    raise Odd(value)


def moment_of(value: str) -> datetime:
    """A bare moment as the models give it."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


# --- rows of one model ----------------------------------------------------------------------


class BareTable:
    """Bare rows of ``model`` with an attribute for each column, and whether digests are theirs."""

    def __init__(self, model: type[models.Model], using: str) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self.columns = tuple(_column(field, using) for field in fields)
        bare: Any = namedtuple("Bare", [field.attname for field in fields])  # type: ignore[misc]
        self.make = bare._make
        key = model._meta.pk
        assert key is not None
        self._key = fields.index(key)
        places = {field.attname: number for number, field in enumerate(fields)}
        by_name = {field.attname: field for field in fields}
        self._facts = tuple(
            (places[name], name, _reader(by_name[name]), default)
            for name, _prepared, default in sorted(told_fields(model), key=itemgetter(0))
        )
        self._holds = mac_reader(f"row:{model._meta.db_table}")

    def rows(self, scope: Scope, where: str = "", values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Every row by its primary key, a bounded number at a time."""
        key = self.columns[self._key]
        columns = (key, *self.columns)
        found = rows_in_chunks(
            scope, table=self._model._meta.db_table, columns=columns, where=where, values=values
        )
        for row in found:
            yield self.make(row[1:])

    def holds(self, row: Any, stored: str, **more: str) -> bool:
        """Whether ``stored`` is the digest of the row, which must not be open (``is_open``), and
        of ``more``."""
        facts: dict[str, Any] = {}
        try:
            for place, name, read, default in self._facts:
                value = row[place]
                if value is not None and value != default:
                    value = read(value)
                    if value is not None:
                        facts[name] = value
            content = [row[self._key], facts]
            if more:
                facts |= more
                return self._holds(ENCODE_SORTED(content), stored)
            return self._holds(ENCODE(content), stored)
        except (ValueError, TypeError, ArithmeticError, UnicodeError):
            return False


def _column(field: Any, using: str) -> str:
    is_moment = isinstance(field, models.DateField)
    return moment_column(using, field.column) if is_moment else str(field.column)


def _reader(field: Any) -> Callable[[Any], Any]:
    """What makes of a bare value the fact that ``row_digests`` makes of it."""
    field = field.target_field if field.is_relation else field
    if isinstance(field, models.DateTimeField):
        return moment_text
    if isinstance(field, models.DateField):
        return _text
    if isinstance(field, models.DecimalField):
        return _decimal_reader(field.decimal_places)
    if isinstance(field, models.BooleanField):
        return _boolean
    if isinstance(field, models.JSONField):
        return _json
    if isinstance(field, models.IntegerField):
        return _whole
    if isinstance(field, models.CharField | models.TextField | UUIDTextField):
        return _text
    raise TypeError(f"no bare reading of {field}")


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise Odd(value)


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    raise Odd(value)


def _boolean(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise Odd(value)


def json_of(text: str) -> Any:
    """What a JSON column says; raises Odd for what Django does not write."""
    found, end = DECODE(text)
    if end != len(text):
        raise Odd(text)
    return found


def _json(value: Any) -> str | None:
    found = json_of(value)
    return None if found is None else _JSON_TEXT(found)


def _decimal_reader(places: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = f"{value:.{places}f}"
        return text.rstrip("0").rstrip(".") if places else text

    return read


# --- rows by their ids ---------------------------------------------------------------------


def bare_rows_of(
    using: str, table: str, columns: str, key: str, ids: Iterable[str], where: str = ""
) -> Iterator[tuple[Any, ...]]:
    """``columns`` of the rows whose ``key`` is one of ``ids``; names are ours, never input."""
    more = f" AND {where}" if where else ""
    yield from rows_among(using, f"SELECT {columns} FROM {table} WHERE {key} IN ({{}}){more}", ids)


def rows_among(using: str, sql: str, ids: Iterable[str], *first: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of ``sql``, in which ``{}`` stands for some of ``ids`` at a time."""
    for batch in batches(ids, IDS_AT_ONCE):
        with connections[using].cursor() as cursor:
            cursor.execute(sql.format(", ".join(["%s"] * len(batch))), [*first, *batch])
            yield from cursor.fetchall()
