"""Orders for reading, with everything that belongs to them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.balances.pages import entries_panel
from backoffice.orders.situation import situation
from backoffice.orders.timeline import Story, ledger_entries, timeline_context
from backoffice.payments.filters import service_filter
from backoffice.payments.messages import message_text
from backoffice.payments.panels import callbacks_panel, transactions_panel
from backoffice.reconciliation.panels import funds_panel
from backoffice.refunds.asking import ask_view, is_refundable
from backoffice.refunds.panels import refunds_panel
from backoffice.site.bases import (
    PANEL_ROWS_MAX,
    AmountRangeFilter,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_url,
    column,
    moment,
    money,
    number,
    own_urls,
    plain,
    searched,
    section,
    state,
)
from backoffice.site.display import EMPTY, counted_text
from backoffice.site.words import ORDER_PAGE, ORDER_TONES, method_text
from config.models import PriceConfig
from payments.models import PaymentOrder
from payments.states import PAID_STATUSES, OrderStatus, PaymentMethod
from refunds.permissions import REQUEST_PERMISSION
from tcmpay.accounts.selectors import person_text
from tcmpay.common.order_types import OrderType


class OrderAdmin(ReadOnlyAdmin):
    """Orders with their whole story: why they stand as they do, and everything that happened."""

    search_help_text = _("订单号、流水号、网关单号、用户或预约编号")
    list_display = (
        "order_shown",
        "status_shown",
        "amount_shown",
        "method",
        "type_shown",
        "user",
        "created",
        "paid",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("payment_method", ChoicesDropdownFilter),
        ("order_type", ChoicesDropdownFilter),
        service_filter(),
        ("amount", AmountRangeFilter),
        ("created_on", DayRangeFilter),
        ("paid_on", DayRangeFilter),
    )
    ordering = ("-created_at", "-id")
    list_before_template = "orders/bar.html"
    change_form_outer_after_template = "orders/story.html"
    fieldsets: Any = (
        section(
            None,
            ("order_shown", "status_shown"),
            ("amount_shown", "method"),
            ("type_shown", "service_shown"),
            ("user", "appointment"),
            ("created", "creator"),
            ("paid", "booked"),
            ("counted", "expires"),
            "description_shown",
        ),
        section(_("更多"), "id_shown", "metadata_shown", is_closed=True),
    )

    order_shown = number("order_no", _("订单号"))
    status_shown = state("status", _("状态"), OrderStatus, ORDER_TONES)
    amount_shown = money("amount", _("金额（元）"))
    created = moment("created_at", _("创建时间"))
    paid = moment("payment_time", _("支付时间"))
    booked = moment("booked_at", _("入账时间"))
    counted = column(
        "", _("计入营业日"), lambda order: counted_text(order.paid_on, order.payment_time)
    )
    expires = moment("expire_time", _("过期时间"))
    id_shown = number("id", _("编号"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentOrder]:
        return super().get_queryset(request).defer("metadata")

    def search_lookups(self, term: str) -> Iterable[Q]:
        methods = PaymentMethod.values
        return (
            Q(order_no=term.upper()),
            Q(pk=term),
            Q(user_id=term),
            Q(appointment_id=term),
            Q(transactions__transaction_no=term.upper()),
            Q(transactions__payment_method__in=methods, transactions__out_trade_no=term),
            Q(transactions__payment_method__in=methods, transactions__external_transaction_id=term),
            Q(transactions__trade_no=term),
            Q(refunds__refund_no=term.upper()),
        )

    method = column("payment_method", _("支付方式"), method_text)

    type_shown = column(
        "order_type", _("类型"), lambda code: str(dict(OrderType.choices).get(code, code))
    )

    @admin.display(description=_("服务"))
    def service_shown(self, order: PaymentOrder) -> str:
        name = PriceConfig.objects.filter(pk=order.price_id).values_list("service_name", flat=True)
        return (name.first() if order.price_id else None) or order.service_type or EMPTY

    user = searched(ORDER_PAGE, "user_id", _("用户"))

    appointment = searched(ORDER_PAGE, "appointment_id", _("预约"))

    @admin.display(description=_("创建人"))
    def creator(self, order: PaymentOrder) -> str:
        if order.created_by is not None and order.created_by == order.user_id:
            return str(_("用户本人"))
        return person_text(order.created_by) if order.created_by else EMPTY

    description_shown = plain("description", _("说明"))

    metadata_shown = column("metadata", _("附加信息"), message_text)

    def panels(self, request: HttpRequest, row: PaymentOrder) -> list[Panel]:
        story = Story.of(row)
        return [
            transactions_panel(story.attempts[:PANEL_ROWS_MAX]),
            refunds_panel(story.refunds[:PANEL_ROWS_MAX]),
            entries_panel(ledger_entries(story)[:PANEL_ROWS_MAX]),
            *funds_panel(story.attempts[:PANEL_ROWS_MAX], story.refunds[:PANEL_ROWS_MAX]),
            callbacks_panel(row),
        ]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        order: Any = self.get_object(request, unquote(object_id))
        if getattr(order, "status", None) not in PAID_STATUSES:
            return []
        url = reverse("admin-order-receipt", args=[order.pk])
        steps = [{"title": _("打印收据"), "url": url, "icon": "print"}]
        if request.user.has_perm(REQUEST_PERMISSION) and is_refundable(order):
            url = admin_url(f"{ORDER_PAGE}_refund", order.pk)
            steps.insert(0, {"title": _("申请退款"), "url": url, "icon": "undo"})
        return steps

    def get_urls(self) -> list[URLPattern]:
        pages = {"refund": ("<path:object_id>/refund/", ask_view)}
        return [*own_urls(self, ORDER_PAGE, pages), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = kwargs.get("obj")
        if order is not None:
            story = Story.of(order)
            context |= {"situation": situation(story), **timeline_context(story)}
        return super().render_change_form(request, context, *args, **kwargs)
