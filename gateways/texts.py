"""What may be said to a gateway: text, numbers, moments and yuan, and how they are read back."""

import json
import re
import unicodedata
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

    Text: TypeAlias = str | StrPromise
else:
    Text = Any

# Both gateways live in Beijing time, which has had no summer time since 1991; a fixed offset
# does not depend on the time-zone files of the host.
SHANGHAI = timezone(timedelta(hours=8))

REPLACEMENT = "□"
_BMP_LAST = 0xFFFF
# Control, format (direction overrides, joiners), lone surrogates, line and paragraph breaks.
_UNSENDABLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_YUAN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?", re.ASCII)
_CENT = Decimal("0.01")


class Malformed(ValueError):
    """Something received that does not have the form that its protocol promises."""


def plain_text(text: str, *, characters_max: int, bytes_max: int | None = None) -> str:
    """``text`` as both gateways accept it; never an error.

    WeChat Pay takes only characters of one to three bytes in UTF-8 (basic-rules, 2024.07.25):
    rarer characters, which names of herbs and people contain, become a box.
    """
    sendable = "".join(_sendable(character) for character in text)
    return _cut_to_bytes(" ".join(sendable.split())[:characters_max], bytes_max).strip()


def _sendable(character: str) -> str:
    if ord(character) > _BMP_LAST:
        return REPLACEMENT
    return " " if unicodedata.category(character) in _UNSENDABLE_CATEGORIES else character


def _cut_to_bytes(text: str, bytes_max: int | None) -> str:
    if bytes_max is None:
        return text
    return text.encode()[:bytes_max].decode(errors="ignore")


def yuan_text(amount: Decimal) -> str:
    """Exactly two places; refuses to round."""
    exact = amount.quantize(_CENT)
    if exact != amount:
        raise ValueError("more than two places")
    return f"{exact:f}"


def read_yuan(text: object) -> Decimal:
    """A non-negative amount of yuan in ASCII digits, at most two places."""
    if not isinstance(text, str) or not _YUAN.fullmatch(text):
        raise Malformed("amount")
    return Decimal(text).quantize(_CENT)


def shanghai_rfc3339(moment: datetime) -> str:
    """``2026-11-24T10:34:56+08:00``; fractions are dropped, so never later than ``moment``."""
    return moment.astimezone(SHANGHAI).replace(microsecond=0).isoformat()


def shanghai_wall_clock(moment: datetime) -> str:
    """``2026-11-24 10:34:56``, the form of Alipay."""
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


def read_moment(text: object) -> datetime | None:
    """An ISO 8601 moment, Beijing time where it names no zone; None when absent."""
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise Malformed("time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed("time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)


def read_text(fields: Any, name: str, *, is_required: bool = False) -> str:
    """A string field of a received object; absent is empty unless required."""
    value = fields.get(name)
    if value is None and not is_required:
        return ""
    if not isinstance(value, str) or (is_required and not value):
        raise Malformed(name)
    return value


def read_json_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object without duplicate names, NaN or infinities."""
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise Malformed("JSON") from error
    if not isinstance(value, dict):
        raise Malformed("JSON object")
    return value


def canonical_json(value: Any) -> str:
    """The same text for the same content, whatever order a database gave the names back in."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise Malformed("duplicate names")
    return names


def _no_constant(name: str) -> Any:
    raise Malformed(name)
