"""The list and the page of what one person asked for and another decides.

The rows have ``requested_by``, ``decided_by``, ``decision_notes``, ``created_at`` and
``decided_at``, and a ``status`` that is ``pending`` while they wait; each room's services say who
may decide (``tcmpay.common.second_person``).
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.site.bases import DayRangeFilter, ReadOnlyAdmin, admin_url, moment, person_name
from backoffice.site.display import EMPTY, age_text
from backoffice.site.forms import DecisionForm
from tcmpay.accounts.selectors import person_text
from tcmpay.common.errors import DomainError, InvalidInput
from tcmpay.common.fields import as_uuid_or_text

PENDING = "pending"
# What one of the page's buttons does, and what the person is told then.
Door = tuple[Callable[..., Any], str | Callable[[Any], str]]


class SecondPersonAdmin(ReadOnlyAdmin):
    decide_permission: str
    # The page on which it is decided, and what leads there.
    review: Callable[..., HttpResponse]
    todo_title: Any
    review_title: Any

    list_filter = (("status", ChoicesDropdownFilter), ("created_at", DayRangeFilter))
    ordering = ("-created_at", "-id")

    decided = moment("decided_at", gettext_lazy("处理时间"))
    decider = person_name("decided_by", gettext_lazy("处理人"))

    @admin.display(description=gettext_lazy("等待"))
    def waits(self, row: Any) -> str:
        return age_text(row.created_at) if row.status == PENDING else EMPTY

    @admin.display(description=gettext_lazy("待办"))
    def todo(self, row: Any) -> str:
        if row.status != PENDING:
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
        return row.requested_by == user.pk or user.has_perm(self.decide_permission)

    def opened(self, request: HttpRequest, object_id: str) -> Any:
        """The row that the page is about. Raises PermissionDenied, also where there is none."""
        row = self.model._default_manager.filter(pk=as_uuid_or_text(object_id)).first()
        if row is None or not self.may_open(request.user, row):
            raise PermissionDenied
        return row

    def review_context(self, request: HttpRequest, row: Any, form: DecisionForm) -> dict[str, Any]:
        return {
            "requester": person_text(row.requested_by),
            "decider": person_text(row.decided_by) if row.decided_by else "",
            "is_own": row.requested_by == request.user.pk,
            "age": age_text(row.created_at),
            "form": form,
        }

    def decide(
        self,
        request: HttpRequest,
        row: Any,
        form: DecisionForm,
        *,
        doors: Mapping[str, Door],
        told_meanwhile: str,
    ) -> bool | None:
        """Whether it was done; None where it could not be and the form says why.

        ``told_meanwhile`` says who was faster (%(person)s, %(state)s, %(notes)s).
        """
        decision = form.cleaned_data["decision"]
        if decision != "withdraw" and not request.user.has_perm(self.decide_permission):
            raise PermissionDenied
        service, told = doors[decision]
        person: Any = request.user
        try:
            result = service(actor=person.as_actor(), notes=form.cleaned_data["notes"])
        except DomainError as error:
            row.refresh_from_db()
            if row.status == PENDING:
                form.add_error(None, refusal_text(error))
                return None
            facts = {
                "person": person_text(row.decided_by),
                "state": row.get_status_display(),
                "notes": row.decision_notes or _("无"),
            }
            messages.error(request, told_meanwhile % facts)
            return False
        messages.success(request, told(result) if callable(told) else told)
        return True

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        row: Any = self.get_object(request, unquote(object_id))
        if row is None or row.status != PENDING or not self.may_open(request.user, row):
            return []
        is_own = row.requested_by == request.user.pk
        title = _("查看或撤回") if is_own else self.review_title
        return [{"title": title, "url": admin_url(self._review_page, row.pk), "icon": "rule"}]

    def get_urls(self) -> list[URLPattern]:
        review = path(
            "<path:object_id>/review/",
            self.admin_site.admin_view(type(self).review),
            {"model_admin": self},
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
