"""Closing business days: what a day's page offers, and the pages of closes and reopenings."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.reconciliation.figures import figures_shown
from backoffice.reconciliation.words import DAY_PAGE, day_link, day_url, read_day
from backoffice.reports.views import file_view, report_view
from backoffice.site.bases import (
    DayRangeFilter,
    Panel,
    actor_of,
    admin_url,
    column,
    ensure_may,
    moment,
    own_urls,
    person_name,
    plain,
    section,
    state,
    wrapped,
)
from backoffice.site.display import BAD, GOOD, NEUTRAL, WAITING, money_text
from backoffice.site.forms import REASON_LENGTH_MAX, WITHDRAW
from backoffice.site.second_person import Door, SecondPersonAdmin, Words, refusal_text
from backoffice.site.words import method_text
from backoffice.trail.pages import history_panel
from reconciliation.models import DailyClose, DayReopening
from reconciliation.services.closing import (
    close_propose,
    close_reject,
    close_sign,
    close_withdraw,
    reopening_approve,
    reopening_reject,
    reopening_request,
    reopening_withdraw,
)
from reconciliation.stand import day_stand, first_open_day
from reconciliation.states import BillType, CloseStatus, ReopeningStatus
from tcmpay.accounts.selectors import person_text
from tcmpay.common import clock
from tcmpay.common.errors import DomainError

CLOSE_PAGE = "reconciliation_dailyclose"
REOPENING_PAGE = "reconciliation_dayreopening"
PROPOSE = "reconciliation.propose_close"
SIGN = "reconciliation.sign_close"
REQUEST_REOPENING = "reconciliation.request_reopening"
APPROVE_REOPENING = "reconciliation.approve_reopening"

CLOSE_TONES: Mapping[str, str] = {
    CloseStatus.PENDING: WAITING,
    CloseStatus.SIGNED: GOOD,
    CloseStatus.REJECTED: BAD,
    CloseStatus.WITHDRAWN: NEUTRAL,
    CloseStatus.REOPENED: NEUTRAL,
}
REOPENING_TONES: Mapping[str, str] = {
    ReopeningStatus.PENDING: WAITING,
    ReopeningStatus.APPROVED: GOOD,
    ReopeningStatus.REJECTED: BAD,
    ReopeningStatus.WITHDRAWN: NEUTRAL,
}
# Where on the day's page that is dealt with which stands in the way.
PLACES = {
    "bill_missing": "#bills",
    "not_compared": "#bills",
    "quarantined": "#differences",
    "doubtful": "#doubtful",
    "differences": "#differences",
}


def closing_facts(day: date, reader: Any) -> dict[str, Any]:
    """How the day stands and what ``reader`` may do about it; nothing of a day that runs."""
    if day >= clock.today():
        return {}
    stand = day_stand(day)
    close, waiting = stand.close, stand.waiting
    reopening = DayReopening.objects.filter(waiting_close=close.pk).first() if close else None
    current = close or waiting
    shown = waiting.figures if waiting else stand.figures
    return {
        "stand": stand,
        "figures": figures_shown(shown),
        "blocks": [(block, _place(block.code)) for block in stand.blocks],
        "versions": list(DailyClose.objects.filter(day=day).order_by("-version")),
        "proposer": person_text(current.asked_by) if current else "",
        "signer": person_text(close.answered_by) if close else "",
        "is_own": waiting is not None and waiting.asked_by == reader.pk,
        "reopening": reopening,
        "may_propose": reader.has_perm(PROPOSE),
        "may_sign": reader.has_perm(SIGN),
        "may_request": reader.has_perm(REQUEST_REOPENING),
    }


def _place(code: str) -> str:
    if code == "earlier_open":
        first = first_open_day()
        return day_url(first) if first is not None else ""
    return PLACES.get(code, "")


# --- what a day's page does ---------------------------------------------------------------------


@require_POST
def propose_view(request: HttpRequest, day: str, model_admin: Any) -> HttpResponse:
    """Put the day's figures forward for a second person's signature."""
    ensure_may(request, PROPOSE)
    shown = read_day(day)
    if shown is None:
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
    try:
        close_propose(actor=actor_of(request), day=shown)
    except DomainError as error:
        messages.error(request, refusal_text(error))
    else:
        messages.success(request, _("已提交日结，等待另一人签字。"))
    return HttpResponseRedirect(day_url(shown))


@require_POST
def reopen_view(request: HttpRequest, day: str, model_admin: Any) -> HttpResponse:
    """Ask for a closed day to be opened again."""
    ensure_may(request, REQUEST_REOPENING)
    shown = read_day(day)
    if shown is None:
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
    reason = request.POST.get("reason", "")[:REASON_LENGTH_MAX]
    try:
        reopening_request(actor=actor_of(request), day=shown, reason=reason)
    except DomainError as error:
        messages.error(request, refusal_text(error))
    else:
        messages.success(request, _("已申请重新打开，等待另一人同意。"))
    return HttpResponseRedirect(day_url(shown))


# --- closes and reopenings ----------------------------------------------------------------------


class DailyCloseAdmin(SecondPersonAdmin):
    """Every version of every day's close, with its figures as they were signed."""

    decide_permission = SIGN
    review_template = "reconciliation/close_review.html"
    page_template = "reconciliation/close.html"
    title = gettext_lazy("签字日结")
    todo_title = gettext_lazy("签字")
    review_title = gettext_lazy("核对并签字")
    decisions = ("sign", "reject", WITHDRAW)
    words = Words(
        own=gettext_lazy("日结是您提交的，须由另一人签字；有误时可以撤回。"),
        done=gettext_lazy("这次日结已处理，当前状态：%(state)s。"),
        told_meanwhile=gettext_lazy(
            "这次日结已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s"
        ),
        reason_missing=gettext_lazy("驳回时请写明原因，提交人会看到它。"),
    )

    search_help_text = gettext_lazy("签名或编号")
    list_display = (
        "business_day",
        "version",
        "status_shown",
        "net",
        "requester",
        "proposed",
        "decider",
        "decided",
        "waits",
        "todo",
    )
    list_filter = (("status", ChoicesDropdownFilter), ("day", DayRangeFilter))
    ordering = ("-day", "-version")

    business_day = column("", gettext_lazy("营业日"), day_link)
    status_shown = state("status", gettext_lazy("状态"), CloseStatus, CLOSE_TONES)
    net = column(
        "", gettext_lazy("净额（元）"), lambda row: money_text(figures_shown(row.figures)["net"])
    )
    requester = person_name("proposed_by", gettext_lazy("提交人"))
    proposed = moment("proposed_at", gettext_lazy("提交时间"))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-day", "-version")

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(signature=term.lower()), Q(pk=term))

    def get_queryset(self, request: HttpRequest) -> QuerySet[DailyClose]:
        asked = DayReopening.objects.filter(waiting_close=OuterRef("pk")).values("pk")[:1]
        return super().get_queryset(request).annotate(reopening_asked=Subquery(asked))

    @admin.display(description=gettext_lazy("待办"))
    def todo(self, row: Any) -> str:
        """A signature that waits, or a request to open again what was signed."""
        if row.reopening_asked is None:
            return super().todo(row)
        url = admin_url(f"{REOPENING_PAGE}_review", row.reopening_asked)
        return format_html('<a class="tcm-todo" href="{}">{}</a>', url, _("处理重新打开"))

    def title_of(self, row: DailyClose) -> str:
        return _("日结 %(day)s 第 %(version)d 版") % {"day": row.day, "version": row.version}

    def page_context(self, request: HttpRequest, row: DailyClose) -> dict[str, Any]:
        return {
            "close": row,
            "reopening": getattr(row, "reopening_asked", None),
            "may_reopen": row.status == CloseStatus.SIGNED
            and request.user.has_perm(REQUEST_REOPENING),
            "figures": figures_shown(row.figures),
            "proposer": person_text(row.asked_by),
            "signer": person_text(row.answered_by) if row.answered_by else "",
            "bills": [_bill_told(one) for one in row.bills],
            "day_url": day_url(row.day),
            "panels": [history_panel((DailyClose.AUDIT_OBJECT, row.pk))],
        }

    def doors(self, row: DailyClose) -> tuple[Door, Door, Door]:
        key = {"close_id": row.pk}
        signed = _("%(day)s 已日结。") % {"day": row.day}
        return (
            Door(_("签字日结"), partial(close_sign, **key), signed),
            Door(_("驳回"), partial(close_reject, **key), _("已驳回，当天仍未日结。")),
            Door(_("撤回"), partial(close_withdraw, **key), _("已撤回，当天仍未日结。")),
        )

    def facts(self, request: HttpRequest, row: DailyClose) -> dict[str, Any]:
        return {"figures": figures_shown(row.figures), "day_url": day_url(row.day)}

    def next_address(self, row: DailyClose) -> str:
        return day_url(row.day)

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "report": ("report/", report_view),
            "report_download": ("report/download/", file_view),
        }
        return [*own_urls(self, CLOSE_PAGE, pages), *super().get_urls()]


def _bill_told(one: Mapping[str, str]) -> tuple[str, str]:
    """A bill that a signature covers: whose it is, and the hash of its file."""
    kind = dict(BillType.choices).get(one["type"], one["type"])
    return f"{method_text(one['method'])} {one['merchant']} {kind}", one["sha256"]


class DayReopeningAdmin(SecondPersonAdmin):
    """Closed days that somebody wants opened again, and what became of it."""

    decide_permission = APPROVE_REOPENING
    review_template = "reconciliation/reopening_review.html"
    title = gettext_lazy("重新打开已日结的一天")
    todo_title = gettext_lazy("处理")
    review_title = gettext_lazy("处理这个申请")
    words = Words(
        own=gettext_lazy("这是您自己的申请，须由另一人同意；不再需要时可以撤回。"),
        done=gettext_lazy("这个申请已处理，当前状态：%(state)s。"),
        told_meanwhile=gettext_lazy(
            "这个申请已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s"
        ),
        reason_missing=gettext_lazy("驳回时请写明原因，申请人会看到它。"),
    )

    search_help_text = gettext_lazy("编号")
    list_display = (
        "business_day",
        "status_shown",
        "reason_shown",
        "requester",
        "created",
        "decider",
        "waits",
        "todo",
    )
    list_select_related = ("close",)
    fieldsets = (
        section(
            None,
            ("business_day", "status_shown"),
            "reason_shown",
            ("requester", "created"),
            ("decider", "decided"),
            "notes",
        ),
    )

    business_day = column("close", gettext_lazy("营业日"), day_link)
    status_shown = state("status", gettext_lazy("状态"), ReopeningStatus, REOPENING_TONES)
    reason_shown = wrapped("reason", gettext_lazy("原因"))
    requester = person_name("requested_by", gettext_lazy("申请人"))
    created = moment("created_at", gettext_lazy("申请时间"))
    notes = plain("decision_notes", gettext_lazy("处理备注"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[DayReopening]:
        return super().get_queryset(request).select_related("close")

    def panels(self, request: HttpRequest, row: DayReopening) -> list[Panel]:
        return [history_panel((DayReopening.AUDIT_OBJECT, row.pk))]

    def doors(self, row: DayReopening) -> tuple[Door, Door, Door]:
        key = {"reopening_id": row.pk}
        opened = _("%(day)s 已重新打开；原来的日结保留为一个版本。") % {"day": row.close.day}
        kept = _("当天仍为已日结。")
        return (
            Door(_("同意重新打开"), partial(reopening_approve, **key), opened),
            Door(_("驳回"), partial(reopening_reject, **key), kept),
            Door(_("撤回申请"), partial(reopening_withdraw, **key), kept),
        )

    def facts(self, request: HttpRequest, row: DayReopening) -> dict[str, Any]:
        return {"figures": figures_shown(row.close.figures), "day_url": day_url(row.close.day)}

    def next_address(self, row: DayReopening) -> str:
        return day_url(row.close.day)
