"""Output: how the values of our rows are written in an answer."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

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


def present_row(row: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    """The named ``fields`` of a model instance or mapping, presented."""
    if isinstance(row, dict):
        return {field: present(row[field]) for field in fields}
    return {field: present(getattr(row, field)) for field in fields}
