"""The order list's filters in words, as a bulk that was asked for by them says what it is of."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext as _

from payments.models import PaymentOrder
from payments.selectors import service_names
from refunds.states import BulkSource

# Parameters of a list that narrow nothing.
NOT_FILTERS = frozenset({"p", "o", "all", "e"})


def source_words(source: str, text: str) -> str:
    """What a bulk is of, in the reader's language: its filter's words, or the file's name."""
    is_query = source == BulkSource.FILTER and not text.startswith("{")  # not the interface's JSON
    return " · ".join(_words(text)) if is_query else text


def _words(query: str) -> Iterator[str]:
    ranges: dict[str, list[str]] = {}
    for name, value in parse_qsl(query):
        field, _sign, bound = name.rpartition("_")
        if name in NOT_FILTERS:
            continue
        if bound in ("from", "to"):
            ranges.setdefault(field, ["", ""])[bound == "to"] = value
        else:
            yield _one(name.removesuffix("__exact"), value)
    for name, (first, last) in ranges.items():
        span = first if first == last else f"{first} – {last}"
        yield f"{_title(name)} {span.strip()}"


def _one(name: str, value: str) -> str:
    if name == "q":
        return f"{_('查找')} {value}"
    if name == "service":
        return f"{_('服务')} {service_names().get(value, value)}"
    return f"{_title(name)} {_choices(name).get(value, value)}"


def _title(name: str) -> str:
    """As the list calls the filter."""
    field = _field(name)
    return str(field.verbose_name) if field else name


def _choices(name: str) -> Mapping[Any, Any]:
    field = _field(name)
    return dict(field.flatchoices) if field else {}


def _field(name: str) -> Any:
    try:
        return PaymentOrder._meta.get_field(name)
    except FieldDoesNotExist:
        return None
