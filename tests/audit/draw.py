"""Changes by SQL, drawn from the schema: one value, one row, one text at a time.

For every column of a table the kinds of its class are tried: money up and down, states to each
other, persons to somebody else and to nobody, times by a day and away, numbers and digits, texts
and JSON altered, cut and emptied. Rows are deleted and doubled.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, connection, models
from django.db.transaction import atomic

from backoffice.ops.audit import CHECKS
from tcmpay.common.fields import UUIDTextField
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Check, Scope
from tests.audit.books import unchecked

Value = Any
Kinds = dict[str, Callable[[Value], Value]]
REFUSED = "refused by the database"


@dataclass(frozen=True)
class Change:
    """One statement of an intruder: ``column`` and ``value``, or a row deleted or doubled."""

    model: type[models.Model]
    kind: str
    pk: Any
    field: Any = None
    value: Any = None
    before: Any = None

    @property
    def where(self) -> str:
        table = self.model._meta.db_table
        return f"{table}.{self.field.column}" if self.field else f"{table} ({self.kind})"

    def __str__(self) -> str:
        if self.field is None:
            return f"{self.where} {self.pk}"
        return f"{self.where} {self.kind}: {self.before!r} → {self.value!r} ({self.pk})"

    def make(self) -> None:
        """Raises DatabaseError where even an intruder is refused (UNIQUE, NOT NULL)."""
        rows = self.model._default_manager.filter(pk=self.pk)
        if self.kind == "deleted":
            rows._raw_delete(rows.db)
        elif self.kind == "doubled":
            self._double()
        else:
            rows.update(**{self.field.attname: self.value})

    def _double(self) -> None:
        row = self.model._default_manager.get(pk=self.pk)
        for field in self.model._meta.concrete_fields:
            if field.unique or field.name in _last_of_unique_sets(self.model):
                setattr(row, field.attname, _another(field, getattr(row, field.attname)))
        row.save(force_insert=True)


def drawn(model: type[models.Model], dice: random.Random, *, all_kinds: bool) -> Iterator[Change]:
    """Changes of every column of ``model``, and of whole rows; one kind each, or all of them."""
    rows = list(model._default_manager.order_by("pk"))
    for field in model._meta.concrete_fields:
        if field.primary_key or field.generated:
            continue
        found = [
            change
            for kind, alter in _kinds(field).items()
            if (change := _change(model, field, kind, alter, rows, dice))
        ]
        yield from found if all_kinds else dice.sample(found, min(1, len(found)))
    for kind in ("deleted", "doubled"):
        yield Change(model, kind, dice.choice(rows).pk)


def _change(
    model: type[models.Model],
    field: Any,
    kind: str,
    alter: Callable[[Value], Value],
    rows: list[Any],
    dice: random.Random,
) -> Change | None:
    for row in dice.sample(rows, len(rows)):
        before = getattr(row, field.attname)
        value = alter(before)
        if value != before and (value is not None or field.null):
            return Change(model, kind, row.pk, field, value, before)
    return None


def noticed(change: Change) -> str:
    """What a strict audit says first; "" when it notices nothing."""
    with rolled_back():
        try:
            with atomic():
                change.make()
        except DatabaseError:
            return REFUSED
        return next((" ".join(found) for found in findings(change.model)), "")


# Which check noticed a change of each table last: the next one is shown to it first.
NOTICED: dict[type[models.Model], Check] = {}


def findings(model: type[models.Model] | None = None) -> Iterator[tuple[str, ...]]:
    """What a strict audit says, check by check, those that are about ``model`` first; without
    notices."""

    def is_far(check: Check) -> tuple[bool, bool]:
        room = model._meta.app_label if model else ""
        return check is not NOTICED.get(model), not check.__module__.startswith(room)

    for check in sorted(CHECKS, key=is_far):
        for found in check(Scope()):
            if not found.is_notice:
                NOTICED[model] = check
                yield found.code, found.object_type, found.object_id, str(found.message)


@contextmanager
def rolled_back() -> Iterator[None]:
    with unchecked(), connection.constraint_checks_disabled(), atomic():
        yield
        connection.set_rollback(True)


# --- what may be done to a value ----------------------------------------------------------------


def _kinds(field: Any) -> Kinds:
    if isinstance(field, UUIDTextField) or field.is_relation:
        return {"somebody else": _somebody_else(field), "nobody": lambda value: None}
    if field.choices:
        return {
            f"state {state}": (lambda value, state=state: None if value is None else state)
            for state, _name in field.choices
        }
    if isinstance(field, models.JSONField):
        return {"altered": _altered, "cut": _cut_json, "away": lambda value: None}
    for kind, found in KINDS.items():
        if isinstance(field, kind):
            return found
    raise TypeError(f"no changes for {field}")


def _somebody_else(field: Any) -> Callable[[Value], Value]:
    def changed(value: Value) -> Value:
        if field.is_relation and value is not None:
            others = field.related_model._default_manager.exclude(pk=value)
            return others.order_by("pk").values_list("pk", flat=True).first() or new_id()
        return uuid.UUID("0192f0c1-0000-7000-8000-00000000abcd")

    return changed


def _digits(value: str | None) -> str | None:
    """The last digit (or letter) another one."""
    for index in range(len(value or "") - 1, -1, -1):
        mark = value[index]
        if mark.isascii() and mark.isalnum():
            return value[:index] + ("7" if mark != "7" else "3") + value[index + 1 :]
    return value


def _altered(value: Value) -> Value:
    return value | {"extra": 1} if isinstance(value, dict) else value


def _cut_json(value: Value) -> Value:
    return dict(list(value.items())[:-1]) if isinstance(value, dict) and value else value


def _when(value: Value, change: Callable[[Value], Value]) -> Value:
    return None if value is None else change(value)


KINDS: dict[type[models.Field], Kinds] = {
    models.DecimalField: {
        "a cent more": lambda value: _when(value, lambda sum_: sum_ + Decimal("0.01")),
        "a cent less": lambda value: _when(value, lambda sum_: sum_ - Decimal("0.01")),
        "ten times": lambda value: _when(value, lambda sum_: sum_ * 10),
    },
    models.BooleanField: {
        "flipped": lambda value: _when(value, lambda flag: not flag),
        "away": lambda value: None,
    },
    models.DateTimeField: {
        "a day later": lambda value: _when(value, lambda moment: moment + timedelta(days=1)),
        "a day earlier": lambda value: _when(value, lambda moment: moment - timedelta(days=1)),
        "away": lambda value: None,
        "made up": lambda value: value or datetime.fromisoformat("2026-01-02T03:04:05+00:00"),
    },
    models.DateField: {
        "a day later": lambda value: _when(value, lambda day: day + timedelta(days=1)),
        "a day earlier": lambda value: _when(value, lambda day: day - timedelta(days=1)),
        "away": lambda value: None,
        "made up": lambda value: value or date(2026, 1, 2),
    },
    models.IntegerField: {
        "one more": lambda value: _when(value, lambda number: number + 1),
        "one less": lambda value: _when(value, lambda number: max(number - 1, 0)),
    },
    models.CharField: {
        "another digit": _digits,
        "cut": lambda value: _when(value, lambda text: text[: len(text) // 2]),
        "emptied": lambda value: _when(value, lambda text: ""),
        "made up": lambda value: value or "made up",
    },
}
KINDS[models.TextField] = KINDS[models.CharField]


def _last_of_unique_sets(model: type[models.Model]) -> set[str]:
    return {
        constraint.fields[-1]
        for constraint in model._meta.constraints
        if isinstance(constraint, models.UniqueConstraint)
    }


def _another(field: Any, value: Value) -> Value:
    """A value that is there only once."""
    if value is None:
        return None
    if isinstance(field, UUIDTextField) or field.is_relation:
        return new_id()
    if isinstance(field, models.DateField):
        return value + timedelta(days=400)
    if isinstance(field, models.IntegerField):
        return value + 1000
    return f"X{uuid.uuid4().hex}"[: field.max_length]
