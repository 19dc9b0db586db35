"""Pages as only the back office can show them: with what lies in other rooms."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from backoffice.balances.pages import BalanceAdjustmentAdmin, entries_panel
from backoffice.cases.desk import ExceptionDeskAdmin
from backoffice.exports.pages import ExportAdmin
from backoffice.orders.situation import situation
from backoffice.orders.timeline import Story, ledger_entries, timeline_context
from backoffice.payments.pages import OrderAdmin, callbacks_panel, transactions_panel
from backoffice.prices.pages import PriceConfigAdmin
from backoffice.refunds.pages import RefundAdmin, refunds_panel
from backoffice.site.bases import PANEL_ROWS_MAX, Panel
from backoffice.staff.pages import StaffUserAdmin
from backoffice.trail.pages import AuditEventAdmin
from payments.models import PaymentOrder
from payments.states import PAID_STATUSES
from refunds.models import Refund
from refunds.states import RefundStatus

__all__ = [
    "AuditEventAdmin",
    "BalanceAdjustmentAdmin",
    "ExceptionDeskAdmin",
    "ExportAdmin",
    "OrderDeskAdmin",
    "PriceConfigAdmin",
    "RefundDeskAdmin",
    "StaffUserAdmin",
]

admin.site.unregister([PaymentOrder, Refund])


@admin.register(PaymentOrder)
class OrderDeskAdmin(OrderAdmin):
    """Orders with their whole story: why they stand as they do, and everything that happened."""

    change_form_outer_after_template = "orders/story.html"

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (*super().search_lookups(term), Q(refunds__refund_no=term.upper()))

    def panels(self, request: HttpRequest, row: PaymentOrder) -> list[Panel]:
        story = Story.of(row)
        return [
            transactions_panel(story.attempts[:PANEL_ROWS_MAX]),
            refunds_panel(story.refunds[:PANEL_ROWS_MAX]),
            entries_panel(ledger_entries(story)[:PANEL_ROWS_MAX]),
            callbacks_panel(row),
        ]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        order = self.get_object(request, unquote(object_id))
        if getattr(order, "status", None) not in PAID_STATUSES:
            return []
        url = reverse("admin-order-receipt", args=[order.pk])
        return [{"title": _("打印收据"), "url": url, "icon": "print"}]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = kwargs.get("obj")
        if order is not None:
            story = Story.of(order)
            context |= {"situation": situation(story), **timeline_context(story)}
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(Refund)
class RefundDeskAdmin(RefundAdmin):
    """Refunds; whoever reviews one reads its order's whole story."""

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        refund = self.get_object(request, unquote(object_id))
        if getattr(refund, "status", None) != RefundStatus.SUCCESS:
            return super().steps(request, object_id)
        url = reverse("admin-refund-slip", args=[refund.pk])
        return [{"title": _("打印退款单"), "url": url, "icon": "print"}]

    def order_story(self, order: PaymentOrder) -> dict[str, Any]:
        return timeline_context(Story.of(order))
