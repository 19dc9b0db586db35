"""What a row says, as one digest that its trail keeps: a change of the row by SQL shows.

The digest is made with the row's audit event, in the same commit, and covers every column but
those that the model names in ``UNTOLD_FIELDS``: they change without an event. Those that it names
in ``UNTOLD_WHILE_OPEN`` are left out as long as the row ``is_open``.
"""

import json
from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import DecimalField, JSONField, Model

from tcmpay.audit.macs import row_mac, row_mac_holds

# Where an event's details keep the digest of the row that it tells of.
ROW = "row"


def row_digest(row: Model, **more: str) -> str:
    """The digest of what ``row`` says now, bound to its table and key, and of ``more``."""
    return row_mac(row._meta.db_table, row.pk, row_facts(row) | more)


def row_digest_holds(row: Model, stored: str, **more: str) -> bool:
    return row_mac_holds(row._meta.db_table, row.pk, row_facts(row) | more, stored)


def row_facts(row: Model) -> dict[str, Any]:
    """What ``row`` says, by column; what is empty, or the column's default, is left out.

    So a column that is added later, empty or with its default in the rows there are, changes no
    digest that was made before.
    """
    facts: dict[str, Any] = {}
    untold: frozenset[str] = getattr(row, "UNTOLD_WHILE_OPEN", frozenset())
    is_open = bool(untold) and row.is_open  # type: ignore[attr-defined]
    for name, prepared, default in told_fields(type(row)):
        value = getattr(row, name)
        if value is not None and value != default and not (is_open and name in untold):
            facts[name] = prepared(value)
    return facts


@cache
def told_fields(model: type[Model]) -> tuple[tuple[str, Any, Any], ...]:
    """Of each column that digests cover: its name, what prepares its value, its default."""
    untold: frozenset[str] = getattr(model, "UNTOLD_FIELDS", frozenset())
    return tuple(
        (field.attname, _prepared_by(field), _default_of(field))
        for field in model._meta.concrete_fields
        if field.name not in untold and not field.primary_key
    )


def _prepared_by(field: Any) -> Any:
    """What makes a value the same before it is stored and after it was read."""
    if isinstance(field, JSONField):
        return json_text
    if isinstance(field, DecimalField):
        unit = Decimal(1).scaleb(-field.decimal_places)
        return lambda value: value.quantize(unit)
    return (field.target_field if field.is_relation else field).get_prep_value


def _default_of(field: Any) -> Any:
    return field.default if field.has_default() and not callable(field.default) else None


def json_text(value: Any) -> str:
    # In ASCII: a gateway's JSON may hold half of a surrogate pair, which no encoding takes.
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
