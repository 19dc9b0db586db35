"""Model fields and database defaults that behave alike on SQLite, MariaDB and MySQL."""

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tcmpay.common.ids import new_id
from tcmpay.common.money import MONEY_MAX, Money, fen_to_yuan


class UUIDTextField(models.Field):
    """A UUID kept as its 36 characters on every database.

    The documented SQL inserts ``UUID()`` as text, which a native or a 32-character column would
    not take everywhere. A row that was inserted by SQL with something else (``test-user-uuid``)
    is handed out as the text it is, so that it can be reported instead of breaking a page.
    """

    description = _("UUID")
    empty_strings_allowed = False

    def db_type(self, connection: Any) -> str:
        if connection.vendor == "mysql":
            return "char(36) CHARACTER SET ascii COLLATE ascii_general_ci"
        return "char(36)"

    def get_internal_type(self) -> str:
        return "UUIDTextField"

    def to_python(self, value: Any) -> uuid.UUID | None:
        if value is None or isinstance(value, uuid.UUID):
            return value
        try:
            return uuid.UUID(str(value))
        except ValueError as error:
            raise ValidationError(
                _("“%(value)s” 不是有效的 UUID"), params={"value": value}
            ) from error

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> uuid.UUID | str | None:
        return as_uuid_or_text(value)

    def get_prep_value(self, value: Any) -> str | None:
        value = super().get_prep_value(value)
        return None if value is None else str(as_uuid_or_text(value))

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": forms.UUIDField, **kwargs})


def as_uuid_or_text(value: Any) -> uuid.UUID | str | None:
    if value is None or isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value)
    except ValueError:
        return str(value)


def id_field() -> UUIDTextField:
    """The primary key of our tables: a time-ordered UUID."""
    return UUIDTextField(primary_key=True, default=new_id, editable=False, verbose_name=_("编号"))


class ExactCharField(models.CharField):
    """Text that equals only itself: letters of the other case, accents and spaces at its end make
    another one, whatever collation the database has. SQLite compares so by itself."""

    def db_parameters(self, connection: Any) -> Any:
        return {**super().db_parameters(connection), "collation": _exact_collation(connection)}


def _exact_collation(connection: Any) -> str | None:
    if connection.vendor != "mysql":
        return None
    return "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"


class MoneyField(models.DecimalField):
    """Yuan with two places, up to 99,999,999.99 (``max_digits`` for running totals: 16)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 10)
        kwargs.setdefault("decimal_places", 2)
        super().__init__(*args, **kwargs)


class FenField(models.BigIntegerField):
    """Of a sum in whole fen, as SQLite adds it up exactly: yuan when read."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Money | None:
        return None if value is None else fen_to_yuan(int(value))


class UtcNow(Now):
    """The database's own clock in UTC, whatever time zone its session has."""

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


class ShanghaiToday(models.Func):
    """Today's business day (Asia/Shanghai has no daylight saving: always UTC+8)."""

    output_field = models.DateField()

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "CAST(UTC_TIMESTAMP() + INTERVAL 8 HOUR AS DATE)"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="DATE('NOW', '+8 hours')", **extra)


class BusinessDay(models.Func):
    """The day in Asia/Shanghai (always UTC+8) of a moment."""

    output_field = models.DateField()

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "DATE(DATE_ADD(%(expressions)s, INTERVAL 8 HOUR))"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "DATE(%(expressions)s, '+8 hours')"
        return self.as_sql(compiler, connection, template=template, **extra)


def is_amount(field: str) -> models.Q:
    """The condition that ``field`` is a positive amount within the contract's bound."""
    return models.Q(**{f"{field}__gt": 0, f"{field}__lte": MONEY_MAX})


def is_amount_or_zero(field: str) -> models.Q:
    return models.Q(**{f"{field}__gte": 0, f"{field}__lte": MONEY_MAX})
