"""The statements of hot paths: built once from the models, sent through Django's cursor.

The ORM builds every statement anew, which was three quarters of what a payment cost
(docs/performance.md). Here the text is kept, and only the values go through the model's fields,
both ways, so that every database gets and gives what it would through the ORM. For whatever
moves money at every request; for everything else, the ORM.

Names come from models, never from input. Reads and writes go to the default database.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault
from django.db.transaction import TransactionManagementError

from tcmpay.common.fields import UUIDTextField

M = TypeVar("M", bound=models.Model)


def new_row(model: type[M], **values: Any) -> M:
    """A row to be inserted, its columns by their names; those that are left out have the model's
    defaults.

    Django's own way of making one, which also takes relations and everybody's signals, costs as
    much as sending it.
    """
    row = model.__new__(model)
    row._state = ModelState()
    facts = {name: make() if make else value for name, make, value in _defaults(model)}
    row.__dict__.update(facts | values)
    return row


def insert(*rows: models.Model) -> None:
    """Insert new rows of one model with one statement. All columns must have their values; those
    that are None everywhere are left to the database."""
    model = type(rows[0])
    fields = _fields(model)
    written = fields
    if len(rows) == 1:
        state = rows[0].__dict__
        written = tuple(one for one in fields if state[one.name] is not None or one.has_default)
    values = [_stored(one, row.__dict__[one.name]) for row in rows for one in written]
    sql = _insert_sql(model, tuple(one.column for one in written), len(rows))
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
    for row in rows:
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def update(model: type[models.Model], where: Mapping[str, Any], changes: Mapping[str, Any]) -> int:
    """Write ``changes`` to the rows whose columns equal ``where``; the number of rows."""
    return update_where(model, where, changes, "")


def update_where(
    model: type[models.Model], where: Mapping[str, Any], changes: Mapping[str, Any], more: str
) -> int:
    """As ``update``, where the SQL condition ``more``, a constant of ours, is true too."""
    sql = _update_sql(model, tuple(where), tuple(changes), more)
    values = _prepared(model, changes) + _prepared(model, where)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


@dataclass(frozen=True, slots=True)
class Beside:
    """What else a lock reads with its row: ``fields`` of the newest row that ``join``, a constant
    of ours, adds as ``beside`` from the table of ``model``.

    The newest has the highest first field. It is picked here: sorting a joined table costs
    MariaDB a temporary one.
    """

    model: type[models.Model]
    fields: tuple[str, ...]
    join: str


def lock(model: type[M], **where: Any) -> M | None:
    """The one row whose columns equal ``where``, locked and freshly read; None without one.

    Raises TransactionManagementError outside of a transaction, where a lock would not last.
    """
    _ensure_in_unit()
    with connection.cursor() as cursor:
        cursor.execute(_lock_sql(model, tuple(where), None), _prepared(model, where))
        found = cursor.fetchone()
    return None if found is None else _row(model, found)


def lock_with(
    model: type[M], where: Mapping[str, Any], beside: Beside, values: Sequence[Any]
) -> tuple[M | None, list[Any]]:
    """As ``lock``, and the fields ``beside``, None without such a row; ``values`` are its join's.

    One locking read: both are as they were committed last.
    """
    _ensure_in_unit()
    with connection.cursor() as cursor:
        sql = _lock_sql(model, tuple(where), beside)
        cursor.execute(sql, [*values, *_prepared(model, where)])
        rows = cursor.fetchall()
    if not rows:
        return None, []
    size = len(_columns(model))
    found = max(rows, key=lambda row: row[size] or 0) if len(rows) > 1 else rows[0]
    readers = _readers(beside.model, beside.fields, connection.vendor)
    return _row(model, found[:size]), _read(readers, found[size:])


def _ensure_in_unit() -> None:
    if not connection.in_atomic_block:
        raise TransactionManagementError("rows are locked in a transaction")


# --- built once ----------------------------------------------------------------------------------


# Makes of a value of exactly this type what the driver is given; None: the value as it is.
Way = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class _Column:
    """A column, and how values of each type are stored; of other types, its field knows."""

    name: str
    column: str
    field: Any
    has_default: bool
    ways: Mapping[type, Way]


def _stored(one: _Column, value: Any) -> Any:
    kind = type(value)
    if kind in one.ways:
        way = one.ways[kind]
        return value if way is None else way(value)
    if isinstance(value, str) and str in one.ways:  # a choice
        return str.__str__(value)
    if isinstance(value, DatabaseDefault):
        raise ValueError(f"no value for {one.field.model.__name__}.{one.name}")
    return one.field.get_db_prep_save(value, connections[DEFAULT_DB_ALIAS])


def _utc_text(moment: datetime) -> str:
    """As both backends send it whose sessions are in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _ways_of(field: Any) -> dict[type, Way]:
    """The short ways; a test compares every one with the field's own."""
    ways: dict[type, Way] = {type(None): None}
    kind = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(kind, UUIDTextField):
        ways[UUID] = str
    elif isinstance(kind, models.CharField | models.TextField):
        ways[str] = None
    elif isinstance(kind, models.BooleanField):
        ways[bool] = None
    elif isinstance(kind, models.IntegerField):
        ways[int] = None
    elif isinstance(kind, models.DateTimeField):
        ways[datetime] = _utc_text
    elif isinstance(kind, models.DateField):
        ways[date] = date.isoformat
    elif isinstance(kind, models.DecimalField) and connection.vendor == "mysql":
        ways[Decimal] = None
    return ways


@cache
def _fields(model: type[models.Model]) -> tuple[_Column, ...]:
    fields = model._meta.concrete_fields
    return tuple(_column_of(model, field.attname) for field in fields if not field.generated)


@cache
def _column_of(model: type[models.Model], name: str) -> _Column:
    field = _field(model, name)
    has_default = field.db_default is not models.NOT_PROVIDED
    return _Column(field.attname, field.column, field, has_default, _ways_of(field))


@cache
def _defaults(
    model: type[models.Model],
) -> tuple[tuple[str, Callable[[], Any] | None, Any], ...]:
    """Each column's name, and what makes its default, or the default itself."""
    found: list[tuple[str, Callable[[], Any] | None, Any]] = []
    for field in model._meta.concrete_fields:
        default: Any = field.get_default()
        is_made = callable(field.default) or isinstance(default, DatabaseDefault)
        found.append((field.attname, field.get_default if is_made else None, default))
    return tuple(found)


@cache
def _columns(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


def _row(model: type[M], found: Sequence[Any]) -> M:
    names = _columns(model)
    values = _read(_readers(model, names, connection.vendor), found)
    row = model.__new__(model)
    row._state = ModelState()
    row._state.adding, row._state.db = False, connection.alias
    row.__dict__.update(zip(names, values, strict=True))
    return row


def _read(readers: Sequence[Callable[[Any], Any] | None], found: Sequence[Any]) -> list[Any]:
    return [read(value) if read else value for read, value in zip(readers, found, strict=True)]


@cache
def _readers(
    model: type[models.Model], names: tuple[str, ...], _vendor: str
) -> list[Callable[[Any], Any] | None]:
    return [_reader(_field(model, name)) for name in names]


def _reader(field: Any) -> Callable[[Any], Any] | None:
    """What makes of the driver's value the model's."""
    expression = field.get_col(field.model._meta.db_table)
    converters = [
        *connection.ops.get_db_converters(expression),
        *expression.get_db_converters(connection),
    ]
    if not converters:
        return None

    def read(value: Any) -> Any:
        for convert in converters:
            value = convert(value, expression, connection)
        return value

    return read


@cache
def _insert_sql(model: type[models.Model], columns: tuple[str, ...], rows: int) -> str:
    quoted = [connection.ops.quote_name(column) for column in columns]
    row = f"({', '.join(['%s'] * len(quoted))})"
    table = connection.ops.quote_name(model._meta.db_table)
    return f"INSERT INTO {table} ({', '.join(quoted)}) VALUES {', '.join([row] * rows)}"


@cache
def _update_sql(
    model: type[models.Model], where: tuple[str, ...], changes: tuple[str, ...], more: str
) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    written = ", ".join(f"{_column(model, name)} = %s" for name in changes)
    return f"UPDATE {table} SET {written} WHERE {_condition(model, where)}{more and f' AND {more}'}"


@cache
def _lock_sql(model: type[models.Model], where: tuple[str, ...], beside: Beside | None) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    columns = [f"{table}.{_column(model, name)}" for name in _columns(model)]
    join = ""
    if beside:
        columns += [f"beside.{_column(beside.model, name)}" for name in beside.fields]
        join = f" {beside.join}"
    # SQLite's units hold the one lock there is from their beginning.
    tail = " FOR UPDATE" if connection.features.has_select_for_update else ""
    return f"SELECT {', '.join(columns)} FROM {table}{join} WHERE {_condition(model, where)}{tail}"


def _condition(model: type[models.Model], names: tuple[str, ...]) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    return " AND ".join(f"{table}.{_column(model, name)} = %s" for name in names)


@cache
def _column(model: type[models.Model], name: str) -> str:
    return connection.ops.quote_name(_field(model, name).column)


@cache
def _field(model: type[models.Model], name: str) -> Any:
    if name == "pk":
        return model._meta.pk
    fields = model._meta.concrete_fields
    return next(field for field in fields if name in (field.name, field.attname))


def _prepared(model: type[models.Model], values: Mapping[str, Any]) -> list[Any]:
    return [_stored(_column_of(model, name), value) for name, value in values.items()]
