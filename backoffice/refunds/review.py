"""Deciding about a refund, and sending a failed one again: pages with the facts and one button.

These are views of their own, not the admin's change form: that one runs inside a transaction,
and the services are durable units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from backoffice.orders.timeline import Story, timeline_context
from backoffice.refunds.facts import facts_of, payer_of
from backoffice.site.bases import actor_of, admin_url, ensure_may, page
from backoffice.site.forms import AmountFormField, DecisionForm, ReasonFormField
from refunds.errors import (
    ApprovedMeanwhile,
    RefundAlreadyReviewed,
    RefundGivenBack,
    RefundNotReplaceable,
)
from refunds.models import Refund, RefundNote
from refunds.permissions import REVIEW_PERMISSION
from refunds.services.own_cases import is_retryable
from refunds.services.requests import refund_replace, refund_review
from refunds.services.retries import refund_retry
from refunds.services.stopping import is_stoppable, refund_stop
from refunds.states import RefundStatus, ReviewDecision
from tcmpay.accounts.selectors import person_text
from tcmpay.common.actor import Actor
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import format_money

# The new request's reason repeats the old one's within 500 characters.
REPLACE_NOTES_MAX = 200
REPLACE = "replace"
APPROVALS_MAX = 2


class ReviewForm(DecisionForm):
    """A decision, with the notes that are kept ready for it."""

    approvals_seen = forms.IntegerField(required=False, min_value=0, max_value=APPROVALS_MAX)
    template = forms.ModelChoiceField(
        label=gettext_lazy("常用语"),
        queryset=RefundNote.objects.filter(is_active=True),
        required=False,
        empty_label=gettext_lazy("选择常用语（可选）"),
        widget=UnfoldAdminSelectWidget(attrs={"data-fills": "id_notes"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        reason_missing = _("驳回时请写明原因，申请人会看到它。")
        super().__init__(
            *args, decisions=ReviewDecision.values, reason_missing=reason_missing, **kwargs
        )
        self.fields["notes"].label = _("审核备注")
        template = self.fields["template"]
        groups: dict[str, list[tuple[Any, str]]] = {}
        for note in template.queryset:
            groups.setdefault(str(note.get_decision_display()), []).append((note.pk, note.text))
        template.choices = [("", template.empty_label), *groups.items()]

    def clean(self) -> dict[str, Any]:
        template = self.cleaned_data.get("template")
        if template is not None and not self.cleaned_data.get("notes"):
            self.cleaned_data["notes"] = template.text
        return super().clean()


class ReplaceForm(forms.Form):
    """Rejecting a request and asking for another amount instead."""

    amount = AmountFormField(label=gettext_lazy("改为退（元）"))
    replace_notes = forms.CharField(
        label=gettext_lazy("理由"),
        max_length=REPLACE_NOTES_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


class StepForm(forms.Form):
    """Sending a failed refund again, or one in progress no more."""

    notes = ReasonFormField(label=gettext_lazy("原因"))


# --- pages --------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def review_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """The page with the facts; only a POST with its token decides."""
    refund = _refund_for(request, object_id)
    if refund is None:
        return _missing(request)
    posted = request.POST if request.method == "POST" else None
    is_replacing = posted is not None and posted.get("decision") == REPLACE
    form = ReviewForm(None if is_replacing else posted)
    replacing = ReplaceForm(posted if is_replacing else None, initial=_replacement(refund, request))
    answer = None
    if is_replacing and replacing.is_valid():
        answer = _replace(request, refund, replacing)
    elif posted is not None and not is_replacing and form.is_valid():
        answer = _decide(request, refund, form)
    if answer is not None:
        return answer
    more = {
        "replacing": replacing,
        "is_replacing": is_replacing,
        "payer": payer_of(refund),
        **timeline_context(Story.of(refund.order)),
    }
    template = "refunds/review.html"
    return _page(request, model_admin, template, refund, form, _("退款审核"), more)


def _replacement(refund: Refund, request: HttpRequest) -> dict[str, Any]:
    proposal = facts_of(refund, request.user).proposal
    if proposal is None or not proposal.can_replace:
        return {}
    text = _("按退款规则可退 %(percentage)d%%") % {"percentage": proposal.rule.percentage}
    return {"amount": proposal.amount, "replace_notes": text}


def _decide(request: HttpRequest, refund: Refund, form: ReviewForm) -> HttpResponse:
    is_approved = form.cleaned_data["decision"] == ReviewDecision.APPROVE
    try:
        after = refund_review(
            actor=actor_of(request),
            refund_id=refund.pk,
            is_approved=is_approved,
            notes=form.cleaned_data["notes"],
            approvals_seen=form.cleaned_data["approvals_seen"] or 0,
        )
    except DomainError as error:
        return _refused(request, error, refund)
    messages.success(request, _decided(after, is_approved))
    return HttpResponseRedirect(reverse("admin:refunds_refund_queue"))


def _replace(request: HttpRequest, refund: Refund, form: ReplaceForm) -> HttpResponse | None:
    """Do it; None where the amount does not fit and the page says so beside what was typed."""
    try:
        after = refund_replace(
            actor=actor_of(request),
            refund_id=refund.pk,
            amount=form.cleaned_data["amount"],
            notes=form.cleaned_data["replace_notes"],
        )
    except RefundNotReplaceable as error:
        form.add_error("amount", str(error.text))
        return None
    except DomainError as error:
        return _refused(request, error, refund)
    text = _("已驳回 %(old)s，并以您的名义另行申请 %(new)s（%(amount)s 元），等待另一位审核人。")
    amount = format_money(after.refund_amount)
    facts = {"old": refund.refund_no, "new": after.refund_no, "amount": amount}
    messages.success(request, text % facts)
    return HttpResponseRedirect(reverse("admin:refunds_refund_queue"))


def _refused(request: HttpRequest, error: DomainError, refund: Refund) -> HttpResponse:
    """Back to the page, which then says who decided what and when, or why this person may not."""
    if isinstance(error, ApprovedMeanwhile):
        facts = {"person": person_text(error.facts["by"])}
        messages.warning(request, _("%(person)s 刚已批准，您这次是第二位，请再确认。") % facts)
    elif isinstance(error, RefundAlreadyReviewed):
        messages.warning(request, _("您的操作没有生效：%(reason)s。") % {"reason": error.text})
    else:
        text = _("%(number)s：%(reason)s")
        messages.error(request, text % {"number": refund.refund_no, "reason": error.text})
    return HttpResponseRedirect(admin_url("refunds_refund_review", refund.pk))


def _decided(refund: Refund, is_approved: bool) -> str:
    facts = {"number": refund.refund_no, "amount": refund.refund_amount}
    if not is_approved:
        return _("已驳回退款 %(number)s（%(amount)s 元）。") % facts
    if refund.status == RefundStatus.PENDING:
        return _("已记录您对退款 %(number)s（%(amount)s 元）的批准，还需另一位审核人批准。") % facts
    if refund.status == RefundStatus.PROCESSING:
        return _("已批准退款 %(number)s（%(amount)s 元），正在提交网关，结果会自动更新。") % facts
    return _("已批准退款 %(number)s（%(amount)s 元），款项已退回用户余额。") % facts


def _retry(actor: Actor, refund: Refund, reason: str) -> str:
    refund_retry(actor=actor, refund_id=refund.pk, reason=reason)
    return _("已重新提交退款 %(number)s，结果会自动更新。")


def _stop(actor: Actor, refund: Refund, reason: str) -> str:
    after = refund_stop(actor=actor, refund_id=refund.pk, reason=reason)
    if after.stopped_by is None:
        return _("已申请停止发送退款 %(number)s，等待另一位审核人同意。")
    return _("退款 %(number)s 不再发送；网关答复没有这笔退款后按失败结束。")


@dataclass(frozen=True)
class Step:
    """Something to do with a refund that is decided: when it is offered, what it says and does."""

    title: Any
    is_offered: Callable[[Refund], bool]
    run: Callable[[Actor, Refund, str], str]
    # What the page says: before what the gateway answered, on the button, under it, and when it
    # is not offered.
    answered: Any
    button: Any
    note: Any
    refusal: Callable[[Refund], str]


def _why_no_retry(refund: Refund) -> str:
    if refund.status == RefundStatus.FAILED:
        return str(RefundGivenBack.message)
    return _("只能重试失败的退款，当前状态：%(state)s。") % {"state": refund.state_text}


def _why_no_stop(refund: Refund) -> str:
    text = _("只能停止进行中、网关尚未受理的退款，当前状态：%(state)s。")
    return text % {"state": refund.state_text}


RETRY = Step(
    title=gettext_lazy("重试退款"),
    is_offered=is_retryable,
    run=_retry,
    answered=gettext_lazy("上次失败的原因："),
    button=gettext_lazy("重试退款 %(amount)s 元"),
    note=gettext_lazy("使用原退款单号重新提交网关，不会重复退款。"),
    refusal=_why_no_retry,
)
STOP = Step(
    title=gettext_lazy("停止发送"),
    is_offered=is_stoppable,
    run=_stop,
    answered=gettext_lazy("网关最近的答复："),
    button=gettext_lazy("停止发送退款 %(amount)s 元"),
    note=gettext_lazy(
        "之后只按单号询问、不再发送。网关答复没有这笔退款，它才按失败结束、款项才释放；"
        "问不到时款项一直留着。"
    ),
    refusal=_why_no_stop,
)


@require_http_methods(["GET", "HEAD", "POST"])
def step_view(request: HttpRequest, object_id: str, model_admin: Any, step: Step) -> HttpResponse:
    """Do a step, with a reason."""
    refund = _refund_for(request, object_id)
    if refund is None:
        return _missing(request)
    form = StepForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        more = {
            "step": step,
            "is_offered": step.is_offered(refund),
            "button": step.button % {"amount": f"{refund.refund_amount:,.2f}"},
            "refusal": step.refusal(refund),
        }
        title = str(step.title)
        return _page(request, model_admin, "refunds/step.html", refund, form, title, more)
    actor = actor_of(request)
    try:
        done = step.run(actor, refund, form.cleaned_data["notes"])
    except DomainError as error:
        facts = {"number": refund.refund_no, "reason": error.text}
        messages.error(request, _("%(number)s：%(reason)s") % facts)
    else:
        messages.success(request, done % {"number": refund.refund_no})
    return HttpResponseRedirect(admin_url("refunds_refund_change", refund.pk))


# --- what they share ----------------------------------------------------------------------------


def _refund_for(request: HttpRequest, object_id: str) -> Refund | None:
    """The refund, for whoever may decide about it. Raises PermissionDenied."""
    ensure_may(request, REVIEW_PERMISSION)
    return (
        Refund.objects.select_related("order", "transaction")
        .filter(pk=as_uuid_or_text(object_id))
        .first()
    )


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
    more: dict[str, Any] | None = None,
) -> HttpResponse:
    context = {
        "title": f"{title} {refund.refund_no}",
        "original": refund,
        "form": form,
        "facts": facts_of(refund, request.user),
        **(more or {}),
    }
    return page(request, model_admin, template, context)
