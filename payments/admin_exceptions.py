"""Cases about money that a person has to look at: the list, and closing one with what was done."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.widgets import UnfoldAdminTextareaWidget

from payments.admin import ORDER_PAGE, TRANSACTION_PAGE, method_text
from payments.models import PaymentException
from payments.services.exceptions import exception_close
from payments.states import EXCEPTION_ADVICE, ExceptionKind
from tcmpay.accounts.selectors import person_text
from tcmpay.audit.admin import audited, history_panel
from tcmpay.common.admin import (
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_link,
    admin_url,
    moment,
    money,
    number,
    state,
)
from tcmpay.common.display import BAD, EMPTY, NEUTRAL, WAITING, age_text, badge
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text

EXCEPTION_PAGE = "payments_paymentexception"
CLOSE_PAGE = "payments_paymentexception_close"
CLOSE_PERMISSION = "payments.close_exception"
RESOLUTION_MAX = 500

audited(
    "payment_exception",
    _("差错"),
    page=EXCEPTION_PAGE,
    states=(("open", _("待处理")), ("closed", _("已处理"))),
    actions={"exception_opened": _("发现差错"), "exception_closed": _("处理差错")},
)


class OpenFilter(DropdownFilter):
    title = _("处理情况")
    parameter_name = "case"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("待处理")), ("closed", _("已处理"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "open":
            return queryset.filter(closed_at=None)
        if self.value() == "closed":
            return queryset.filter(closed_at__isnull=False)
        return queryset


class CloseForm(forms.Form):
    resolution = forms.CharField(
        label=_("处理说明"),
        max_length=RESOLUTION_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


@admin.register(PaymentException)
class ExceptionAdmin(ReadOnlyAdmin):
    """Late, double, wrong or unknown money, and refunds that a gateway could not carry out."""

    search_help_text = _("商户订单号、网关交易号、订单号或流水号")
    list_select_related = ("order", "transaction")
    list_display = (
        "opened",
        "case",
        "kind_shown",
        "amount_shown",
        "method",
        "order_link",
        "reason_shown",
        "waits",
    )
    list_filter = (
        OpenFilter,
        ("kind", ChoicesDropdownFilter),
        ("payment_method", ChoicesDropdownFilter),
        ("opened_at", DayRangeFilter),
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("kind_shown", "case"),
                    ("amount_shown", "method"),
                    ("order_link", "transaction_link"),
                    ("out_trade_no_shown", "external_shown"),
                    ("opened", "waits"),
                    "reason_shown",
                    "advice",
                )
            },
        ),
        (_("处理"), {"fields": (("closed", "closer"), "resolution_shown")}),
    )

    kind_shown = state("kind", _("类型"), ExceptionKind, dict.fromkeys(ExceptionKind.values, BAD))
    amount_shown = money("amount", _("金额（元）"))
    opened = moment("opened_at", _("发现时间"))
    closed = moment("closed_at", _("处理时间"))
    out_trade_no_shown = number("out_trade_no", _("商户订单号"))
    external_shown = number("external_transaction_id", _("网关交易号"))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What waits longest comes first in the queue; otherwise the newest."""
        if request.GET.get("case") == "open":
            return ("opened_at", "id")
        return ("-opened_at", "-id")

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (
            Q(pk=term),
            Q(out_trade_no=term),
            Q(external_transaction_id=term),
            Q(order__order_no=term.upper()),
            Q(order_id=term),
            Q(transaction__transaction_no=term.upper()),
        )

    @admin.display(description=_("处理情况"))
    def case(self, case: PaymentException) -> str:
        return (
            badge(_("待处理"), WAITING) if case.closed_at is None else badge(_("已处理"), NEUTRAL)
        )

    @admin.display(description=_("支付方式"))
    def method(self, case: PaymentException) -> str:
        return method_text(case.payment_method)

    @admin.display(description=_("订单"))
    def order_link(self, case: PaymentException) -> str:
        return admin_link(ORDER_PAGE, case.order_id, case.order.order_no) if case.order else EMPTY

    @admin.display(description=_("支付流水"))
    def transaction_link(self, case: PaymentException) -> str:
        attempt = case.transaction
        return (
            admin_link(TRANSACTION_PAGE, attempt.pk, attempt.transaction_no) if attempt else EMPTY
        )

    @admin.display(description=_("说明"))
    def reason_shown(self, case: PaymentException) -> str:
        return case.reason or EMPTY

    @admin.display(description=_("处理建议"))
    def advice(self, case: PaymentException) -> str:
        return str(EXCEPTION_ADVICE.get(case.kind, EMPTY))

    @admin.display(description=_("等待"))
    def waits(self, case: PaymentException) -> str:
        return age_text(case.opened_at) if case.closed_at is None else EMPTY

    @admin.display(description=_("处理人"))
    def closer(self, case: PaymentException) -> str:
        return person_text(case.closed_by) if case.closed_by else EMPTY

    @admin.display(description=_("处理说明"))
    def resolution_shown(self, case: PaymentException) -> str:
        return case.resolution or EMPTY

    def panels(self, request: HttpRequest, row: PaymentException) -> list[Panel]:
        return [history_panel(("payment_exception", row.pk))]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        case = self.get_object(request, unquote(object_id))
        if (
            case is None
            or case.closed_at is not None
            or not request.user.has_perm(CLOSE_PERMISSION)
        ):
            return []
        return [
            {"title": _("处理这项差错"), "url": admin_url(CLOSE_PAGE, case.pk), "icon": "task_alt"}
        ]

    def get_urls(self) -> list[URLPattern]:
        close = self.admin_site.admin_view(close_view)
        return [
            path("<path:object_id>/close/", close, {"model_admin": self}, name=CLOSE_PAGE),
            *super().get_urls(),
        ]


@require_http_methods(["GET", "HEAD", "POST"])
def close_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Close a case with what was done about it; the money itself is not moved here."""
    if not request.user.has_perm(CLOSE_PERMISSION):
        raise PermissionDenied
    case = PaymentException.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if case is None:
        messages.warning(request, gettext("差错记录不存在"))
        return HttpResponseRedirect(reverse(f"admin:{EXCEPTION_PAGE}_changelist"))
    form = CloseForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _close(request, case, form.cleaned_data["resolution"])
    context = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("处理差错"),
        "opts": model_admin.opts,
        "original": case,
        "form": form,
        "case": case,
        "advice": EXCEPTION_ADVICE.get(case.kind, ""),
    }
    request.current_app = model_admin.admin_site.name  # type: ignore[attr-defined]
    return TemplateResponse(request, "admin/payments/close_exception.html", context)


def _close(request: HttpRequest, case: PaymentException, resolution: str) -> HttpResponse:
    try:
        exception_close(
            actor=request.user.as_actor(),  # type: ignore[union-attr]
            exception_id=case.pk,
            resolution=resolution,
        )
    except DomainError as error:
        now = PaymentException.objects.get(pk=case.pk)
        messages.error(
            request,
            gettext("%(reason)s（%(person)s：%(resolution)s）")
            % {
                "reason": error.text,
                "person": person_text(now.closed_by),
                "resolution": now.resolution,
            },
        )
    else:
        messages.success(request, gettext("已记录处理结果。"))
    return HttpResponseRedirect(admin_url(f"{EXCEPTION_PAGE}_change", case.pk))
