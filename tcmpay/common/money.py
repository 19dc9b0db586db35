"""Money: the only parsing, the only rounding and the only yuan↔fen conversion.

Money is ``Decimal`` yuan with exactly two places, everywhere. Text is checked against a strict
ASCII pattern before ``Decimal`` sees it, because ``Decimal`` itself accepts exponents, NaN,
underscores and the digits of every script.
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeAlias

Money: TypeAlias = Decimal

CURRENCY = "CNY"
CENT = Decimal("0.01")
ZERO = Decimal("0.00")
MONEY_MAX = Decimal("99999999.99")

_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,7})(?:\.[0-9]{1,2})?", re.ASCII)

# As our pages print amounts; the API takes none of it.
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,2})?", re.ASCII)


class MoneyError(ValueError):
    """The text is not a positive amount of at most 99,999,999.99 yuan with two places."""


def parse_money(text: str) -> Money:
    """The positive amount in yuan that ``text`` writes; raises MoneyError for anything else."""
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise MoneyError(text)
    amount = Decimal(text).quantize(CENT)
    if amount <= 0:
        raise MoneyError(text)
    return amount


def without_separators(text: str) -> str:
    """``1,234.56`` as ``1234.56``; anything that is not well formed stays as it is."""
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def round_money(value: Decimal) -> Money:
    """``value`` (yuan) rounded half up to two places."""
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def format_money(amount: Decimal) -> str:
    """``amount`` as the API and the admin write it: ``"30.00"``."""
    return f"{amount:.2f}"


def yuan_to_fen(amount: Money) -> int:
    """``amount`` in fen. Raises MoneyError when it has more than two places: never rounds."""
    fen = amount.scaleb(2)
    if fen != fen.to_integral_value():
        raise MoneyError(str(amount))
    return int(fen)


def fen_to_yuan(amount_fen: int) -> Money:
    """``amount_fen`` (an integer number of fen) in yuan."""
    if isinstance(amount_fen, bool) or not isinstance(amount_fen, int):
        raise MoneyError(repr(amount_fen))
    return Decimal(amount_fen).scaleb(-2).quantize(CENT)
