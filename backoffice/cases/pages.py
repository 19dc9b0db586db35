"""Cases about money that a person has to look at: the list. Acting on one is the back office's."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.cases.desk import act_view, case_desk
from backoffice.cases.words import EXCEPTION_ADVICE, case_state, is_of_bills
from backoffice.orders.timeline import Story, timeline_context
from backoffice.reconciliation.words import between
from backoffice.site.bases import (
    PANEL_ROWS_MAX,
    AmountRangeFilter,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    column,
    link,
    moment,
    money,
    number,
    person_name,
    section,
    state,
    told,
)
from backoffice.site.display import BAD, EMPTY, age_text, badge
from backoffice.site.filters import cases
from backoffice.site.words import CASE_PAGE, ORDER_PAGE, TRANSACTION_PAGE, method_text
from backoffice.trail.pages import history_panel
from payments.models import PaymentException
from payments.states import ExceptionKind
from refunds.services.cases import case_refund

OPEN_FILTER = cases(
    "case",
    _("处理情况"),
    {
        "open": (_("待处理"), Q(closed_at=None)),
        "write_off": (_("核销待确认"), Q(closed_at=None, write_off_by__isnull=False)),
        "closed": (_("已处理"), Q(closed_at__isnull=False)),
    },
)
ORIGIN_FILTER = cases(
    "origin",
    _("来自"),
    {"bills": (_("对账"), is_of_bills()), "others": (_("其他"), ~is_of_bills())},
)
OWNER_FILTER = cases(
    "owner",
    _("负责人"),
    {
        "mine": (_("我负责的"), lambda request: Q(owner_id=request.user.pk)),
        "none": (_("无人认领"), Q(owner_id=None)),
    },
)


class ExceptionAdmin(ReadOnlyAdmin):
    """Late, double, wrong or unknown money, and refunds that a gateway could not carry out."""

    page_template = "cases/case.html"
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
        OPEN_FILTER,
        ORIGIN_FILTER,
        OWNER_FILTER,
        ("kind", ChoicesDropdownFilter),
        ("payment_method", ChoicesDropdownFilter),
        ("amount", AmountRangeFilter),
        ("opened_at", DayRangeFilter),
    )
    fieldsets = (
        section(
            None,
            ("kind_shown", "case"),
            ("amount_shown", "method"),
            ("order_link", "transaction_link"),
            ("out_trade_no_shown", "external_shown"),
            ("opened", "waits"),
            "reason_shown",
            "advice",
        ),
        section(_("处理"), ("closed", "closer"), "resolution_shown"),
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

    case = column("", _("处理情况"), lambda case: badge(*case_state(case)))

    @admin.display(description=_("负责人"))
    def owner(self, case: Any) -> str:
        if case.owner_id is None:
            return EMPTY
        return case.owner_name or case.owner_username or str(case.owner_id)

    method = column("payment_method", _("支付方式"), method_text)

    order_link = link(ORDER_PAGE, "order_id", "order.order_no", _("订单"))

    transaction_link = link(
        TRANSACTION_PAGE, "transaction_id", "transaction.transaction_no", _("支付流水")
    )

    reason_shown = told("reason", _("说明"))

    advice = column("kind", _("处理建议"), lambda kind: str(EXCEPTION_ADVICE.get(kind, EMPTY)))

    waits = column(
        "", _("等待"), lambda case: EMPTY if case.closed_at else age_text(case.opened_at)
    )

    closer = person_name("closed_by", _("处理人"))

    resolution_shown = told("resolution", _("处理说明"))

    def page_context(self, request: HttpRequest, row: PaymentException) -> dict[str, Any]:
        """The whole story of the case's order, or what is known of the case without one."""
        story = timeline_context(Story.of(row.order)) if row.order is not None else {}
        panels = {} if story else {"panels": self.panels(request, row)}
        differences = list(row.differences.select_related("day")[:PANEL_ROWS_MAX])
        for one in differences:
            one.gap = between(one.ours, one.theirs)
        return {
            "desk": case_desk(row, request.user),
            "differences": differences,
            **story,
            **panels,
        }

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
