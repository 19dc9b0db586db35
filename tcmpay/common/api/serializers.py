"""Input: what a client may send, checked strictly and refused kindly.

An input serializer only reads. What an answer holds is told by a ``…Schema``: the description is
made from it, and ``presenters`` write its fields from plain values.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from tcmpay.common.api.pages import Cursor
from tcmpay.common.api.parsers import LiteralFloat
from tcmpay.common.clock import day_start
from tcmpay.common.errors import InvalidInput
from tcmpay.common.ids import parse_id
from tcmpay.common.money import Money, MoneyError, format_money, parse_money

# More than zero, at most 99999999.99, at most two places.
AMOUNT_PATTERN = r"^(0\.(0[1-9]|[1-9][0-9]?)|[1-9][0-9]{0,7}(\.[0-9]{1,2})?)$"
ANSWERED_AMOUNT_PATTERN = r"^[0-9]{1,16}\.[0-9]{2}$"
UUID_PATTERN = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
PAGE_MAX = 1_000_000
# ISO 8601 knows weeks too (2026-W48-2); we don't.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DIGITS = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class InputSerializer(serializers.Serializer):
    """A command or a query; fields that it doesn't know are refused, not ignored."""

    @classmethod
    def parse(cls, request: Request) -> dict[str, Any]:
        """The validated body. Raises InvalidInput."""
        return cls.read(request.data)

    @classmethod
    def read(cls, body: Any) -> dict[str, Any]:
        """What a JSON value says, validated. Raises InvalidInput."""
        if not isinstance(body, dict):
            raise InvalidInput({"body": [str(_("请求内容应为 JSON 对象"))]})
        return cls._validated(body)

    @classmethod
    def parse_query(cls, request: Request) -> dict[str, Any]:
        """The validated query string; a parameter may stand in it once. Raises InvalidInput."""
        query: dict[str, Any] = {}
        for name, values in request.query_params.lists():
            if len(values) != 1:
                raise InvalidInput({name: [str(_("参数重复"))]})
            if "\x00" in values[0]:
                raise InvalidInput({name: [str(_("参数含有不允许的字符"))]})
            query[name] = values[0]
        return cls._validated(query)

    @classmethod
    def _validated(cls, values: dict[str, Any]) -> dict[str, Any]:
        serializer = cls(data=values)
        # Made once: DRF copies every field for every request, which took longer than reading a
        # query with them. They keep nothing of what they read.
        serializer.fields = _fields(cls)
        unknown = sorted(set(values) - set(serializer.fields))
        if unknown:
            raise InvalidInput({name: [str(_("不支持的字段"))] for name in unknown})
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


@cache
def _fields(kind: type[InputSerializer]) -> Any:
    return kind().fields


class StrictCharField(serializers.CharField):
    """Text only: a number or a boolean is not silently turned into text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """``true`` or ``false``: a decision about money is not guessed from "yes" or 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class QueryBooleanField(serializers.BooleanField):
    """``true`` or ``false`` in a query string."""

    def to_internal_value(self, data: Any) -> bool:
        if data not in {"true", "false"}:
            self.fail("invalid", input=data)
        return bool(data == "true")


class StrictUUIDField(serializers.UUIDField):
    """A UUID in its usual form; integers and other spellings are refused."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return parse_id(data)
        except (TypeError, ValueError):
            self.fail("invalid", value=data)


class StrictIntegerField(serializers.IntegerField):
    """ASCII digits only: ``1_0``, ``1.0`` and the digits of other scripts are refused."""

    def to_internal_value(self, data: Any) -> int:
        if not _DIGITS.fullmatch(str(data)):
            self.fail("invalid")
        return int(data)


class DescribedChoiceField(StrictCharField):
    """Text that is compared, and refused, where it is used: only described by its values."""

    def __init__(self, *, values: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        set_override(self, "field", {"type": "string", "enum": [str(value) for value in values]})


@extend_schema_field(
    {"type": "string", "format": "decimal", "pattern": AMOUNT_PATTERN, "example": "30.00"}
)
class AmountField(serializers.Field):
    """A positive amount in yuan: a JSON string, or an integer or decimal literal."""

    default_error_messages = {
        "invalid": _('金额应大于 0 且不超过 99999999.99，最多两位小数，例如 "30.00"'),
    }

    def to_internal_value(self, data: Any) -> Money:
        try:
            return parse_money(self._literal(data))
        except MoneyError:
            self.fail("invalid")

    def to_representation(self, value: Money) -> str:
        return format_money(value)

    def _literal(self, data: Any) -> str:
        if isinstance(data, str):
            return data
        if isinstance(data, LiteralFloat):
            return data.literal
        if isinstance(data, int) and not isinstance(data, bool):
            return str(data)
        self.fail("invalid")


@extend_schema_field(
    {"type": "string", "format": "decimal", "pattern": ANSWERED_AMOUNT_PATTERN, "example": "30.00"}
)
class AnsweredAmountField(serializers.CharField):
    """An amount in an answer: yuan, exactly two places."""


# Without an example: the documentation's form would be filled with it, and look for that day.
@extend_schema_field({"type": "string"})
class MomentField(serializers.Field):
    """A business day (``2026-11-24``, Asia/Shanghai) or a moment (ISO 8601 with offset).

    Returns the moment in UTC at which the period begins or, with ``is_end``, the first moment
    after it: a day given as the end belongs to the period.
    """

    default_error_messages = {
        "invalid": _("日期应形如 2026-11-24，时间应形如 2026-11-24T10:00:00Z"),
    }

    def __init__(self, *, is_end: bool = False, **kwargs: Any) -> None:
        form = _("日期（如 2026-11-24，按北京时间）或带时区的时刻（如 2026-11-24T10:00:00Z）")
        kwargs.setdefault("help_text", format_lazy("{}{}", form, _("，含当日")) if is_end else form)
        super().__init__(**kwargs)
        self.is_end = is_end

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return self._moment(str(data))
        except (ValueError, OverflowError):
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()

    def _moment(self, text: str) -> datetime:
        if _DAY.fullmatch(text) and (day := parse_date(text)):
            return day_start(day + timedelta(days=1) if self.is_end else day)
        moment = parse_datetime(text.replace(" ", "+"))
        if moment is None or moment.tzinfo is None:
            raise ValueError(text)
        return moment.astimezone(UTC) + timedelta(microseconds=1 if self.is_end else 0)


class SeveralField(serializers.Field):
    """Several values in one parameter of a query, separated by commas: each as ``child`` has it."""

    default_error_messages = {"too_many": _("最多 {count_max} 个，用逗号分隔")}

    def __init__(
        self, *, child: serializers.Field, example: str, count_max: int = 100, **kwargs: Any
    ) -> None:
        text = _("可写多个，用逗号分隔，最多 {count_max} 个，如 {example}")
        kwargs.setdefault("help_text", format_lazy(text, count_max=count_max, example=example))
        super().__init__(**kwargs)
        self.child = child
        self.count_max = count_max
        one = _pattern_of(child)
        set_override(self, "field", {"type": "string", "pattern": f"^{one}(,{one})*$"})

    def to_internal_value(self, data: Any) -> list[Any]:
        values = str(data).split(",")
        if len(values) > self.count_max:
            self.fail("too_many", count_max=self.count_max)
        return [self.child.run_validation(value) for value in values]


def _pattern_of(one: serializers.Field) -> str:
    if isinstance(one, serializers.ChoiceField):
        return f"({'|'.join(one.choices)})"
    return UUID_PATTERN if isinstance(one, StrictUUIDField) else "[^,]+"


@extend_schema_field({"type": "string", "maxLength": 94})
class CursorField(serializers.Field):
    """Where a list goes on: ``next_cursor`` of the answer before; empty at its beginning."""

    default_error_messages = {"invalid": _("游标应为上一页返回的 next_cursor")}

    def to_internal_value(self, data: Any) -> Cursor:
        try:
            return Cursor.read(str(data))
        except ValueError:
            self.fail("invalid")


class DayField(serializers.DateField):
    """A business day."""

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or not _DAY.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class PageInput(InputSerializer):
    page = StrictIntegerField(
        min_value=1, max_value=PAGE_MAX, default=1, help_text=_("第几页，从 1 起；不写为 1")
    )
    page_size = StrictIntegerField(
        min_value=1,
        max_value=PAGE_SIZE_MAX,
        default=PAGE_SIZE_DEFAULT,
        help_text=_("每页多少行"),
    )


class ListInput(PageInput):
    """A list whose pages go by number, or on from a cursor."""

    cursor = CursorField(
        required=False,
        help_text=_(
            "不用 page 时：第一次留空，之后写上一次返回的 next_cursor；"
            "其间新增的行不会造成遗漏或重复"
        ),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "cursor" in attrs and "page" in self.initial_data:
            raise serializers.ValidationError({"cursor": _("页码和游标不能一起用")})
        checked: dict[str, Any] = super().validate(attrs)
        return checked


# The numbers beside the rows of a page (``Page.numbers``), or where to go on from a cursor. Not a
# docstring: it would be in the description of each list.
class PageSchema(serializers.Serializer):
    total = serializers.IntegerField(
        required=False,
        min_value=0,
        help_text=_("用 page 时：一共多少行；10,000 以内准确，以上是至少这么多"),
    )
    page = serializers.IntegerField(
        required=False, min_value=1, help_text=_("用 page 时：这是第几页")
    )
    page_size = serializers.IntegerField(min_value=1, help_text=_("每页多少行"))
    next_cursor = serializers.CharField(
        required=False, allow_null=True, help_text=_("用 cursor 时：下一次的游标，null 表示到头了")
    )


def _count_field(**kwargs: Any) -> serializers.Field:
    return serializers.IntegerField(min_value=0, **kwargs)


def schema_of(
    name: str, *dataclasses: type[Any], texts: Mapping[str, Any]
) -> type[serializers.Serializer]:
    """What an answer holds whose fields are those of ``dataclasses``: counts, and sums of money.

    ``texts``: the field's name → what it is, for readers.
    """
    shown: dict[Any, Any] = {int: _count_field, Money: AnsweredAmountField}
    members = {
        one.name: shown[one.type](help_text=texts[one.name])
        for kind in dataclasses
        for one in fields(kind)
    }
    return type(name, (serializers.Serializer,), members)


class PeriodInput(InputSerializer):
    start_date = MomentField(required=False)
    end_date = MomentField(required=False, is_end=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start_date"), attrs.get("end_date")
        if start and end and start >= end:
            raise serializers.ValidationError({"end_date": _("结束日期不能早于开始日期")})
        return attrs
