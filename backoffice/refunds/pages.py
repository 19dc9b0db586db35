"""Refunds for reading; reviewing and retrying are pages of their own (admin_review)."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.payments.filters import service_filter
from backoffice.payments.messages import message_text
from backoffice.reconciliation.in_bill import REFUNDS_IN_BILL
from backoffice.refunds.batches import preview_view, retry_all_view
from backoffice.refunds.panels import approvals_panel, place_linked, status_badge
from backoffice.refunds.queue import queue_view
from backoffice.refunds.review import RETRY, STOP, review_view, step_view
from backoffice.site.bases import (
    AmountRangeFilter,
    DayRangeFilter,
    Panel,
    admin_link,
    admin_url,
    column,
    link,
    moment,
    money,
    number,
    own_urls,
    person_name,
    plain,
    searched,
    section,
    state,
    told,
)
from backoffice.site.display import (
    EMPTY,
    age_text,
    counted_text,
    error_text,
    time_text,
)
from backoffice.site.filters import ChoiceFilter, cases
from backoffice.site.second_person import SecondPersonAdmin
from backoffice.site.words import BULK_PAGE, ORDER_PAGE, REFUND_PAGE, TRANSACTION_PAGE, method_text
from backoffice.trail.pages import history_panel
from payments.models import PaymentException
from payments.states import SURPLUS_DISPOSITIONS, Disposition, ExceptionKind, PaymentMethod
from refunds.models import Refund, RefundApproval, RefundBulkRow
from refunds.permissions import REVIEW_PERMISSION
from refunds.services.funds import WAITS, refunds_waiting_for_funds
from refunds.services.own_cases import is_to_retry
from refunds.services.stopping import is_stoppable
from refunds.states import RefundCause, RefundStatus
from tcmpay.accounts.selectors import person_text
from tcmpay.common.fields import as_uuid_or_text

# Whether a refund gives back what an order brought, or money that was never ours.
MONEY_BACK_FILTER = cases(
    "money",
    _("款项"),
    {
        "applied": (_("已入账的支付"), Q(transaction__disposition=Disposition.APPLIED)),
        "surplus": (_("多收款项退回"), Q(transaction__disposition__in=SURPLUS_DISPOSITIONS)),
    },
)
METHOD_FILTER = cases(
    "method",
    _("支付方式"),
    {
        method: (label, Q(transaction__payment_method=method))
        for method, label in PaymentMethod.choices
    },
)


class FundsFilter(ChoiceFilter):
    """All refunds that wait for a merchant's account, or those that a case of one is about."""

    title = _("商户账户余额")
    parameter_name = "funds"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """A case only where the address names it, as its page does."""
        choices: list[tuple[str, Any]] = [("wait", _("等待商户账户充值"))]
        case = _funds_case(request.GET.get(self.parameter_name, ""))
        return [*choices, (str(case.pk), case.subject)] if case else choices

    @staticmethod
    def condition(_request: HttpRequest, chosen: str) -> Q:
        if chosen == "wait":
            return WAITS
        case = _funds_case(chosen)
        return Q(pk__in=refunds_waiting_for_funds(case).values("pk") if case else ())


def _funds_case(key: str) -> PaymentException | None:
    found = PaymentException.objects.filter(kind=ExceptionKind.ACCOUNT_SHORT)
    return found.filter(pk=as_uuid_or_text(key)).first()


RETRY_FILTER = cases("retry", _("重试"), {"yes": (_("失败，可以重试"), is_to_retry())})


class RefundAdmin(SecondPersonAdmin):
    """Refunds and the queue of those that wait for a decision."""

    decide_permission = REVIEW_PERMISSION
    review_title = _("审核这笔退款")
    list_before_template = "refunds/bar.html"

    search_help_text = _("退款单号、网关退款号、订单号、流水号或用户编号")
    list_select_related = ("order", "transaction")
    list_display = (
        "number_shown",
        "status_shown",
        "amount_shown",
        "method",
        "order_link",
        "reason_shown",
        "asked",
        "todo",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        RETRY_FILTER,
        FundsFilter,
        METHOD_FILTER,
        MONEY_BACK_FILTER,
        REFUNDS_IN_BILL,
        service_filter("order__"),
        ("cause", ChoicesDropdownFilter),
        ("refund_amount", AmountRangeFilter),
        ("created_at", DayRangeFilter),
        ("completed_on", DayRangeFilter),
    )
    fieldsets = (
        section(
            None,
            ("number_shown", "status_shown"),
            ("amount_shown", "method"),
            ("order_link", "transaction_link"),
            ("user", "cause_shown"),
            "reason_shown",
            ("requester", "created"),
            "bulk",
        ),
        section(
            _("审核与结果"),
            ("reviewer", "reviewed"),
            ("notes", "approvals_left"),
            ("completed", "booked"),
            ("counted", "external_shown"),
            ("error", "next_check"),
            ("stop_asker", "stopper"),
            "where_the_money_is",
        ),
        section(_("网关应答"), "submissions_shown", "response", is_closed=True),
    )

    number_shown = number("refund_no", _("退款单号"))
    cause_shown = state("cause", _("缘由"), RefundCause, {})
    amount_shown = money("refund_amount", _("退款金额（元）"))
    created = moment("created_at", _("申请时间"))
    reviewed = moment("reviewed_at", _("审核时间"))
    completed = moment("completed_at", _("完成时间"))
    booked = moment("booked_at", _("入账时间"))
    counted = column(
        "",
        _("计入营业日"),
        lambda refund: counted_text(refund.completed_on, refund.completed_at),
    )
    next_check = moment("next_check_at", _("下次处理"))
    external_shown = number("external_refund_id", _("网关退款号"))
    submissions_shown = number("submissions", _("提交次数"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        approvals = RefundApproval.objects.filter(refund_id=OuterRef("pk"))
        refunds = super().get_queryset(request).defer("refund_response")
        return refunds.annotate(is_half_approved=Exists(approvals), is_to_retry=is_to_retry())

    def search_lookups(self, term: str) -> Iterable[Q]:
        methods = PaymentMethod.values
        return (
            Q(refund_no=term.upper()),
            Q(pk=term),
            Q(user_id=term),
            Q(order__order_no=term.upper()),
            Q(order_id=term),
            Q(order__appointment_id=term),
            Q(transaction__transaction_no=term.upper()),
            Q(transaction__trade_no=term),
            Q(transaction__payment_method__in=methods, transaction__out_trade_no=term),
            Q(transaction__payment_method__in=methods, transaction__external_transaction_id=term),
            Q(external_refund_id=term),
        )

    # --- columns ------------------------------------------------------------------------------

    status_shown = column("", _("状态"), status_badge)

    method = column("transaction.payment_method", _("支付方式"), method_text)

    order_link = link(ORDER_PAGE, "order_id", "order.order_no", _("订单"))

    transaction_link = link(
        TRANSACTION_PAGE, "transaction_id", "transaction.transaction_no", _("原支付流水")
    )

    user = searched(REFUND_PAGE, "user_id", _("收款用户"))

    reason_shown = told("refund_reason", _("退款原因"))

    @admin.display(description=_("申请时间"))
    def asked(self, refund: Refund) -> str:
        """When it was asked for and, below, how long it has waited: no room for one more column."""
        if refund.status != RefundStatus.PENDING:
            return time_text(refund.created_at)
        waited = _("已等待 %(time)s") % {"time": age_text(refund.created_at)}
        markup = '{}<br><span class="tcm-muted">{}</span>'
        return format_html(markup, time_text(refund.created_at), waited)

    @admin.display(description=_("待办"))
    def todo(self, refund: Refund) -> str:
        """The step that a reviewer takes from the queue."""
        if refund.status == RefundStatus.PENDING:
            text = _("第二人审核") if refund.is_half_approved else _("审核")
            url = admin_url("refunds_refund_review", refund.pk)
        elif refund.is_to_retry:
            text, url = _("重试"), admin_url("refunds_refund_retry", refund.pk)
        else:
            return EMPTY
        return format_html('<a class="tcm-todo" href="{}">{}</a>', url, text)

    @admin.display(description=_("申请人"))
    def requester(self, refund: Refund) -> str:
        if refund.requested_by is not None and refund.requested_by == refund.user_id:
            return str(_("用户本人"))
        return person_text(refund.requested_by)

    @admin.display(description=_("批量退款"))
    def bulk(self, refund: Refund) -> str:
        """The bulk that asked for it."""
        row = RefundBulkRow.objects.filter(refund_id=refund.pk).select_related("bulk").first()
        return admin_link(BULK_PAGE, row.bulk_id, row.bulk.reason) if row else EMPTY

    reviewer = person_name("reviewed_by", _("审核人"))
    stop_asker = person_name("stop_asked_by", _("停止申请人"))
    stopper = person_name("stopped_by", _("停止人"))

    notes = plain("review_notes", _("审核备注"))

    @admin.display(description=_("尚需审批"))
    def approvals_left(self, refund: Refund) -> str:
        if refund.status != RefundStatus.PENDING:
            return EMPTY
        return str(_("%(number)d 人") % {"number": refund.approvals_needed})

    error = column("", _("错误"), error_text)

    where_the_money_is = column("", _("款项在哪里"), place_linked)

    response = column("refund_response", _("网关应答"), message_text)

    # --- the page of one refund ---------------------------------------------------------------

    def panels(self, request: HttpRequest, row: Refund) -> list[Panel]:
        return [approvals_panel(row), history_panel(("refund", row.pk))]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        """Deciding about what waits, sending again what failed, printing what is done."""
        refund = self.get_object(request, unquote(object_id))
        status = getattr(refund, "status", None)
        if status == RefundStatus.SUCCESS:
            url = reverse("admin-refund-slip", args=[refund.pk])
            return [{"title": _("打印退款单"), "url": url, "icon": "print"}]
        may = refund is not None and request.user.has_perm(REVIEW_PERMISSION)
        if may and refund.is_to_retry:
            url = admin_url("refunds_refund_retry", refund.pk)
            return [{"title": _("重试退款"), "url": url, "icon": "replay"}]
        if may and is_stoppable(refund):
            url = admin_url("refunds_refund_stop", refund.pk)
            return [{"title": _("停止发送"), "url": url, "icon": "block"}]
        return super().steps(request, object_id)

    def may_withdraw(self, request: HttpRequest, row: Refund) -> bool:
        return False  # whoever asked takes it back over the API

    def may_open(self, user: Any, row: Refund) -> bool:
        return bool(user.has_perm(REVIEW_PERMISSION))

    def review(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return review_view(request, object_id, self)

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "queue": ("queue/", queue_view),
            "batch": ("batch/", preview_view),
            "retry_all": ("retry-all/", retry_all_view),
            "retry": ("<path:object_id>/retry/", partial(step_view, step=RETRY)),
            "stop": ("<path:object_id>/stop/", partial(step_view, step=STOP)),
        }
        return [*own_urls(self, REFUND_PAGE, pages), *super().get_urls()]
