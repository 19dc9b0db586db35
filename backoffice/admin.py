"""The order's page as only the back office can show it: with what lies in other rooms."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest

from backoffice.exception_desk import ExceptionDeskAdmin
from balances.admin import entries_panel
from balances.models import BalanceTransaction, RelatedType
from payments.admin import OrderAdmin, callbacks_panel, transactions_panel
from payments.models import PaymentOrder
from refunds.admin import refunds_panel
from tcmpay.audit.admin import history_panel
from tcmpay.common.admin import PANEL_ROWS_MAX, Panel

__all__ = ["ExceptionDeskAdmin", "OrderDeskAdmin"]

admin.site.unregister(PaymentOrder)


@admin.register(PaymentOrder)
class OrderDeskAdmin(OrderAdmin):
    """Orders with their refunds, what they moved on balances, and everybody who acted."""

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (*super().search_lookups(term), Q(refunds__refund_no=term.upper()))

    def panels(self, request: HttpRequest, row: PaymentOrder) -> list[Panel]:
        attempts = list(row.transactions.order_by("initiated_at")[:PANEL_ROWS_MAX])
        refunds = list(row.refunds.order_by("created_at")[:PANEL_ROWS_MAX])
        told: list[tuple[str, object]] = [("order", row.pk)]
        told += [("payment_transaction", attempt.pk) for attempt in attempts]
        told += [("refund", refund.pk) for refund in refunds]
        return [
            transactions_panel(attempts),
            refunds_panel(refunds),
            entries_panel(_entries(row, refunds)),
            callbacks_panel(row),
            history_panel(*told),
        ]


def _entries(order: PaymentOrder, refunds: Iterable[Any]) -> Iterable[BalanceTransaction]:
    """What the order and its refunds moved on the owner's balance."""
    facts = Q(related_type=RelatedType.ORDER, related_id=order.pk)
    keys = [refund.pk for refund in refunds]
    if keys:
        facts |= Q(related_type=RelatedType.REFUND, related_id__in=keys)
    return BalanceTransaction.objects.filter(facts).order_by("created_at")[:PANEL_ROWS_MAX]
