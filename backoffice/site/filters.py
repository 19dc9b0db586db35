"""What lists may be narrowed to: one of several choices, beside ranges and a column's choices."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

Choices = Iterable[tuple[Any, Any]]
# Which rows a choice leaves; the reader decides where it is "mine".
Condition = Q | Callable[[HttpRequest], Q]


class ChoiceFilter(DropdownFilter):
    """The rows that ``condition`` leaves of a list for the chosen one of ``choices``."""

    choices_of: Callable[[], Choices]
    condition: Callable[[HttpRequest, str], Q]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(type(self).choices_of())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        chosen = self.value()
        return queryset.filter(type(self).condition(request, chosen)) if chosen else queryset


def one_of(
    name: str,
    title: Any,
    choices: Callable[[], Choices],
    condition: Callable[[str], Q] | None = None,
) -> type[ChoiceFilter]:
    """``name`` stands in the address; without a ``condition`` it is the column, too."""
    column = name.removesuffix("__exact")

    def narrow(_request: HttpRequest, chosen: str) -> Q:
        return condition(chosen) if condition else Q(**{column: chosen})

    return _filter(name, title, choices, narrow)


def cases(
    name: str, title: Any, choices: Mapping[str, tuple[Any, Condition]]
) -> type[ChoiceFilter]:
    """Each choice with its label and its own condition; what is no choice narrows nothing."""

    def narrow(request: HttpRequest, chosen: str) -> Q:
        _label, condition = choices.get(chosen, ("", Q()))
        return condition(request) if callable(condition) else condition

    labels = [(code, label) for code, (label, _condition) in choices.items()]
    return _filter(name, title, lambda: labels, narrow)


def _filter(
    name: str,
    title: Any,
    choices: Callable[[], Choices],
    condition: Callable[[HttpRequest, str], Q],
) -> type[ChoiceFilter]:
    members = {"title": title, "parameter_name": name, "choices_of": choices}
    return type("NamedFilter", (ChoiceFilter,), members | {"condition": condition})
