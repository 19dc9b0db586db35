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
    CallbackMethodFilter,
    HeldFilter,
    RecentFilter,
    SurplusFilter,
)
from backoffice.payments.messages import body_fields, message_text
from backoffice.payments.panels import TRANSACTION_TONES, VERDICT_TONES, outcome_badge
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
    state,
)
from backoffice.site.display import (
    EMPTY,
)
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
MESSAGES_SECTION: Any = (
    _("网关报文"),
    {
        "classes": ("collapse",),
        "fields": ("request_shown", "response_shown", "callback_shown"),
    },
)


class TransactionAdmin(ReadOnlyAdmin):
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
        SurplusFilter,
        RecentFilter,
        ("is_mock", BooleanRadioFilter),
        ("amount", AmountRangeFilter),
        ("initiated_at", DayRangeFilter),
    )
    # The key grows with time: newest first without an index of its own.
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("number_shown", "status_shown"),
                    ("type_shown", "method"),
                    ("amount_shown", "outcome"),
                    ("order_link", "mock"),
                    "started",
                    ("completed", "booked"),
                    ("out_trade_no_shown", "scene_shown"),
                    ("trade_no_shown", "external_shown"),
                    ("reserved", "error"),
                )
            },
        ),
        (
            _("网关往来"),
            {"fields": (("expires", "next_check"), ("checks", "close_owed"))},
        ),
        MESSAGES_SECTION,
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

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The gateways' own words are for those who may read them; masked even then."""
        sections = super().get_fieldsets(request, obj)
        if request.user.has_perm(MESSAGES_PERMISSION):
            return sections
        return tuple(section for section in sections if section is not MESSAGES_SECTION)

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

    @admin.display(description=_("结果"))
    def outcome(self, attempt: PaymentTransaction) -> str:
        return outcome_badge(attempt)

    @admin.display(description=_("订单"))
    def order_link(self, attempt: PaymentTransaction) -> str:
        return admin_link(ORDER_PAGE, attempt.order_id, attempt.order.order_no)

    @admin.display(description=_("模拟"), boolean=True)
    def mock(self, attempt: PaymentTransaction) -> bool:
        return attempt.is_mock

    @admin.display(description=_("待关闭"), boolean=True)
    def close_owed(self, attempt: PaymentTransaction) -> bool:
        return attempt.is_close_owed

    @admin.display(description=_("错误"))
    def error(self, attempt: PaymentTransaction) -> str:
        parts = [part for part in (attempt.error_code, attempt.error_message) if part]
        return "：".join(parts) or EMPTY

    @admin.display(description=_("请求"))
    def request_shown(self, attempt: PaymentTransaction) -> str:
        return message_text(attempt.request_data)

    @admin.display(description=_("应答"))
    def response_shown(self, attempt: PaymentTransaction) -> str:
        return message_text(attempt.response_data)

    @admin.display(description=_("通知"))
    def callback_shown(self, attempt: PaymentTransaction) -> str:
        return message_text(attempt.callback_data)

    def panels(self, request: HttpRequest, row: PaymentTransaction) -> list[Panel]:
        return [history_panel(("payment_transaction", row.pk))]


BODY_SECTION: Any = (_("报文"), {"classes": ("collapse",), "fields": ("body_shown",)})


class CallbackAdmin(ReadOnlyAdmin):
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
        HeldFilter,
        RecentFilter,
        CallbackMethodFilter,
        ("amount", AmountRangeFilter),
        ("received_at", DayRangeFilter),
        ("is_mock", BooleanRadioFilter),
    )
    ordering = ("-received_at", "-id")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("received", "verdict_shown"),
                    ("method", "amount_shown"),
                    ("order_link", "transaction_link"),
                    "reason_shown",
                )
            },
        ),
        (
            _("网关"),
            {
                "fields": (
                    ("out_trade_no_shown", "external_shown"),
                    ("event_shown", "notice_shown"),
                    ("address_shown", "mock"),
                    ("request_id_shown", "digest_shown"),
                )
            },
        ),
        BODY_SECTION,
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

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sections = super().get_fieldsets(request, obj)
        if request.user.has_perm(MESSAGES_PERMISSION):
            return sections
        return tuple(section for section in sections if section is not BODY_SECTION)

    @admin.display(description=_("报文"))
    def body_shown(self, callback: PaymentCallback) -> str:
        kept = PaymentCallbackBody.objects.filter(pk=callback.pk).first()
        return message_text(body_fields(kept.body)) if kept else EMPTY

    method = column("payment_method", _("支付方式"), method_text)

    @admin.display(description=_("订单"))
    def order_link(self, callback: PaymentCallback) -> str:
        attempt = callback.transaction
        return (
            admin_link(ORDER_PAGE, attempt.order_id, attempt.order.order_no) if attempt else EMPTY
        )

    @admin.display(description=_("支付流水"))
    def transaction_link(self, callback: PaymentCallback) -> str:
        attempt = callback.transaction
        return (
            admin_link(TRANSACTION_PAGE, attempt.pk, attempt.transaction_no) if attempt else EMPTY
        )

    @admin.display(description=_("原因"))
    def reason_shown(self, callback: PaymentCallback) -> str:
        return callback.reason or EMPTY

    @admin.display(description=_("模拟"), boolean=True)
    def mock(self, callback: PaymentCallback) -> bool:
        return callback.is_mock
