"""What lists of orders, attempts and callbacks may be narrowed to."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from payments.models import PaymentTransaction
from payments.selectors import begun_since, in_service, service_names, surplus_payments
from payments.states import HELD_VERDICTS, SURPLUS_DISPOSITIONS, PaymentMethod
from tcmpay.common import clock


class SurplusFilter(DropdownFilter):
    """Payments whose money is not ours: late or second; all, or those not given back yet."""

    title = _("多收款项")
    parameter_name = "surplus"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("尚未退回")), ("all", _("全部"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "open":
            return queryset.filter(pk__in=surplus_payments().order_by().values("pk"))
        if self.value() == "all":
            return queryset.filter(disposition__in=SURPLUS_DISPOSITIONS)
        return queryset


class ServiceFilter(DropdownFilter):
    """One service, as the price list names it; orders without one, by their type."""

    title = _("服务")
    parameter_name = "service"
    order = ""  # the way from a row to its order, ending in "__"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(service_names().items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        code = self.value()
        return queryset.filter(in_service(code, self.order)) if code else queryset


class RecentFilter(DropdownFilter):
    """What began or came in during the last hour."""

    title = _("最近")
    parameter_name = "recent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("hour", _("近 1 小时"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() != "hour":
            return queryset
        since = clock.now() - timedelta(hours=1)
        if queryset.model is PaymentTransaction:
            return queryset.filter(begun_since(since))
        return queryset.filter(received_at__gte=since)


class CallbackMethodFilter(DropdownFilter):
    title = _("支付方式")
    parameter_name = "payment_method__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(PaymentMethod.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(payment_method=self.value()) if self.value() else queryset


class HeldFilter(DropdownFilter):
    """Verified callbacks that staff have to look at."""

    title = _("待人工核对")
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("金额不符、信息不符或订单不存在"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(verdict__in=HELD_VERDICTS) if self.value() == "yes" else queryset
