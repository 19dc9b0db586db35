"""Output: how the values of our rows are written in an answer."""

from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from rest_framework.serializers import Serializer

from tcmpay.common.money import format_money


def present(value: Any) -> Any:
    """One value as the contract writes it: money with two places, times in UTC with ``Z``."""
    if isinstance(value, Decimal):
        return format_money(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06d}Z"
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str | dict | list):
        return value
    return str(value)


def present_row(row: Any, schema: type[Serializer], **more: Any) -> dict[str, Any]:
    """``row`` as ``schema`` describes the answer; ``more``: fields that the row does not have."""
    return {
        name: present(more[name] if name in more else getattr(row, name))
        for name in field_names(schema)
    }


@cache
def field_names(schema: type[Serializer]) -> tuple[str, ...]:
    """What an answer of this kind holds, in its order."""
    return tuple(schema().fields)
