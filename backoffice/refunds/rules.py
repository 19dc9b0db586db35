"""What staff edit about refunds: the policy's rules, and the notes offered to reviewers."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from backoffice.site.bases import FiltersOfListOnly, column, state
from backoffice.site.display import BAD, GOOD, NEUTRAL, badge
from backoffice.trail.pages import history_panel
from refunds.errors import RulesOverlap
from refunds.models import RefundNote, RefundPolicyRule
from refunds.services.rules import note_save, rule_overlap, rule_save
from refunds.states import ReviewDecision


class RuleForm(forms.ModelForm):
    class Meta:
        model = RefundPolicyRule
        fields = (
            "order_type", "hours_from", "hours_to", "percentage", "is_active", "description",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        percentage = cleaned.get("percentage")
        if percentage is not None and percentage > 100:
            self.add_error("percentage", gettext("请填 0 到 100"))
        start, end = cleaned.get("hours_from"), cleaned.get("hours_to")
        if start is not None and end is not None and start >= end:
            self.add_error("hours_to", gettext("必须大于前一栏的小时数"))
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors and (other := rule_overlap(self.instance)) is not None:
            text = gettext("%(reason)s：%(rule)s")
            facts = {"reason": RulesOverlap.message, "rule": rule_text(other)}
            self.add_error(None, ValidationError(text % facts))


def rule_text(rule: RefundPolicyRule) -> str:
    """A rule in plain words."""
    return gettext("%(kind)s，%(hours)s：可退 %(percentage)d%%") % {
        "kind": rule.get_order_type_display() if rule.order_type else gettext("所有类型"),
        "hours": hours_text(rule),
        "percentage": rule.percentage,
    }


def hours_text(rule: RefundPolicyRule) -> str:
    start, end = rule.hours_from, rule.hours_to
    if start is None and end is None:
        return gettext("不论预约时间")
    if start is None:
        if end == 0:
            return gettext("预约时间已过")
        return gettext("距预约不足 %(end)d 小时") % {"end": end}
    if end is None:
        return gettext("距预约 %(start)d 小时以上") % {"start": start}
    return gettext("距预约 %(start)d 至 %(end)d 小时") % {"start": start, "end": end}


class WrittenByService(FiltersOfListOnly, ModelAdmin):
    """Small tables of settings: saved through a service, told in the trail, never deleted."""

    actions = None
    compressed_fields = True
    list_fullwidth = True
    change_form_outer_after_template = "site/panels.html"
    object_type = ""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit trail tells it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit trail tells it."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except RulesOverlap as error:
            # Somebody saved an overlapping one between this form's check and its saving.
            messages.error(request, str(error.text))
            return HttpResponseRedirect(request.get_full_path())

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        if kw.get("obj") is not None:
            context["panels"] = [history_panel((self.object_type, kw["obj"].pk))]
        context["show_history"] = False
        return super().render_change_form(request, context, *args, **kw)


def active_badge(row: RefundNote | RefundPolicyRule) -> str:
    return badge(gettext("启用"), GOOD) if row.is_active else badge(gettext("停用"), NEUTRAL)


class RefundPolicyRuleAdmin(WrittenByService):
    form = RuleForm
    object_type = "refund_policy_rule"
    list_display = ("text", "active", "description")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefundPolicyRule]:
        return super().get_queryset(request).order_by("order_type", "-hours_from", "id")

    text = column("", _("规则"), rule_text)
    active = column("", _("状态"), active_badge)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        rule_save(actor=request.user.as_actor(), rule=obj)


class RefundNoteAdmin(WrittenByService):
    object_type = "refund_note"
    fields = ("decision", "text", "position", "is_active")
    list_display = ("text", "decision_shown", "position", "active")

    decision_shown = state(
        "decision",
        _("用于"),
        ReviewDecision,
        {ReviewDecision.APPROVE: GOOD, ReviewDecision.REJECT: BAD},
    )

    active = column("", _("状态"), active_badge)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        note_save(actor=request.user.as_actor(), note=obj)
