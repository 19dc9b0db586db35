"""The order's page as only the back office can show it: with what lies in other rooms."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from backoffice.situation import situation
from backoffice.timeline import SOURCE_ROWS_MAX, Story, ledger_entries, timeline
from balances.admin import entries_panel
from payments.admin import OrderAdmin, callbacks_panel, transactions_panel
from payments.admin_exceptions import ExceptionAdmin
from payments.models import PaymentOrder
from refunds.admin import refunds_panel
from tcmpay.common.admin import PANEL_ROWS_MAX, Panel

__all__ = ["ExceptionAdmin", "OrderDeskAdmin"]

admin.site.unregister(PaymentOrder)


@admin.register(PaymentOrder)
class OrderDeskAdmin(OrderAdmin):
    """Orders with their whole story: why they stand as they do, and everything that happened."""

    change_form_outer_after_template = "admin/backoffice_story.html"

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

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = kwargs.get("obj")
        if order is not None:
            story = Story.of(order)
            moments = timeline(story)
            context |= {
                "situation": situation(story),
                "timeline": moments,
                "timeline_is_cut": len(moments) >= SOURCE_ROWS_MAX,
            }
        return super().render_change_form(request, context, *args, **kwargs)
