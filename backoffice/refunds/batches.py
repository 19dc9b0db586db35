"""Deciding about several refunds at once: a preview, one confirmation, a page of results."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from backoffice.refunds.facts import Facts, facts_of_many, sums_by_method
from backoffice.refunds.review import ReviewForm
from backoffice.site.bases import (
    ReadOnlyAdmin,
    actor_of,
    admin_url,
    column,
    ensure_may,
    list_url,
    moment,
    page,
    person_name,
    state,
)
from backoffice.site.display import BAD, GOOD, NEUTRAL, RUNNING, WAITING, badge
from backoffice.site.filtered import FilterUnusable, rows_as_filtered
from backoffice.site.forms import OnceForm, ReasonFormField
from backoffice.site.words import REFUND_PAGE
from backoffice.trail.pages import history_panel
from balances.errors import BalanceLimit, BalanceUnderReview
from refunds.errors import (
    ApprovedMeanwhile,
    RefundAlreadyReviewed,
    RefundExceedsPaid,
    RefundNotFound,
    RefundNotRetryable,
    RetryNeedsSecondPerson,
    SelfReview,
)
from refunds.models import Refund, RefundBatch, RefundBatchRow
from refunds.permissions import REVIEW_PERMISSION
from refunds.services.batches import BATCH_MAX, RETRY_MAX, batch_confirm
from refunds.services.own_cases import is_to_retry
from refunds.states import BatchDecision, BatchOutcome, RefundStatus
from tcmpay.accounts.selectors import person_text
from tcmpay.common.errors import DomainError, Forbidden, InternalError
from tcmpay.common.fields import as_uuid_or_text

BATCH_PAGE = "refunds_refundbatch"
QUERY_LENGTH_MAX = 2000
OUTCOME_TONES = {
    BatchOutcome.WAITING: WAITING,
    BatchOutcome.DONE: GOOD,
    BatchOutcome.FIRST_APPROVAL: RUNNING,
    BatchOutcome.REFUSED: BAD,
}
DECIDED_BEFORE = RefundAlreadyReviewed.code
# Why a row was not carried out, by the refusal's code.
REFUSALS = {
    DECIDED_BEFORE: _("您已批准过，还需另一位审核人"),
    ApprovedMeanwhile.code: _("确认之后另有人批准，您会是第二位；请在退款页面单独审核"),
    SelfReview.code: SelfReview.message,
    Forbidden.code: _("确认人已没有审核权限"),
    RefundNotFound.code: RefundNotFound.message,
    BalanceLimit.code: _("用户余额会超过上限，请联系用户"),
    BalanceUnderReview.code: _("用户余额正在核对，暂不能变动"),
    RefundNotRetryable.code: _("已不是可以重试的失败退款"),
    RefundExceedsPaid.code: _("可退金额已被其他退款占用"),
    RetryNeedsSecondPerson.code: RetryNeedsSecondPerson.message,
    InternalError.code: _("系统错误，三次未成功；请在退款页面单独审核"),
}

# --- preview and confirmation -------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def preview_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """What would happen to each of the selected refunds; a POST with a note makes it happen."""
    ensure_may(request, REVIEW_PERMISSION)
    posted = request.POST if request.method == "POST" else None
    chosen = (posted or request.GET).getlist("refund")[: BATCH_MAX + 1]
    form = ReviewForm(posted)
    lines = facts_of_many(_selected(chosen), request.user)
    if posted is not None and form.is_valid() and _are_as_seen(request, lines):
        return _confirm(request, form, chosen)
    if not lines:
        messages.warning(request, gettext("请先在列表中勾选要审核的退款。"))
        return HttpResponseRedirect(reverse("admin:refunds_refund_queue"))
    able = [line for line in lines if not line.hindrances]
    context = {
        "title": gettext("批量审核"),
        "original": gettext("批量审核"),  # the last step of the breadcrumbs
        "lines": lines,
        "able": able,
        "left_out": len(lines) - len(able),
        "sums": sums_by_method(line.refund for line in able),
        "form": form,
        "batch_id": (posted or {}).get("batch") or uuid4(),
    }
    return page(request, model_admin, "refunds/batch_preview.html", context)


def _are_as_seen(request: HttpRequest, lines: list[Facts]) -> bool:
    """Whether nobody approved one since the preview was shown; says so where somebody did."""
    seen = set(request.POST.getlist("approved"))
    news = [line for line in lines if line.approvals and str(line.refund.pk) not in seen]
    for line in news:
        facts = {"number": line.refund.refund_no, "person": line.approvals[-1].person}
        text = gettext("%(number)s：%(person)s 刚已批准，您这次是第二位，请再确认。")
        messages.warning(request, text % facts)
    return not news


def _selected(chosen: Iterable[str]) -> list[Refund]:
    keys = [as_uuid_or_text(key) for key in chosen]
    refunds = Refund.objects.filter(pk__in=keys).select_related("order", "transaction")
    return list(refunds.order_by("created_at", "id")[:BATCH_MAX])


def _confirm(request: HttpRequest, form: ReviewForm, chosen: list[str]) -> HttpResponse:
    batch_id = as_uuid_or_text(request.POST.get("batch"))
    if not isinstance(batch_id, UUID):
        raise Http404
    try:
        batch = batch_confirm(
            actor=actor_of(request),
            batch_id=batch_id,
            refund_ids=[refund.pk for refund in _selected(chosen)],
            decision=BatchDecision(form.cleaned_data["decision"]),
            notes=form.cleaned_data["notes"],
        )
    except DomainError as error:
        messages.error(request, str(error.text))
        return HttpResponseRedirect(reverse("admin:refunds_refund_queue"))
    return HttpResponseRedirect(admin_url(f"{BATCH_PAGE}_change", batch.pk))


# --- sending failed ones again ------------------------------------------------------------------


class RetryForm(OnceForm):
    notes = ReasonFormField(label=_("原因"))


@require_http_methods(["GET", "HEAD", "POST"])
def retry_all_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Which failed refunds of the list as it is filtered would be sent again; a POST does it."""
    ensure_may(request, REVIEW_PERMISSION)
    query = str(request.GET.get("query", ""))[:QUERY_LENGTH_MAX]
    try:
        refunds = _retryable(request.user, query)
    except FilterUnusable as error:
        messages.warning(request, str(error))
        return HttpResponseRedirect(list_url(REFUND_PAGE, {"retry": "yes"}))
    posted = request.POST if request.method == "POST" else None
    form = RetryForm(posted)
    digest = _digest(refunds)
    if posted is not None and posted.get("seen") != digest:
        text = gettext("预览之后可以重试的退款有变化，请按新的结果再核对一次。")
        messages.warning(request, text)
    elif posted is not None and form.is_valid():
        try:
            batch = batch_confirm(
                actor=actor_of(request),
                batch_id=form.cleaned_data["form_id"],
                refund_ids=[refund.pk for refund in refunds],
                decision=BatchDecision.RETRY,
                notes=form.cleaned_data["notes"],
            )
        except DomainError as error:
            messages.error(request, str(error.text))
        else:
            return HttpResponseRedirect(admin_url(f"{BATCH_PAGE}_change", batch.pk))
    context = {
        "title": gettext("重试失败的退款"),
        "original": gettext("重试失败的退款"),  # the last step of the breadcrumbs
        "refunds": refunds,
        "seen": digest,
        "sums": sums_by_method(refunds),
        "form": form,
        "back": f"{reverse('admin:refunds_refund_changelist')}?{query}",
    }
    return page(request, model_admin, "refunds/retry_all.html", context)


def _digest(refunds: Iterable[Refund]) -> str:
    """Of which refunds a person was shown."""
    return hashlib.sha256(" ".join(str(refund.pk) for refund in refunds).encode()).hexdigest()


def _retryable(person: Any, query: str) -> list[Refund]:
    """The failed refunds of the list that may be sent again, oldest first. Raises FilterUnusable:
    none, or too many."""
    rows = rows_as_filtered(person, REFUND_PAGE, query).filter(is_to_retry())
    refunds = list(rows.order_by("created_at", "id")[: RETRY_MAX + 1])
    if not refunds:
        raise FilterUnusable(gettext("这些条件下没有可以重试的失败退款。"))
    if len(refunds) > RETRY_MAX:
        text = gettext("可以重试的超过 %(number)d 笔，请缩小范围，分几次重试。")
        raise FilterUnusable(text % {"number": RETRY_MAX})
    return refunds


# --- results ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResultLine:
    """One refund of a batch: what became of it, and how it stands now."""

    row: RefundBatchRow
    facts: Facts

    @property
    def outcome(self) -> str:
        tone = OUTCOME_TONES.get(BatchOutcome(self.row.outcome), NEUTRAL)
        return badge(_outcome_text(self.row, self.row.batch), tone)

    @property
    def is_final(self) -> bool:
        """Whether nothing will change by itself any more: what waits, waits for a person."""
        is_waiting = self.row.outcome == BatchOutcome.WAITING
        return not is_waiting and self.facts.refund.status != RefundStatus.PROCESSING

    @property
    def refusal(self) -> str:
        if self.row.outcome != BatchOutcome.REFUSED:
            return ""
        if self.row.error_code == DECIDED_BEFORE and self.facts.decision is not None:
            return gettext("已有决定")
        return str(REFUSALS.get(self.row.error_code, self.row.error_code))


# Done is what the person decided; whether the money is back stands beside it.
DONE_TEXTS = {
    BatchDecision.APPROVE: _("已批准"),
    BatchDecision.REJECT: _("已驳回"),
    BatchDecision.RETRY: _("已重新提交"),
}


def _outcome_text(row: RefundBatchRow, batch: RefundBatch) -> str:
    if row.outcome == BatchOutcome.DONE:
        return str(DONE_TEXTS[BatchDecision(batch.decision)])
    return str(row.get_outcome_display())


@dataclass(frozen=True)
class Progress:
    total: int
    counts: dict[str, int]

    @property
    def handled(self) -> int:
        return self.total - self.counts.get(BatchOutcome.WAITING, 0)

    @property
    def shown(self) -> list[tuple[str, int]]:
        return [(str(one.label), self.counts.get(one, 0)) for one in BatchOutcome]


def progress_of(batch: RefundBatch) -> Progress:
    groups = batch.rows.order_by().values_list("outcome").annotate(rows=Count("pk"))
    counts = dict(groups)
    return Progress(total=sum(counts.values()), counts=counts)


def result_lines(batch: RefundBatch, reader: Any) -> list[ResultLine]:
    rows = list(
        batch.rows.select_related(
            "batch", "refund", "refund__order", "refund__transaction"
        ).order_by("position")
    )
    facts = facts_of_many([row.refund for row in rows], reader)
    return [ResultLine(row, line) for row, line in zip(rows, facts, strict=True)]


class RefundBatchAdmin(ReadOnlyAdmin):
    """Batches of decisions: the list, and the page of one with its progress and results."""

    page_template, page_part = "refunds/batch.html", "refunds/batch_result.html"
    list_display = ("created", "decision_shown", "person", "rows_shown", "running", "finished")
    ordering = ("-created_at", "-id")

    created = moment("created_at", _("确认时间"))
    finished = moment("finished_at", _("完成时间"))
    decision_shown = state("decision", _("决定"), BatchDecision, {})

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefundBatch]:
        return super().get_queryset(request).annotate(row_count=Count("rows"))

    person = person_name("created_by", _("确认人"))

    rows_shown = column("row_count", _("笔数"), str)

    @admin.display(description=_("状态"))
    def running(self, batch: RefundBatch) -> str:
        if batch.finished_at is None:
            return badge(gettext("执行中"), RUNNING)
        return badge(gettext("已完成"), GOOD)

    def title_of(self, row: RefundBatch) -> str:
        return gettext("批量审核")

    def page_context(self, request: HttpRequest, row: RefundBatch) -> dict[str, Any]:
        lines = result_lines(row, request.user)
        return {
            "batch": row,
            "person": person_text(row.created_by),
            "progress": progress_of(row),
            "lines": lines,
            "is_final": row.finished_at is not None and all(line.is_final for line in lines),
            "panels": [history_panel(("refund_batch", row.pk))],
        }
