"""A JSON parser for money: nothing ambiguous gets through.

Refused: duplicate keys, NaN and infinities, numbers that overflow, nesting past a bound, NUL and
lone surrogates, anything that is not UTF-8. Number literals keep their text, so that an amount is
checked as it was written and never passes through a float.
"""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

DEPTH_MAX = 16
INTEGER_DIGITS_MAX = 40


class LiteralFloat(float):
    """A JSON number with a point or an exponent, and the text that it was written as."""

    literal: str

    def __new__(cls, literal: str) -> "LiteralFloat":
        value = super().__new__(cls, literal)
        if not math.isfinite(value):
            raise ParseError(_("JSON 中的数字超出范围"))
        value.literal = literal
        return value


def _integer(literal: str) -> int:
    if len(literal) > INTEGER_DIGITS_MAX:
        raise ParseError(_("JSON 中的数字超出范围"))
    return int(literal)


def _constant(name: str) -> None:
    raise ParseError(_("JSON 中不允许出现 %(name)s") % {"name": name})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ParseError(_("JSON 中有重复的字段"))
    return result


def parse_strict_json(body: bytes) -> Any:
    """The value that ``body`` writes. Raises ParseError with a message for the client."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(_("请求内容必须是 UTF-8 编码的 JSON")) from error
    try:
        value = json.loads(
            text,
            parse_float=LiteralFloat,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise ParseError(_("请求内容不是有效的 JSON")) from error
    _check(value, depth=0)
    return value


def _check(value: Any, *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise ParseError(_("JSON 嵌套过深"))
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check(inner, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth=depth + 1)


def _check_text(text: str) -> None:
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ParseError(_("JSON 文本中含有不允许的字符"))


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return parse_strict_json(stream.read())
