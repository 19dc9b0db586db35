"""Bulks of refunds: the list, the second person's page, the page of progress and results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from backoffice.refunds.bulk_filters import source_words
from backoffice.refunds.bulk_new import filtered_view, upload_view
from backoffice.refunds.bulk_results import NEVER_BEGUN, outcome_text, result_view, row_text
from backoffice.refunds.panels import status_badge
from backoffice.site.bases import (
    BoundedPaginator,
    actor_of,
    admin_url,
    column,
    moment,
    money,
    own_urls,
    person_name,
    state,
)
from backoffice.site.display import BAD, GOOD, NEUTRAL, RUNNING, WAITING, badge
from backoffice.site.forms import REASON_LENGTH_MAX
from backoffice.site.second_person import Door, SecondPersonAdmin, Words
from backoffice.site.second_person import refusal_text as refusal_words
from backoffice.site.words import BULK_PAGE
from backoffice.trail.pages import history_panel
from payments.states import PaymentMethod
from refunds.bulk_plan import MethodSum, refusal_text
from refunds.models import Refund, RefundBulk, RefundBulkRow
from refunds.permissions import REQUEST_PERMISSION, REVIEW_PERMISSION
from refunds.services.bulks import (
    bulk_approve,
    bulk_end,
    bulk_pause,
    bulk_reject,
    bulk_resume,
    bulk_withdraw,
)
from refunds.states import BulkOutcome, BulkSource, BulkStatus, RefundStatus
from tcmpay.accounts.selectors import person_text
from tcmpay.common.actor import Actor
from tcmpay.common.db import sum_money
from tcmpay.common.errors import DomainError, InvalidInput
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import Money

ROWS_PER_PAGE = 50
STATUS_TONES: Mapping[str, str] = {
    BulkStatus.PENDING: WAITING,
    BulkStatus.RUNNING: RUNNING,
    BulkStatus.PAUSED: WAITING,
    BulkStatus.FINISHED: GOOD,
    BulkStatus.REJECTED: NEUTRAL,
    BulkStatus.WITHDRAWN: NEUTRAL,
}
OUTCOME_TONES: Mapping[str, str] = {
    BulkOutcome.WAITING: WAITING,
    BulkOutcome.APPROVED: GOOD,
    BulkOutcome.ASKED: RUNNING,
    BulkOutcome.REFUSED: BAD,
    BulkOutcome.LEFT_OUT: NEUTRAL,
}


@dataclass(frozen=True)
class Tally:
    """How many rows, and how much together (yuan), of one outcome or state; refused rows ask for no
    amount."""

    code: str
    name: str
    count: int
    amount: Money | None


@dataclass(frozen=True)
class ResultLine:
    """One row of a bulk, as its page shows it."""

    row: RefundBulkRow

    @property
    def outcome(self) -> str:
        tone = OUTCOME_TONES.get(self.row.outcome, NEUTRAL)
        return badge(outcome_text(self.row.outcome, self.row.bulk), tone)

    @property
    def remark(self) -> str:
        return row_text(self.row)

    @property
    def refund_state(self) -> str:
        return status_badge(self.row.refund) if self.row.refund else ""


def outcome_tallies(bulk: RefundBulk) -> list[Tally]:
    """The rows by what became of them, in the order of the outcomes; those there are."""
    counts = dict(bulk.rows.order_by().values_list("outcome").annotate(rows=Count("pk")))
    return [
        Tally(
            one,
            outcome_text(one, bulk),
            counts[one],
            None
            if one == BulkOutcome.REFUSED
            else sum_money(bulk.rows.filter(outcome=one), "amount"),
        )
        for one in BulkOutcome
        if one in counts
    ]


def refund_tallies(bulk: RefundBulk) -> list[Tally]:
    """Its refunds by how they stand now."""
    refunds = Refund.objects.filter(bulk_row__bulk=bulk)
    counts = dict(refunds.order_by().values_list("status").annotate(rows=Count("pk")))
    return [
        Tally(
            one,
            str(one.label),
            counts[one],
            sum_money(refunds.filter(status=one), "refund_amount"),
        )
        for one in RefundStatus
        if one in counts
    ]


def method_sums(bulk: RefundBulk) -> list[MethodSum]:
    """What a bulk asks for by way of paying, as it was confirmed."""
    able = bulk.rows.exclude(outcome=BulkOutcome.REFUSED, refund=None)
    found = []
    for method in PaymentMethod.values:
        rows = able.filter(order__payment_method=method)
        if count := rows.count():
            found.append(MethodSum(method, count, sum_money(rows, "amount")))
    return found


def _end(actor: Actor, bulk_id: Any, notes: str) -> RefundBulk:
    if not notes:
        raise InvalidInput({"notes": [_("请写明原因，它会记入审计记录。")]})
    return bulk_end(actor=actor, bulk_id=bulk_id, notes=notes)


# What its page's buttons do, and what is said then.
STEPS: Mapping[str, tuple[Callable[[Actor, Any, str], RefundBulk], Any]] = {
    "pause": (
        lambda actor, key, _notes: bulk_pause(actor=actor, bulk_id=key),
        gettext_lazy("已暂停：正在处理的一笔做完后停下。"),
    ),
    "resume": (
        lambda actor, key, _notes: bulk_resume(actor=actor, bulk_id=key),
        gettext_lazy("已继续执行。"),
    ),
    "end": (_end, gettext_lazy("已结束，其余的没有退款。")),
}


class RefundBulkAdmin(SecondPersonAdmin):
    """Who asked for refunds of many orders, who agreed, how far it is, and what became of each."""

    page_template, page_part = "refunds/bulk.html", "refunds/bulk_result.html"
    decide_permission = REVIEW_PERMISSION
    review_template = "refunds/bulk_review.html"
    list_before_template = "refunds/bulk_bar.html"
    title = gettext_lazy("复核批量退款")
    todo_title = gettext_lazy("复核")
    review_title = gettext_lazy("复核这次批量退款")
    words = Words(
        own=gettext_lazy("这是您自己提交的，须由另一位同事复核；不再需要时可以撤回。"),
        done=gettext_lazy("这次批量退款已处理，当前状态：%(state)s。"),
        told_meanwhile=gettext_lazy(
            "这次批量退款已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s"
        ),
        reason_missing=gettext_lazy("驳回时请写明原因，提交人会看到它。"),
    )
    list_display = (
        "created",
        "source_shown",
        "reason_shown",
        "rows_shown",
        "amount_shown",
        "status_shown",
        "requester",
        "waits",
        "todo",
    )

    created = moment("created_at", gettext_lazy("提交时间"))
    source_shown = state("source", gettext_lazy("来源"), BulkSource, {})
    status_shown = state("status", gettext_lazy("状态"), BulkStatus, STATUS_TONES)
    reason_shown = column("reason", gettext_lazy("退款原因"), str)
    rows_shown = column("rows_able", gettext_lazy("笔数"), str)
    amount_shown = money("amount", gettext_lazy("合计（元）"))
    requester = person_name("requested_by", gettext_lazy("提交人"))

    def title_of(self, row: RefundBulk) -> str:
        return _("批量退款")

    # --- the second person -----------------------------------------------------------------------

    def doors(self, row: RefundBulk) -> tuple[Door, Door, Door]:
        key = {"bulk_id": row.pk}
        facts = {"number": row.rows_able, "amount": f"{row.amount:,.2f}"}
        return (
            Door(
                _("同意退款：%(number)d 笔，共 %(amount)s 元") % facts,
                partial(bulk_approve, **key),
                _("已同意，正在逐笔执行，进度见本页。"),
            ),
            Door(_("驳回"), partial(bulk_reject, **key), _("已驳回，没有申请任何退款。")),
            Door(_("撤回"), partial(bulk_withdraw, **key), _("已撤回，没有申请任何退款。")),
        )

    def facts(self, request: HttpRequest, row: RefundBulk) -> dict[str, Any]:
        return {**self._about(row), **self._rows(request, row)}

    def next_address(self, row: Any) -> str:
        return admin_url(f"{BULK_PAGE}_change", row.pk)

    # --- progress and results ---------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: RefundBulk) -> dict[str, Any]:
        tallies = outcome_tallies(row)
        waiting = sum(one.count for one in tallies if one.code == BulkOutcome.WAITING)
        processing = Refund.objects.filter(bulk_row__bulk=row, status=RefundStatus.PROCESSING)
        is_running = row.status == BulkStatus.RUNNING
        return {
            **self._about(row),
            **self._rows(request, row),
            "bulk": row,
            "status": status_text(row),
            "decider": person_text(row.decided_by) if row.decided_by else "",
            "is_begun": not row.is_waiting and row.status not in NEVER_BEGUN,
            "handled": row.rows_total - waiting,
            "outcomes": tallies,
            "refunds": refund_tallies(row),
            "is_final": not is_running and not processing.exists(),
            "may_decide": row.is_waiting and self.may_open(request.user, row),
            "may_step": self._may_step(request.user),
            "panels": [history_panel((RefundBulk.AUDIT_OBJECT, row.pk))],
        }

    def _about(self, row: RefundBulk) -> dict[str, Any]:
        return {
            "requester": person_text(row.requested_by),
            "source_text": source_words(row.source, row.source_text),
            "sums": method_sums(row),
            "left_out": row.rows_total - row.rows_able,
            "refusals": [
                (refusal_text(code), count)
                for code, count in row.rows.filter(outcome=BulkOutcome.REFUSED)
                .order_by()
                .values_list("error_code")
                .annotate(rows=Count("pk"))
            ],
        }

    def _rows(self, request: HttpRequest, row: RefundBulk) -> dict[str, Any]:
        """One page of its rows, of one outcome if that is asked for; first what was left out."""
        show = request.GET.get("show", "")
        rows: QuerySet[RefundBulkRow] = row.rows.select_related("order", "refund")
        if show in BulkOutcome.values:
            rows = rows.filter(outcome=show)
        elif show == "failed":
            rows = rows.filter(refund__status=RefundStatus.FAILED)
        shown: Page[Any] = BoundedPaginator(rows.order_by("position"), ROWS_PER_PAGE).get_page(
            request.GET.get("page")
        )
        return {
            "show": show,
            "page": shown,
            "lines": [ResultLine(one) for one in shown.object_list],
        }

    @staticmethod
    def _may_step(user: Any) -> bool:
        return bool(user.has_perm(REQUEST_PERMISSION) or user.has_perm(REVIEW_PERMISSION))

    def may_open(self, user: Any, row: RefundBulk) -> bool:
        if row.requested_by == user.pk and user.has_perm(REQUEST_PERMISSION):
            return True
        return bool(user.has_perm(REVIEW_PERMISSION))

    def step(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause, go on, or end."""
        if not self._may_step(request.user) or not self.has_view_permission(request):
            raise PermissionDenied
        key, notes = as_uuid_or_text(object_id), _notes(request)
        step = STEPS.get(request.POST.get("do", ""))
        if step is None:
            raise PermissionDenied
        service, told = step
        try:
            service(actor_of(request), key, notes)
        except DomainError as error:
            messages.error(request, refusal_words(error))
        else:
            messages.success(request, str(told))
        return HttpResponseRedirect(admin_url(f"{BULK_PAGE}_change", key))

    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, tuple[str, Callable[..., Any]]] = {
            "filtered": ("filtered/", filtered_view),
            "upload": ("upload/", upload_view),
            "result": ("<path:object_id>/result/", result_view),
            "step": ("<path:object_id>/step/", step_view),
        }
        return [*own_urls(self, BULK_PAGE, pages), *super().get_urls()]


@require_POST
def step_view(request: HttpRequest, object_id: str, model_admin: RefundBulkAdmin) -> HttpResponse:
    return model_admin.step(request, object_id)


def status_text(bulk: RefundBulk) -> str:
    return badge(str(bulk.get_status_display()), STATUS_TONES.get(bulk.status, NEUTRAL))


def _notes(request: HttpRequest) -> str:
    return str(request.POST.get("notes", "")).strip()[:REASON_LENGTH_MAX]
