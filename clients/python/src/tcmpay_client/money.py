"""Amounts: ``Decimal`` in yuan here, texts with two places on the wire, never a float."""

import re
from decimal import Decimal
from typing import Any

_TEXT = re.compile(r"[0-9]{1,16}\.[0-9]{2}", re.ASCII)
_CENT = Decimal("0.01")


def yuan(text: str) -> Decimal:
    """The amount that the API writes as ``text``. Raises ValueError."""
    if not _TEXT.fullmatch(text):
        raise ValueError(f"not an amount: {text!r}")
    return Decimal(text)


def amount_text(amount: Decimal) -> str:
    """``amount`` as the API takes it. Raises ValueError: not finite, or more than two places."""
    if not amount.is_finite() or amount != amount.quantize(_CENT):
        raise ValueError(f"not an amount in yuan and fen: {amount}")
    return f"{amount.quantize(_CENT):f}"


def without_decimals(value: Any) -> Any:
    """``value`` as it is sent. Raises TypeError for a float: its fen are a matter of luck."""
    if isinstance(value, Decimal):
        return amount_text(value)
    if isinstance(value, float):
        raise TypeError("amounts are Decimal or text, never float")
    if isinstance(value, dict):
        # What a caller keeps with an order is the caller's own.
        return {
            name: one if name == "metadata" else without_decimals(one)
            for name, one in value.items()
        }
    return [without_decimals(one) for one in value] if isinstance(value, list | tuple) else value


def with_decimals(value: Any, names: frozenset[str]) -> Any:
    """``value`` as it came, the amounts in fields called one of ``names`` as Decimal."""
    if isinstance(value, list):
        return [with_decimals(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: yuan(one)
        if name in names and isinstance(one, str)
        else (one if name == "metadata" else with_decimals(one, names))
        for name, one in value.items()
    }
