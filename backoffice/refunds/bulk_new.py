"""Asking for refunds of many orders: by the order list's filters, or by a file; first the preview.

The preview writes nothing. What a file named travels with the page, packed and signed, so that
what is confirmed is what was shown, on whichever host.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminFileFieldWidget

from backoffice.refunds.bulk_files import FileRefused, rows_of
from backoffice.refunds.bulk_filters import NOT_FILTERS, source_words
from backoffice.site.bases import actor_of, admin_url, ensure_may, page
from backoffice.site.filtered import FilterUnusable, rows_as_filtered
from backoffice.site.forms import OnceForm, ReasonFormField
from backoffice.site.uploads import is_too_large
from backoffice.site.words import BULK_PAGE, ORDER_PAGE
from refunds.bulk_plan import ROWS_MAX, Plan, Planned, Wanted, plan_of
from refunds.errors import BulkChanged
from refunds.permissions import REQUEST_PERMISSION
from refunds.services.bulks import bulk_request, same_asked_before
from refunds.states import BulkSource
from tcmpay.common.errors import DomainError
from tcmpay.common.money import format_money, parse_money

QUERY_LENGTH_MAX = 500
# On one page of the preview.
ROWS_PER_PAGE = 500
# A form's fields come to at most 2 MB.
PACKED_MAX = 1_500_000
# A page that an earlier version packed, without the lines, is refused.
PACKED_AS = f"{BULK_PAGE} with lines"


class BulkForm(OnceForm):
    reason = ReasonFormField(
        label=gettext_lazy("退款原因"),
        help_text=gettext_lazy("每笔退款都记这个原因，用户会看到它；文件里另写了原因的除外。"),
        error_messages={"required": gettext_lazy("请写明退款原因，用户会看到它。")},
    )


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("文件"),
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget,
        help_text=gettext_lazy(
            "CSV 或 XLSX，第一行是标题：订单号（必需），退款金额（不填则退全部可退金额），"
            "退款原因（不填则用下一步写的）。最多 5000 行。从订单列表导出的文件可以直接用。"
        ),
    )


# --- by the order list's filters ------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def filtered_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """What would become of all orders of the list as it is filtered; a POST asks for them."""
    ensure_may(request, REQUEST_PERMISSION)
    query = str(request.GET.get("query", ""))[:QUERY_LENGTH_MAX]
    back = f"{reverse(f'admin:{ORDER_PAGE}_changelist')}?{query}"
    try:
        wanted = _filtered(request.user, query)
    except FilterUnusable as error:
        messages.warning(request, str(error))
        return HttpResponseRedirect(back)
    return _preview(request, model_admin, wanted, BulkSource.FILTER, query, back=back)


def _filtered(person: Any, query: str) -> list[Wanted]:
    """Raises FilterUnusable: no filter, no order, or too many."""
    chosen = [name for name, value in parse_qsl(query) if value and name not in NOT_FILTERS]
    if not chosen:
        raise FilterUnusable(_("请先在订单列表中筛选出要退款的订单，例如按支付日期和服务。"))
    rows = rows_as_filtered(person, ORDER_PAGE, query).order_by("created_at", "id")
    keys = list(rows.values_list("pk", flat=True)[: ROWS_MAX + 1])
    if not keys:
        raise FilterUnusable(_("筛选条件下没有订单。"))
    if len(keys) > ROWS_MAX:
        text = _("筛选出的订单超过 %(number)d 个，请缩小范围，分几次退款。")
        raise FilterUnusable(text % {"number": ROWS_MAX})
    return [Wanted(str(key)) for key in keys]


# --- by a file ------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def upload_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """The form for a file; then what would become of what it names; then asking for it."""
    ensure_may(request, REQUEST_PERMISSION)
    if request.method == "POST" and "rows" in request.POST:
        return _uploaded(request, model_admin)
    posted = request.POST if request.method == "POST" else None
    form = UploadForm(posted, request.FILES if posted is not None else None)
    if posted is not None and is_too_large(request):
        form.add_error("file", _("文件太大。"))
    if posted is not None and form.is_valid():
        sent = form.cleaned_data["file"]
        try:
            wanted = rows_of(sent, sent.name or "")
            packed = _packed(wanted, str(sent.name or "")[:200])
        except FileRefused as refusal:
            form.add_error("file", str(refusal))
        else:
            name = str(sent.name or "")[:200]
            return _preview(request, model_admin, wanted, BulkSource.FILE, name, packed=packed)
    context = {
        "title": _("上传清单批量退款"),
        "original": _("上传清单批量退款"),  # the last step of the breadcrumbs
        "form": form,
    }
    return page(request, model_admin, "refunds/bulk_upload.html", context)


def _uploaded(request: HttpRequest, model_admin: Any) -> HttpResponse:
    packed = request.POST["rows"]
    try:
        name, rows = Signer(salt=PACKED_AS).unsign_object(packed)
    except BadSignature as error:
        raise PermissionDenied from error
    wanted = [
        Wanted(named, parse_money(amount) if amount else None, reason, problem, line)
        for named, amount, reason, problem, line in rows
    ]
    return _preview(request, model_admin, wanted, BulkSource.FILE, name, packed=packed)


def _packed(wanted: Sequence[Wanted], name: str) -> str:
    """Raises FileRefused: too long a text for a form."""
    rows = [
        (
            row.named,
            format_money(row.amount) if row.amount else "",
            row.reason,
            row.problem,
            row.line,
        )
        for row in wanted
    ]
    packed = Signer(salt=PACKED_AS).sign_object((name, rows), compress=True)
    if len(packed) > PACKED_MAX:
        raise FileRefused(_("文件中的文字太多，请分几次，或缩短退款原因。"))
    return packed


# --- the preview ----------------------------------------------------------------------------------


def _preview(
    request: HttpRequest,
    model_admin: Any,
    wanted: Sequence[Wanted],
    source: BulkSource,
    source_text: str,
    *,
    packed: str = "",
    back: str = "",
) -> HttpResponse:
    is_confirmed = request.POST.get("step") == "confirm"
    # Turning a page sends what was typed so far, which is not judged yet.
    typed = {"reason": request.POST.get("reason", "")}
    form = BulkForm(request.POST) if is_confirmed else BulkForm(initial=typed)
    if is_confirmed and form.is_valid():
        answer = _confirm(request, form, wanted, source, source_text)
        if answer is not None:
            return answer
    plan = plan_of(wanted)
    context = {
        "title": _("批量退款预演"),
        "original": _("批量退款预演"),  # the last step of the breadcrumbs
        "plan": plan,
        "able": len(plan.able),
        "left_out": len(plan.rows) - len(plan.able),
        "shown": Paginator(_in_order(plan), ROWS_PER_PAGE).get_page(request.POST.get("page")),
        "form": form,
        "packed": packed,
        "source": source.label,
        "source_text": source_words(source, source_text),
        "again": same_asked_before(plan) if plan.able else None,
        "back": back or reverse(f"admin:{BULK_PAGE}_upload"),
    }
    return page(request, model_admin, "refunds/bulk_preview.html", context)


def _in_order(plan: Plan) -> list[Planned]:
    """Those that would be left out first: of them somebody has to think."""
    return sorted(plan.rows, key=lambda row: row.is_able)


def _confirm(
    request: HttpRequest,
    form: BulkForm,
    wanted: Sequence[Wanted],
    source: BulkSource,
    source_text: str,
) -> HttpResponse | None:
    """Ask for it; None where the page has to be looked at again, which it then says."""
    bulk_id: UUID = form.cleaned_data["form_id"]
    try:
        bulk = bulk_request(
            actor=actor_of(request),
            wanted=wanted,
            reason=form.cleaned_data["reason"],
            source=source,
            source_text=source_text,
            bulk_id=bulk_id,
            seen=str(request.POST.get("seen", "")) or "-",
        )
    except BulkChanged as error:
        messages.warning(request, str(error.text))
        return None
    except DomainError as error:
        messages.error(request, str(error.text))
        return None
    facts = {"number": bulk.rows_able, "amount": f"{bulk.amount:,.2f}"}
    text = _("已提交：%(number)d 笔，共 %(amount)s 元，等待另一位同事复核后执行。")
    messages.success(request, text % facts)
    return HttpResponseRedirect(admin_url(f"{BULK_PAGE}_change", bulk.pk))
