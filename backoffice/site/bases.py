"""What every staff page stands on: nothing can be changed here, and nothing costs more as it grows.

Money, times and states look the same on every page; a list is counted up to a bound; a search
asks one indexed column after the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.filters import SimpleListFilter
from django.contrib.admin.utils import flatten_fieldsets, quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.http import urlencode
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter, RangeNumericFilter
from unfold.utils import parse_date_str
from unfold.views import ChangeList

from backoffice.site.display import (
    EMPTY,
    NEUTRAL,
    badge,
    code_text,
    id_text,
    money_text,
    reached,
    time_text,
)
from backoffice.site.own_words import own_words
from tcmpay.accounts.selectors import person_text
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import ZERO, Money, MoneyError, parse_money

COUNT_MAX = 10_000
FOUND_MAX = 200
TERM_LENGTH_MAX = 128
PANEL_ROWS_MAX = 50


# --- links and columns --------------------------------------------------------------------------


def admin_url(page: str, *args: object) -> str:
    """The address of an admin page such as ``payments_paymentorder_change``."""
    return reverse(f"admin:{page}", args=[quote(argument) for argument in args])


def list_url(page: str, filters: Mapping[str, object]) -> str:
    """The address of a page's list (``payments_paymentorder``), narrowed by ``filters``."""
    return f"{admin_url(f'{page}_changelist')}?{urlencode(filters)}"


def admin_link(page: str, key: object, text: object) -> str:
    """``text`` as a link to one object's page; plain text where there is no such page."""
    if key is None or key == "":
        return EMPTY
    try:
        url = admin_url(f"{page}_change", key)
    except NoReverseMatch:
        return code_text(text)
    return format_html('<a class="tcm-link tcm-code" href="{}">{}</a>', url, id_text(text))


def search_link(page: str, term: object) -> str:
    """``term`` as a link to the list of what belongs to it."""
    if term is None or term == "":
        return EMPTY
    url = reverse(f"admin:{page}_changelist")
    markup = '<a class="tcm-link tcm-code" href="{}?q={}">{}</a>'
    return format_html(markup, url, term, id_text(term))


Column = Callable[[Any, Any], str]


def column(field: str, title: Any, show: Callable[[Any], str]) -> Column:
    """A column of lists and pages that shows ``field`` (dots reach into related rows)."""

    def shown(_admin: Any, row: Any) -> str:
        return show(reached(row, field))

    shown.short_description = title  # type: ignore[attr-defined]
    return shown


def plain(field: str, title: Any) -> Column:
    return column(field, title, lambda text: text or EMPTY)


def wrapped(field: str, title: Any) -> Column:
    """A text of any length, in lines."""
    return column(field, title, lambda text: in_lines(text or EMPTY))


def told(field: str, title: Any) -> Column:
    """A sentence of our own, or what a person wrote, in lines."""
    return column(field, title, lambda text: in_lines(own_words(text or "") or EMPTY))


def in_lines(text: str) -> str:
    return format_html('<span class="tcm-wrap">{}</span>', text)


def yes_or_no(field: str, title: Any) -> Column:
    shown = column(field, title, lambda value: value)
    shown.boolean = True  # type: ignore[attr-defined]
    return shown


def link(page: str, key: str, text: str, title: Any) -> Column:
    """A related row by its number, as a link to its page; ``key`` and ``text`` lead to them."""
    return column("", title, lambda row: admin_link(page, reached(row, key), reached(row, text)))


def searched(page: str, field: str, title: Any) -> Column:
    """A link to the list of what belongs to it."""
    return column(field, title, lambda term: search_link(page, term))


def money(field: str, title: Any) -> Column:
    return column(field, title, money_text)


def moment(field: str, title: Any) -> Column:
    return column(field, title, time_text)


def number(field: str, title: Any) -> Column:
    return column(field, title, code_text)


def person_name(field: str, title: Any) -> Column:
    """A staff user by name; empty where nobody is named."""
    return column(field, title, lambda person: person_text(person) if person else EMPTY)


def state(field: str, title: Any, choices: Any, tones: Mapping[str, str]) -> Column:
    """A badge with the state's name; ``tones`` gives its colour."""

    def show(value: Any) -> str:
        if value is None or value == "":
            return EMPTY
        return badge(dict(choices.choices).get(value, value), tones.get(value, NEUTRAL))

    return column(field, title, show)


def section(title: Any, *fields: Any, is_closed: bool = False) -> tuple[Any, dict[str, Any]]:
    """A part of an object's page, one of its ``fieldsets``."""
    return (title, {"classes": ("collapse",) if is_closed else (), "fields": fields})


# --- lists --------------------------------------------------------------------------------------


class BoundedPaginator(Paginator):
    """Counts up to a bound: a list of millions opens as fast as one of hundreds."""

    template_name = "site/bounded_pagination.html"

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        return min(rows.order_by()[: COUNT_MAX + 1].count(), COUNT_MAX)

    @property
    def is_at_bound(self) -> bool:
        return self.count >= COUNT_MAX


class PlainChangeList(ChangeList):
    """Without the heading's second count, which would need every row counted once more; named after
    its rows, not after selecting one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = self.opts.verbose_name_plural

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class DayRangeFilter(RangeDateFilter):
    """From one business day to another, both included; on a moment or on a business day."""

    def __init__(self, field: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, *args, **kwargs)
        self.is_moment = field.get_internal_type() == "DateTimeField"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        name = self.field_path
        start = parse_date_str(self.used_parameters.get(f"{name}_from"))
        end = parse_date_str(self.used_parameters.get(f"{name}_to"))
        if start is not None:
            queryset = queryset.filter(**{f"{name}__gte": self._bound(start)})
        if end is not None and end < date.max:
            after = self._bound(end + timedelta(days=1))
            queryset = queryset.filter(**{f"{name}__lt": after})
        return queryset

    def _bound(self, day: date) -> date | datetime:
        if not self.is_moment:
            return day
        try:
            return clock.day_start(day)
        except OverflowError:
            return clock.day_start(date(1970, 1, 1))


class AmountRangeFilter(RangeNumericFilter):
    """From one amount in yuan to another, both included. A bound that is no amount finds nothing,
    and the form says what is wrong with it.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        bounds = {"gte": f"{self.field_path}_from", "lte": f"{self.field_path}_to"}
        for lookup, name in bounds.items():
            text = str(self.used_parameters.get(name) or "").strip()
            if not text:
                continue
            try:
                queryset = queryset.filter(**{f"{self.field_path}__{lookup}": parse_bound(text)})
            except MoneyError:
                return queryset.none()
        return queryset


def parse_bound(text: str) -> Money:
    """An amount of yuan to compare with; zero is one too. Raises MoneyError."""
    return ZERO if text in {"0", "0.0", "0.00"} else parse_money(text)


def filter_parameters(list_filter: Any) -> set[str]:
    """What an address carries to set one entry of ``list_filter``."""
    if isinstance(list_filter, type) and issubclass(list_filter, SimpleListFilter):
        return {str(list_filter.parameter_name)}
    field, kind = list_filter if isinstance(list_filter, tuple) else (list_filter, None)
    if kind is not None and issubclass(kind, RangeDateFilter | RangeNumericFilter):
        return {f"{field}_from", f"{field}_to"}
    return {f"{field}__exact"}


class FiltersOfListOnly:
    """A list can be narrowed by its own filters, and by nothing else.

    Django lets an address ask about any column by any lookup, also about those that no page
    shows: what is masked would be guessed letter by letter, and a regular expression may run
    for hours.
    """

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        offered = self.get_list_filter(request)  # type: ignore[attr-defined]
        return any(lookup in filter_parameters(one) for one in offered)


# --- pages --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """A table under an object's page: what belongs to it, bounded, newest or oldest first."""

    title: Any
    headers: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    empty: Any = ""

    @property
    def labelled_rows(self) -> list[list[tuple[Any, Any]]]:
        """Each cell with its header, for narrow screens."""
        return [list(zip(self.headers, row, strict=True)) for row in self.rows]

    @property
    def is_cut(self) -> bool:
        return len(self.rows) >= PANEL_ROWS_MAX


def ensure_may(request: HttpRequest, permission: str) -> None:
    """Raises PermissionDenied."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def actor_of(request: HttpRequest) -> Actor:
    """Whoever is signed in, as who does what is asked for."""
    return request.user.as_actor()  # type: ignore[union-attr]


def own_urls(
    model_admin: ModelAdmin, prefix: str, pages: Mapping[str, tuple[str, Callable[..., Any]]]
) -> list[URLPattern]:
    """Pages of our own under those of ``model_admin``, by the end of their names: where each is,
    and its view."""
    wrap, given = model_admin.admin_site.admin_view, {"model_admin": model_admin}
    return [
        path(address, wrap(view), given, name=f"{prefix}_{name}")
        for name, (address, view) in pages.items()
    ]


def page(
    request: HttpRequest, model_admin: ModelAdmin, template: str, context: Mapping[str, Any]
) -> HttpResponse:
    """A page of our own among those of ``model_admin``: with the sidebar, and under its list."""
    request.current_app = model_admin.admin_site.name
    shared = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts}
    return TemplateResponse(request, template, {**shared, **context})


class ReadOnlyAdmin(FiltersOfListOnly, ModelAdmin):
    """Lists and pages to read. Rows are written by services alone, never by a form."""

    actions = None
    list_before_template = "exports/bar.html"
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    list_fullwidth = True
    list_filter_submit = True
    list_filter_sheet = True
    # Sorting by a column without an index reads the whole table.
    sortable_by = ()
    empty_value_display = EMPTY
    search_fields = ("pk",)
    change_form_template = "site/stepped_change_form.html"
    change_form_outer_after_template = "site/panels.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return flatten_fieldsets(self.get_fieldsets(request, obj)) if self.fieldsets else ()

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        """The row with this key; also one inserted by SQL whose key is not a UUID."""
        try:
            return self.get_queryset(request).filter(pk=as_uuid_or_text(object_id)).first()
        except (ValueError, ValidationError):
            return None  # nothing that a key of this table can be

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlainChangeList

    # --- search -------------------------------------------------------------------------------

    def search_lookups(self, term: str) -> Iterable[Q]:
        """The columns to look for ``term`` in, each by its index."""
        return (Q(pk=term),)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Rows that carry exactly this number, whichever of their numbers it is."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not term.isascii() or len(term) > TERM_LENGTH_MAX:
            return queryset.none(), False
        found: set[Any] = set()
        for lookup in self.search_lookups(term):
            try:
                rows = self.model._default_manager.filter(lookup)
            except ValueError:
                continue  # nothing that this column can hold
            found.update(rows.values_list("pk", flat=True)[:FOUND_MAX])
        return queryset.filter(pk__in=found), False

    # --- the page of one object ---------------------------------------------------------------

    def title_of(self, row: Any) -> str:
        return str(row)

    def panels(self, request: HttpRequest, row: Any) -> list[Panel]:
        """What the page shows under the object itself."""
        return []

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        """What the reader may do with the object now: buttons that lead to pages of their own."""
        return []

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if self.page_template is not None:
            return self._page(request, object_id)
        steps = self.steps(request, object_id) if object_id is not None else []
        context = {**(extra_context or {}), "show_history": False, "steps": steps}
        return super().changeform_view(request, object_id, form_url, context)

    # A template of its own for the object's page, in place of the admin's form for reading.
    page_template: str | None = None
    # The part of it that asks for itself again, with ``?part``.
    page_part: str | None = None

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What ``page_template`` shows."""
        return {}

    def _page(self, request: HttpRequest, object_id: str | None) -> HttpResponse:
        # Nobody adds or changes a row here, and only who may see one learns whether it is there.
        if object_id is None or request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        context = {"title": self.title_of(row), "original": row, **self.page_context(request, row)}
        if self.page_part is not None and "part" in request.GET:
            return TemplateResponse(request, self.page_part, context)
        return page(request, self, str(self.page_template), context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            context["title"] = self.title_of(row)
            context["subtitle"] = None
            context["panels"] = self.panels(request, row)
        response = super().render_change_form(request, context, *args, **kwargs)
        if row is not None and context["title"] != str(row):
            # The line above the page would name the row in code; the title is enough.
            response.context_data["original"] = context["title"]
        return response
