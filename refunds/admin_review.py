"""Deciding about a refund, and sending a failed one again: pages with the facts and one button.

These are views of their own, not the admin's change form: that one runs inside a transaction,
and the services are durable units.
"""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextareaWidget

from payments.states import PaymentMethod
from refunds.errors import RefundAlreadyReviewed
from refunds.models import Refund
from refunds.selectors import refunded_total
from refunds.services.requests import refund_review
from refunds.services.submission import refund_retry
from refunds.states import AUTOMATIC_CAUSES, RESERVING_STATUSES, RefundStatus
from tcmpay.accounts.selectors import people_names, person_text
from tcmpay.common.admin import admin_url
from tcmpay.common.display import age_text
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import ZERO, Money

REVIEW_PERMISSION = "refunds.review_refund"
QUEUE_QUERY = "?status__exact=pending"
EARLIER_MAX = 20
NOTES_MAX = 500


class ReviewForm(forms.Form):
    """A decision. Saying no needs a reason; saying yes may have one."""

    decision = forms.ChoiceField(
        choices=[("approve", gettext_lazy("批准")), ("reject", gettext_lazy("驳回"))]
    )
    notes = forms.CharField(
        label=gettext_lazy("审核备注"),
        required=False,
        max_length=NOTES_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("decision") == "reject" and not cleaned.get("notes"):
            self.add_error("notes", _("驳回时请写明原因，申请人会看到它。"))
        return cleaned


class RetryForm(forms.Form):
    notes = forms.CharField(
        label=gettext_lazy("重试原因"),
        max_length=NOTES_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


@dataclass(frozen=True)
class Facts:
    """What a reviewer has to know, read at one go."""

    refund: Refund
    earlier: list[Refund]
    earlier_count: int
    refunded: Money
    held: Money
    open: Money
    approvals: list[tuple[str, Any]]
    requester: str
    age: str
    place: str
    is_own: bool
    has_approved: bool

    @property
    def can_decide(self) -> bool:
        is_waiting = self.refund.status == RefundStatus.PENDING
        return is_waiting and not self.is_own and not self.has_approved


def facts_of(refund: Refund, reader: Any) -> Facts:
    """The facts about ``refund`` as ``reader`` (a staff user) has to see them."""
    earlier = (
        Refund.objects.filter(user_id=refund.user_id)
        .exclude(pk=refund.pk)
        .order_by("-created_at", "-id")
    )
    shown = list(earlier[: EARLIER_MAX + 1])
    payment = refund.transaction
    refunded = refunded_total(payment.pk)
    approvals = list(refund.approvals.order_by("created_at"))
    names = people_names(approval.reviewer_id for approval in approvals)
    return Facts(
        refund=refund,
        earlier=shown[:EARLIER_MAX],
        earlier_count=len(shown),
        refunded=refunded,
        held=_held_by_others(refund),
        open=payment.amount - payment.refund_reserved,
        approvals=[
            (person_text(approval.reviewer_id, names=names), approval) for approval in approvals
        ],
        requester=_requester(refund),
        age=age_text(refund.created_at),
        place=money_place(refund),
        is_own=reader.pk in {refund.requested_by, refund.user_id},
        has_approved=any(approval.reviewer_id == reader.pk for approval in approvals),
    )


def _held_by_others(refund: Refund) -> Money:
    """What other open refunds of the same payment hold (yuan)."""
    others = Refund.objects.filter(
        transaction_id=refund.transaction_id,
        status__in=RESERVING_STATUSES - {RefundStatus.SUCCESS},
    ).exclude(pk=refund.pk)
    return sum(others.values_list("refund_amount", flat=True), ZERO)


def _requester(refund: Refund) -> str:
    if refund.cause in AUTOMATIC_CAUSES and refund.requested_by is None:
        return _("系统自动")
    if refund.requested_by == refund.user_id:
        return _("用户本人")
    return person_text(refund.requested_by)


def money_place(refund: Refund) -> str:
    """In plain words, where a refund's money is."""
    if refund.status == RefundStatus.PENDING:
        return _("还没有退：等待审核，金额已为这笔申请预留。")
    if refund.status == RefundStatus.PROCESSING:
        return _("正在网关处理：请勿另行退款，结果会自动更新。")
    if refund.status == RefundStatus.SUCCESS:
        is_balance = refund.transaction.payment_method == PaymentMethod.BALANCE
        return _("已退回用户余额。") if is_balance else _("已由网关原路退回。")
    if refund.status == RefundStatus.FAILED:
        return _("没有退：网关拒绝了这笔退款，处理原因后可重试。")
    return _("没有退：申请已驳回或撤回，预留的金额已释放。")


# --- pages --------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def review_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """The page with the facts; only a POST with its token decides."""
    refund = _refund_for(request, object_id)
    if refund is None:
        return _missing(request)
    form = ReviewForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _decide(request, refund, form)
    return _page(request, model_admin, "admin/refunds/review.html", refund, form, _("退款审核"))


def _decide(request: HttpRequest, refund: Refund, form: ReviewForm) -> HttpResponse:
    is_approved = form.cleaned_data["decision"] == "approve"
    try:
        after = refund_review(
            actor=request.user.as_actor(),  # type: ignore[union-attr]
            refund_id=refund.pk,
            is_approved=is_approved,
            notes=form.cleaned_data["notes"],
        )
    except DomainError as error:
        messages.error(request, _refusal(error, refund))
        return HttpResponseRedirect(admin_url("refunds_refund_change", refund.pk))
    messages.success(request, _decided(after, is_approved))
    return HttpResponseRedirect(reverse("admin:refunds_refund_changelist") + QUEUE_QUERY)


def _refusal(error: DomainError, refund: Refund) -> str:
    """Why it was refused; where somebody was faster: who, and what they decided."""
    if not isinstance(error, RefundAlreadyReviewed):
        return _("%(number)s：%(reason)s") % {"number": refund.refund_no, "reason": error.text}
    now = Refund.objects.get(pk=refund.pk)
    if now.reviewed_by is None:
        return _("%(number)s：%(reason)s（当前状态：%(state)s）") % {
            "number": now.refund_no,
            "reason": error.text,
            "state": now.get_status_display(),
        }
    was_rejected = now.status == RefundStatus.CANCELLED
    return _("%(number)s 已由%(person)s%(decision)s，当前状态：%(state)s。备注：%(notes)s") % {
        "number": now.refund_no,
        "person": person_text(now.reviewed_by),
        "decision": _("驳回") if was_rejected else _("批准"),
        "state": now.get_status_display(),
        "notes": now.review_notes or _("无"),
    }


def _decided(refund: Refund, is_approved: bool) -> str:
    facts = {"number": refund.refund_no, "amount": refund.refund_amount}
    if not is_approved:
        return _("已驳回退款 %(number)s（%(amount)s 元）。") % facts
    if refund.status == RefundStatus.PENDING:
        return _("已记录您对退款 %(number)s（%(amount)s 元）的批准，还需另一位审核人批准。") % facts
    if refund.status == RefundStatus.PROCESSING:
        return _("已批准退款 %(number)s（%(amount)s 元），正在提交网关，结果会自动更新。") % facts
    return _("已批准退款 %(number)s（%(amount)s 元），款项已退回用户余额。") % facts


@require_http_methods(["GET", "HEAD", "POST"])
def retry_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Send a failed refund again, with a reason."""
    refund = _refund_for(request, object_id)
    if refund is None:
        return _missing(request)
    form = RetryForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _retry(request, refund, form.cleaned_data["notes"])
    return _page(request, model_admin, "admin/refunds/retry.html", refund, form, _("重试退款"))


def _retry(request: HttpRequest, refund: Refund, reason: str) -> HttpResponse:
    try:
        refund_retry(
            actor=request.user.as_actor(),  # type: ignore[union-attr]
            refund_id=refund.pk,
            reason=reason,
        )
    except DomainError as error:
        messages.error(request, _refusal(error, refund))
    else:
        text = _("已重新提交退款 %(number)s，结果会自动更新。")
        messages.success(request, text % {"number": refund.refund_no})
    return HttpResponseRedirect(admin_url("refunds_refund_change", refund.pk))


# --- what both share ----------------------------------------------------------------------------


def _refund_for(request: HttpRequest, object_id: str) -> Refund | None:
    """The refund, for whoever may decide about it. Raises PermissionDenied."""
    if not request.user.has_perm(REVIEW_PERMISSION):
        raise PermissionDenied
    return _refunds().filter(pk=as_uuid_or_text(object_id)).first()


def _refunds() -> QuerySet[Refund]:
    return Refund.objects.select_related("order", "transaction")


def _missing(request: HttpRequest) -> HttpResponse:
    messages.warning(request, _("退款记录不存在"))
    return HttpResponseRedirect(reverse("admin:refunds_refund_changelist"))


def _page(
    request: HttpRequest,
    model_admin: Any,
    template: str,
    refund: Refund,
    form: forms.Form,
    title: str,
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{title} {refund.refund_no}",
        "opts": model_admin.opts,
        "model_admin": model_admin,
        "original": refund,
        "form": form,
        "facts": facts_of(refund, request.user),
    }
    request.current_app = model_admin.admin_site.name  # type: ignore[attr-defined]
    return TemplateResponse(request, template, context)
