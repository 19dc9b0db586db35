"""Orders, attempts to pay and callbacks for reading; the back office adds other rooms' rows."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    BooleanRadioFilter,
    ChoicesDropdownFilter,
)

from backoffice.gateways.revocation import gateway_keys_urls
from backoffice.payments.filters import (
    BEGUN_FILTER,
    CALLBACK_METHOD_FILTER,
    HELD_FILTER,
    RECEIVED_FILTER,
    SURPLUS_FILTER,
)
from backoffice.payments.messages import body_fields, message_text
from backoffice.payments.panels import TRANSACTION_TONES, VERDICT_TONES, outcome_badge
from backoffice.reconciliation.in_bill import PAYMENTS_IN_BILL
from backoffice.site.bases import (
    AmountRangeFilter,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    column,
    link,
    moment,
    money,
    number,
    section,
    state,
    told,
    yes_or_no,
)
from backoffice.site.display import EMPTY, error_text
from backoffice.site.words import ORDER_PAGE, TRANSACTION_PAGE, method_text
from backoffice.trail.pages import history_panel
from payments.models import (
    PaymentCallback,
    PaymentCallbackBody,
    PaymentTransaction,
)
from payments.states import (
    PaymentMethod,
    TransactionStatus,
    TransactionType,
    Verdict,
)

MESSAGES = ("request_data", "response_data", "callback_data")


MESSAGES_PERMISSION = "payments.view_messages"


class WithMessages(ReadOnlyAdmin):
    """The gateways' own words, its last section, are for those who may read them; masked even
    then."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sections = super().get_fieldsets(request, obj)
        return sections if request.user.has_perm(MESSAGES_PERMISSION) else sections[:-1]


class TransactionAdmin(WithMessages):
    """Attempts to pay and refunds carried out, with the gateways' messages."""

    search_help_text = _("流水号、商户订单号、网关单号、订单号")
    list_select_related = ("order",)
    list_display = (
        "number_shown",
        "type_shown",
        "status_shown",
        "amount_shown",
        "method",
        "outcome",
        "order_link",
        "started",
        "completed",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("transaction_type", ChoicesDropdownFilter),
        ("payment_method", ChoicesDropdownFilter),
        ("disposition", ChoicesDropdownFilter),
        SURPLUS_FILTER,
        PAYMENTS_IN_BILL,
        BEGUN_FILTER,
        ("is_mock", BooleanRadioFilter),
        ("amount", AmountRangeFilter),
        ("initiated_at", DayRangeFilter),
    )
    # The key grows with time: newest first without an index of its own.
    ordering = ("-id",)
    fieldsets = (
        section(
            None,
            ("number_shown", "status_shown"),
            ("type_shown", "method"),
            ("amount_shown", "outcome"),
            ("order_link", "mock"),
            "started",
            ("completed", "booked"),
            ("out_trade_no_shown", "scene_shown"),
            ("trade_no_shown", "external_shown"),
            ("reserved", "error"),
        ),
        section(_("网关往来"), ("expires", "next_check"), ("checks", "close_owed")),
        section(_("网关报文"), "request_shown", "response_shown", "callback_shown", is_closed=True),
    )

    number_shown = number("transaction_no", _("流水号"))
    type_shown = state("transaction_type", _("类型"), TransactionType, {})
    status_shown = state("status", _("状态"), TransactionStatus, TRANSACTION_TONES)
    amount_shown = money("amount", _("金额（元）"))
    reserved = money("refund_reserved", _("已占用退款额（元）"))
    started = moment("initiated_at", _("发起时间"))
    completed = moment("completed_at", _("完成时间"))
    booked = moment("booked_at", _("入账时间"))
    expires = moment("gateway_expires_at", _("网关截止时间"))
    next_check = moment("next_check_at", _("下次查询"))
    out_trade_no_shown = number("out_trade_no", _("商户订单号"))
    trade_no_shown = number("trade_no", _("网关交易号"))
    external_shown = number("external_transaction_id", _("网关流水号"))
    scene_shown = number("scene", _("场景"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentTransaction]:
        return super().get_queryset(request).defer(*MESSAGES)

    def search_lookups(self, term: str) -> Iterable[Q]:
        methods = PaymentMethod.values
        return (
            Q(transaction_no=term.upper()),
            Q(pk=term),
            Q(payment_method__in=methods, out_trade_no=term),
            Q(payment_method__in=methods, external_transaction_id=term),
            Q(trade_no=term),
            Q(refund_id=term),
            Q(order__order_no=term.upper()),
            Q(order_id=term),
        )

    method = column("payment_method", _("支付方式"), method_text)

    outcome = column("", _("结果"), outcome_badge)

    order_link = link(ORDER_PAGE, "order_id", "order.order_no", _("订单"))

    mock = yes_or_no("is_mock", _("模拟"))

    close_owed = yes_or_no("is_close_owed", _("待关闭"))

    error = column("", _("错误"), error_text)

    request_shown = column("request_data", _("请求"), message_text)

    response_shown = column("response_data", _("应答"), message_text)

    callback_shown = column("callback_data", _("通知"), message_text)

    def panels(self, request: HttpRequest, row: PaymentTransaction) -> list[Panel]:
        return [history_panel(("payment_transaction", row.pk))]


class CallbackAdmin(WithMessages):
    """Callbacks as they came in, and what was made of each; their bodies for those who may."""

    def get_urls(self) -> list[Any]:
        return [*gateway_keys_urls(self), *super().get_urls()]

    search_help_text = _("商户订单号、网关交易号、流水号或请求编号")
    list_select_related = ("transaction", "transaction__order")
    list_display = (
        "received",
        "verdict_shown",
        "method",
        "amount_shown",
        "out_trade_no_shown",
        "order_link",
        "reason_shown",
        "mock",
    )
    list_filter = (
        ("verdict", ChoicesDropdownFilter),
        HELD_FILTER,
        RECEIVED_FILTER,
        CALLBACK_METHOD_FILTER,
        ("amount", AmountRangeFilter),
        ("received_at", DayRangeFilter),
        ("is_mock", BooleanRadioFilter),
    )
    ordering = ("-received_at", "-id")
    fieldsets = (
        section(
            None,
            ("received", "verdict_shown"),
            ("method", "amount_shown"),
            ("order_link", "transaction_link"),
            "reason_shown",
        ),
        section(
            _("网关"),
            ("out_trade_no_shown", "external_shown"),
            ("event_shown", "notice_shown"),
            ("address_shown", "mock"),
            ("request_id_shown", "digest_shown"),
        ),
        section(_("报文"), "body_shown", is_closed=True),
    )

    received = moment("received_at", _("收到时间"))
    verdict_shown = state("verdict", _("结论"), Verdict, VERDICT_TONES)
    amount_shown = money("amount", _("金额（元）"))
    out_trade_no_shown = number("out_trade_no", _("商户订单号"))
    external_shown = number("external_transaction_id", _("网关交易号"))
    event_shown = number("event", _("事件"))
    notice_shown = number("notice_id", _("通知编号"))
    address_shown = number("remote_address", _("来源地址"))
    request_id_shown = number("request_id", _("请求编号"))
    digest_shown = number("body_sha256", _("原文摘要（SHA-256）"))

    def search_lookups(self, term: str) -> Iterable[Q]:
        methods = PaymentMethod.values
        attempts = PaymentTransaction.objects.filter(
            Q(payment_method__in=methods, external_transaction_id=term)
        ).values("pk")
        return (
            Q(pk=term),
            Q(out_trade_no=term),
            Q(transaction__in=attempts),
            Q(transaction__transaction_no=term.upper()),
            Q(transaction__order__order_no=term.upper()),
            Q(external_transaction_id=term),
        )

    @admin.display(description=_("报文"))
    def body_shown(self, callback: PaymentCallback) -> str:
        kept = PaymentCallbackBody.objects.filter(pk=callback.pk).first()
        return message_text(body_fields(kept.body)) if kept else EMPTY

    method = column("payment_method", _("支付方式"), method_text)

    order_link = link(ORDER_PAGE, "transaction.order_id", "transaction.order.order_no", _("订单"))
    transaction_link = link(
        TRANSACTION_PAGE, "transaction_id", "transaction.transaction_no", _("支付流水")
    )

    reason_shown = told("reason", _("原因"))

    mock = yes_or_no("is_mock", _("模拟"))
