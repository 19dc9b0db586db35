"""The page that follows hash chains (校验链): for an auditor, who changes nothing by it."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.transaction import atomic
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from backoffice.site.bases import ensure_may, page
from tcmpay.audit.verification import ChainReport, Key, days_verify, object_verify
from tcmpay.common import clock

VERIFY_PERMISSION = "audit.verify_auditevent"
DAYS_MAX = 92


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own calendar: no script."""

    input_type = "date"

    def format_value(self, value: Any) -> str | None:
        return value.isoformat() if hasattr(value, "isoformat") else super().format_value(value)


class VerifyForm(forms.Form):
    """One object, or a range of business days."""

    object_type = forms.ChoiceField(
        label=_("对象类型"), required=False, widget=UnfoldAdminSelectWidget
    )
    object_id = forms.CharField(
        label=_("对象编号"), required=False, max_length=64, widget=UnfoldAdminTextInputWidget
    )
    first = forms.DateField(label=_("从"), required=False, widget=DayInput)
    last = forms.DateField(label=_("到"), required=False, widget=DayInput)
    after_type = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    after_id = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, kinds: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["object_type"].choices = [("", "—"), *kinds]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("object_id") and not cleaned.get("object_type"):
            raise ValidationError(gettext("请选择对象类型。"))
        if cleaned.get("object_type") and not cleaned.get("object_id"):
            raise ValidationError(gettext("请填写对象编号，或改用日期范围。"))
        if not cleaned.get("object_id"):
            self._clean_days(cleaned)
        return cleaned

    @staticmethod
    def _clean_days(cleaned: dict[str, Any]) -> None:
        first, last = cleaned.get("first"), cleaned.get("last")
        if not first or not last:
            raise ValidationError(gettext("请填写一个对象，或一个日期范围。"))
        if last < first:
            raise ValidationError(gettext("结束日期早于开始日期。"))
        if (last - first).days >= DAYS_MAX:
            text = gettext("一次最多校验 %(days)s 天，请缩小范围。")
            raise ValidationError(text % {"days": DAYS_MAX})

    def report(self) -> ChainReport:
        """What following the chains shows, over one consistent picture of the database."""
        using = settings.SNAPSHOT_DATABASE
        cleaned = self.cleaned_data
        with atomic(using=using):
            if cleaned["object_id"]:
                kind, key = cleaned["object_type"], cleaned["object_id"].strip().lower()
                return object_verify(kind, key, using=using)
            return days_verify(cleaned["first"], cleaned["last"], after=self._after(), using=using)

    def _after(self) -> Key | None:
        kind, key = self.cleaned_data["after_type"], self.cleaned_data["after_id"]
        return (kind, key) if kind else None


@require_safe
def verify_view(request: HttpRequest, model_admin: Any, kinds: dict[str, Any]) -> HttpResponse:
    """The form, and under it what its fields (in the address) lead to."""
    ensure_may(request, VERIFY_PERMISSION)
    is_asked = bool(request.GET)
    form = VerifyForm(request.GET if is_asked else None, kinds=list(kinds.items()))
    if not is_asked:
        today = clock.today()
        form.initial = {"first": today - timedelta(days=6), "last": today}
    report = form.report() if is_asked and form.is_valid() else None
    context = {
        "title": gettext("校验审计链"),
        "form": form,
        "report": report,
        "resume": _resume_query(request, report),
        "kinds": kinds,
        "broken": [(kinds.get(row.object_type, row.object_type), row) for row in report.broken]
        if report
        else [],
    }
    return page(request, model_admin, "trail/verify.html", context)


def _resume_query(request: HttpRequest, report: ChainReport | None) -> str:
    if report is None or report.resume_after is None:
        return ""
    query = request.GET.copy()
    query["after_type"], query["after_id"] = report.resume_after
    return f"?{query.urlencode()}"
