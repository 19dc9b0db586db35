"""What is sent to the stand-in is checked against JSON Schema, without floats or guesses."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match


class NotAllowed(ValueError):
    """What was sent can't be taken; the message says where and why."""


def first_error(
    schema: dict[str, Any], value: Any, formats: FormatChecker | None = None
) -> ValidationError | None:
    return best_match(Draft202012Validator(schema, format_checker=formats).iter_errors(value))


def check(schema: dict[str, Any], value: Any) -> None:
    """Raises NotAllowed."""
    if error := first_error(schema, value):
        raise NotAllowed(f"{error.json_path.removeprefix('$.')}: {error.message}"[:300])


def fields(required: str = "", /, **properties: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }
