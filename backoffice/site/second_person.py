"""The list and the page of what one person asks for and another answers.

The rows are ``Asked`` (``tcmpay.common.second_person``), with a ``status``; each room's services
say who may decide.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.site.bases import (
    DayRangeFilter,
    ReadOnlyAdmin,
    admin_url,
    moment,
    page,
    person_name,
)
from backoffice.site.display import EMPTY, age_text
from backoffice.site.forms import WITHDRAW, DecisionForm
from tcmpay.accounts.selectors import person_text
from tcmpay.common.errors import DomainError, InvalidInput
from tcmpay.common.fields import as_uuid_or_text

PENDING = "pending"


@dataclass(frozen=True)
class Door:
    """One button of the page: its label, what it does, and what the person is told then."""

    label: str
    service: Callable[..., Any]
    told: str | Callable[[Any], str]


@dataclass(frozen=True)
class Words:
    """How a page speaks of what waits; ``%(…)s`` as its lines say."""

    own: Any
    done: Any  # state
    told_meanwhile: Any  # person, state, notes
    reason_missing: Any


class SecondPersonAdmin(ReadOnlyAdmin):
    decide_permission: str
    # The page on which it is decided, and what leads there.
    review_template: str
    title: Any
    todo_title: Any
    review_title: Any
    words: Words
    # Of a row: yes, no, and taking it back. Refunds have a page of their own and need none.
    doors: Callable[..., tuple[Door, Door, Door]]
    # What the page's buttons send, in the same order.
    decisions = ("approve", "reject", WITHDRAW)

    list_filter = (("status", ChoicesDropdownFilter), ("created_at", DayRangeFilter))
    ordering = ("-created_at", "-id")

    decided = moment("answered_at", gettext_lazy("处理时间"))
    decider = person_name("answered_by", gettext_lazy("处理人"))

    @admin.display(description=gettext_lazy("等待"))
    def waits(self, row: Any) -> str:
        return age_text(row.asked_at) if row.is_waiting else EMPTY

    @admin.display(description=gettext_lazy("待办"))
    def todo(self, row: Any) -> str:
        if not row.is_waiting:
            return EMPTY
        url = admin_url(self._review_page, row.pk)
        return format_html('<a class="tcm-todo" href="{}">{}</a>', url, self.todo_title)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        may = request.user.has_perm(self.decide_permission)
        return [name for name in super().get_list_display(request) if may or name != "todo"]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Whoever has waited longest comes first in the queue; otherwise the newest."""
        if request.GET.get("status__exact") == PENDING:
            return ("created_at", "id")
        return ("-created_at", "-id")

    def may_open(self, user: Any, row: Any) -> bool:
        """Reviewers may decide; whoever asked may take it back."""
        return row.asked_by == user.pk or user.has_perm(self.decide_permission)

    def may_withdraw(self, request: HttpRequest, row: Any) -> bool:
        """Whether the page offers this person to take it back."""
        return bool(row.asked_by == request.user.pk)

    def facts(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page shows of the row. ``barred``: why this person may not decide at all;
        ``hindrance``: why nobody can say yes as things stand."""
        return {}

    def next_address(self, row: Any) -> str:
        """The address to go on to when it is done."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def review(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The page on which it is decided; only a POST with its token decides."""
        row = self.model._default_manager.filter(pk=as_uuid_or_text(object_id)).first()
        if row is None or not self.may_open(request.user, row):
            raise PermissionDenied
        doors = dict(zip(self.decisions, self.doors(row), strict=True))
        posted = request.POST if request.method == "POST" else None
        form = DecisionForm(
            posted, decisions=self.decisions, reason_missing=self.words.reason_missing
        )
        if posted is not None and form.is_valid():
            answer = self._decide(request, row, form, doors)
            if answer is not None:
                return answer
        context = {
            "title": self.title,
            "original": str(self.title),  # the last step of the breadcrumbs
            "row": row,
            "requester": person_text(row.asked_by),
            "decider": person_text(row.answered_by) if row.answered_by else "",
            "is_own": self.may_withdraw(request, row),
            "may_decide": request.user.has_perm(self.decide_permission),
            "age": age_text(row.asked_at),
            "form": form,
            "words": self.words,
            "done": self.words.done % {"state": row.get_status_display()},
            "doors": list(doors.items()),
            **self.facts(request, row),
        }
        return page(request, self, self.review_template, context)

    def _decide(
        self, request: HttpRequest, row: Any, form: DecisionForm, doors: Mapping[str, Door]
    ) -> HttpResponse | None:
        """Do it; None where it could not be done and the form says why."""
        decision = form.cleaned_data["decision"]
        if decision != WITHDRAW and not request.user.has_perm(self.decide_permission):
            raise PermissionDenied
        door = doors[decision]
        person: Any = request.user
        try:
            result = door.service(actor=person.as_actor(), notes=form.cleaned_data["notes"])
        except DomainError as error:
            row.refresh_from_db()
            if row.is_waiting:
                form.add_error(None, refusal_text(error))
                return None
            facts = {
                "person": person_text(row.answered_by),
                "state": row.get_status_display(),
                "notes": row.answer_notes or _("无"),
            }
            messages.error(request, self.words.told_meanwhile % facts)
            return HttpResponseRedirect(admin_url(self._review_page, row.pk))
        messages.success(request, door.told(result) if callable(door.told) else door.told)
        return HttpResponseRedirect(self.next_address(row))

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        row: Any = self.get_object(request, unquote(object_id))
        if row is None or not row.is_waiting or not self.may_open(request.user, row):
            return []
        title = _("查看或撤回") if self.may_withdraw(request, row) else self.review_title
        return [{"title": title, "url": admin_url(self._review_page, row.pk), "icon": "rule"}]

    def get_urls(self) -> list[URLPattern]:
        review = path(
            "<path:object_id>/review/",
            self.admin_site.admin_view(require_http_methods(["GET", "HEAD", "POST"])(self.review)),
            name=self._review_page,
        )
        return [review, *super().get_urls()]

    @property
    def _review_page(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_review"


def refusal_text(error: DomainError) -> str:
    """What a form says of ``error``: where fields are to blame, of each of them."""
    if not isinstance(error, InvalidInput):
        return str(error.text)
    return "；".join(str(text) for texts in error.errors.values() for text in texts)
