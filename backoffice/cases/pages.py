"""Cases about money that a person has to look at: the list. Acting on one is the back office's."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from backoffice.cases.desk import CaseView, act_view
from backoffice.cases.words import EXCEPTION_ADVICE, case_state
from backoffice.orders.timeline import Story, timeline_context
from backoffice.site.bases import (
    AmountRangeFilter,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_link,
    column,
    moment,
    money,
    number,
    page,
    person_name,
    state,
)
from backoffice.site.display import BAD, EMPTY, age_text, badge
from backoffice.site.words import CASE_PAGE, ORDER_PAGE, TRANSACTION_PAGE, method_text
from backoffice.trail.pages import history_panel
from payments.models import PaymentException
from payments.states import ExceptionKind
from refunds.services.cases import case_refund


class OpenFilter(DropdownFilter):
    title = _("处理情况")
    parameter_name = "case"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("待处理")), ("write_off", _("核销待确认")), ("closed", _("已处理"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "open":
            return queryset.filter(closed_at=None)
        if self.value() == "write_off":
            return queryset.filter(closed_at=None, write_off_by__isnull=False)
        if self.value() == "closed":
            return queryset.filter(closed_at__isnull=False)
        return queryset


class OwnerFilter(DropdownFilter):
    title = _("负责人")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("mine", _("我负责的")), ("none", _("无人认领"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "mine":
            return queryset.filter(owner_id=request.user.pk)
        if self.value() == "none":
            return queryset.filter(owner_id=None)
        return queryset


class ExceptionAdmin(ReadOnlyAdmin):
    """Late, double, wrong or unknown money, and refunds that a gateway could not carry out."""

    search_help_text = _("商户订单号、网关交易号、订单号或流水号")
    list_select_related = ("order", "transaction")
    list_display = (
        "opened",
        "case",
        "kind_shown",
        "amount_shown",
        "order_link",
        "reason_shown",
        "owner",
        "waits",
    )
    list_filter = (
        OpenFilter,
        OwnerFilter,
        ("kind", ChoicesDropdownFilter),
        ("payment_method", ChoicesDropdownFilter),
        ("amount", AmountRangeFilter),
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentException]:
        owners = get_user_model().objects.filter(pk=OuterRef("owner_id"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                owner_name=Subquery(owners.values(name=Concat("last_name", "first_name"))[:1]),
                owner_username=Subquery(owners.values("username")[:1]),
            )
        )

    @admin.display(description=_("处理情况"))
    def case(self, case: PaymentException) -> str:
        return badge(*case_state(case))

    @admin.display(description=_("负责人"))
    def owner(self, case: Any) -> str:
        if case.owner_id is None:
            return EMPTY
        return case.owner_name or case.owner_username or str(case.owner_id)

    method = column("payment_method", _("支付方式"), method_text)

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
        return format_html('<span class="tcm-wrap">{}</span>', case.reason or EMPTY)

    @admin.display(description=_("处理建议"))
    def advice(self, case: PaymentException) -> str:
        return str(EXCEPTION_ADVICE.get(case.kind, EMPTY))

    @admin.display(description=_("等待"))
    def waits(self, case: PaymentException) -> str:
        return age_text(case.opened_at) if case.closed_at is None else EMPTY

    closer = person_name("closed_by", _("处理人"))

    @admin.display(description=_("处理说明"))
    def resolution_shown(self, case: PaymentException) -> str:
        return case.resolution or EMPTY

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        # Nobody adds or changes a case here, and only who may see one learns whether it is there.
        if object_id is None or request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        case = self.get_object(request, object_id)
        if case is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        context = {
            "title": str(case),
            "original": case,
            "desk": CaseView(case, request.user),
            **self._story(request, case),
        }
        return page(request, self, "cases/case.html", context)

    def _story(self, request: HttpRequest, case: PaymentException) -> dict[str, Any]:
        """The whole story of the case's order, or what is known of the case without one."""
        if case.order is not None:
            return timeline_context(Story.of(case.order))
        return {"panels": self.panels(request, case)}

    def panels(self, request: HttpRequest, row: PaymentException) -> list[Panel]:
        """What happened to the case, and to the payment and the refund that it is about."""
        told: list[tuple[str, object]] = [("payment_exception", row.pk)]
        if row.transaction_id is not None:
            told.append(("payment_transaction", row.transaction_id))
        refund = case_refund(row)
        if refund is not None:
            told.append(("refund", refund.pk))
        return [history_panel(*told)]

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(act_view)
        return [
            path("<path:object_id>/act/", act, name=f"{CASE_PAGE}_act"),
            *super().get_urls(),
        ]
