"""Reconciliation in the admin: business days, differences and bills, each for reading.

What is done about them are pages of their own under these.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.reconciliation.closing import propose_view, reopen_view
from backoffice.reconciliation.mending import mend_view
from backoffice.reconciliation.running import download_view, run_view
from backoffice.reconciliation.uploads import replace_view, upload_view, uploaded_view
from backoffice.reconciliation.views import calendar_view, day_view, lines_view
from backoffice.reconciliation.words import (
    BILL_PAGE,
    DAY_PAGE,
    between,
    day_link,
    day_url,
    line_text_for,
)
from backoffice.site.bases import (
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
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
    section,
    state,
    told,
)
from backoffice.site.display import (
    BAD,
    EMPTY,
    GOOD,
    NEUTRAL,
    RUNNING,
    WAITING,
    age_text,
    badge,
    code_text,
    money_text,
)
from backoffice.site.filters import cases
from backoffice.site.words import CASE_PAGE, ORDER_PAGE, REFUND_PAGE, method_text
from reconciliation.models import BillFile, Difference
from reconciliation.states import BillType, DifferenceType

STANDING = cases(
    "standing",
    _("处理情况"),
    {
        "open": (
            _("待处理"),
            Q(gone_at=None, is_doubtful=False) & ~Q(case__closed_at__isnull=False),
        ),
        "doubtful": (_("存疑"), Q(gone_at=None, is_doubtful=True)),
        "ended": (_("已处理"), Q(gone_at=None, case__closed_at__isnull=False)),
        "gone": (_("原因已消失"), Q(gone_at__isnull=False)),
    },
)


def standing_badge(row: Difference) -> str:
    """How far a difference is."""
    if row.gone_at is not None:
        return badge(gettext("原因已消失"), NEUTRAL)
    if row.is_doubtful:
        return badge(gettext("存疑"), RUNNING)
    if row.case is not None and row.case.closed_at is not None:
        return badge(row.case.get_outcome_display(), GOOD)
    return badge(gettext("待处理"), WAITING)


class ReconciledDayAdmin(ReadOnlyAdmin):
    """The calendar instead of a list, and one page per business day."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST":
            raise PermissionDenied
        return calendar_view(request, self)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        row: Any = self.get_object(request, unquote(object_id))
        if row is None:
            return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
        return HttpResponseRedirect(day_url(row.day))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.change_view(request, object_id)

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "day": ("day/<str:day>/", day_view),
            "mend": ("day/<str:day>/mend/", mend_view),
            "propose": ("day/<str:day>/close/", propose_view),
            "reopen": ("day/<str:day>/reopen/", reopen_view),
            "run": ("day/<str:day>/run/", run_view),
            "upload": ("upload/", upload_view),
            "replace": ("upload/<str:object_id>/replace/", replace_view),
            "uploaded": ("upload/confirm/", uploaded_view),
        }
        return [*own_urls(self, DAY_PAGE, pages), *super().get_urls()]


class DifferenceAdmin(ReadOnlyAdmin):
    """Where bills and our books differ: the list, and one with both its sides."""

    search_help_text = _("商户订单号、退款单号、网关单号或订单号")
    list_select_related = ("day", "bill", "case", "order", "refund")
    list_display = (
        "business_day",
        "type_shown",
        "method",
        "number_shown",
        "ours_shown",
        "theirs_shown",
        "reason_shown",
        "standing",
        "waits",
        "case_link",
    )
    list_display_links = ("number_shown",)
    list_filter = (
        STANDING,
        ("difference_type", ChoicesDropdownFilter),
        ("found_at", DayRangeFilter),
    )
    fieldsets = (
        section(
            None,
            ("type_shown", "standing"),
            ("business_day", "method"),
            ("ours_shown", "theirs_shown"),
            ("yuan", "found"),
            "reason_shown",
        ),
        section(
            _("单据"),
            ("out_trade_no_shown", "refund_no_shown"),
            ("gateway_no_shown", "case_link"),
            ("order_link", "refund_link"),
        ),
        section(_("账单原文"), "bill_link", "text_shown"),
    )

    business_day = column("", _("账单日"), day_link)
    type_shown = state(
        "difference_type", _("类型"), DifferenceType, dict.fromkeys(DifferenceType.values, BAD)
    )
    method = column("day.payment_method", _("支付方式"), method_text)
    ours_shown = money("ours", _("我方（元）"))
    theirs_shown = money("theirs", _("网关（元）"))
    found = moment("found_at", _("发现时间"))
    standing = column("", _("处理情况"), standing_badge)
    reason_shown = told("reason", _("说明"))
    yuan = column("", _("相差（元）"), lambda row: money_text(between(row.ours, row.theirs)))
    number_shown = column("number", _("单号"), code_text)
    out_trade_no_shown = number("out_trade_no", _("商户订单号"))
    refund_no_shown = number("refund_no", _("商户退款单号"))
    gateway_no_shown = number("gateway_no", _("网关单号"))
    order_link = link(ORDER_PAGE, "order_id", "order.order_no", _("订单"))
    refund_link = link(REFUND_PAGE, "refund_id", "refund.refund_no", _("退款"))
    waits = column(
        "", _("已等待"), lambda row: age_text(row.found_at) if row.gone_at is None else EMPTY
    )
    text_shown = number("line_text", _("原文"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the line of the bill where the reader may not see it."""
        *others, (title, options) = super().get_fieldsets(request, obj)
        if obj is not None and not line_text_for(obj, request.user):
            options = {**options, "fields": ("bill_link",)}
        return [*others, (title, options)]

    @admin.display(description=_("差错"))
    def case_link(self, row: Difference) -> str:
        if row.case_id is None:
            return EMPTY
        return admin_link(CASE_PAGE, row.case_id, gettext("处理"))

    @admin.display(description=_("账单"))
    def bill_link(self, row: Difference) -> str:
        return bill_line_link(row) or EMPTY

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What waits longest comes first in the queue; otherwise the newest."""
        if request.GET.get("standing") == "open":
            return ("found_at", "id")
        return ("-found_at", "-id")

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (
            Q(pk=term),
            Q(out_trade_no=term),
            Q(refund_no=term),
            Q(gateway_no=term),
            Q(order__order_no=term.upper()),
        )


def bill_line_link(row: Difference) -> str:
    """The line of the bill that a difference comes from; "" where it comes from none."""
    if row.bill is None or row.line_number is None:
        return ""
    url = f"{admin_url(f'{BILL_PAGE}_lines', row.bill_id)}?n={row.line_number}"
    facts = {"bill": row.bill.get_bill_type_display(), "number": row.line_number}
    text = gettext("%(bill)s第 %(number)d 行") % facts
    return format_html('<a class="tcm-link tcm-nowrap" href="{}">{}</a>', url, text)


class BillFileAdmin(ReadOnlyAdmin):
    """Every bill that was read, also those that another file replaced."""

    search_help_text = _("商户号或文件的 SHA-256")
    list_display = (
        "business_day",
        "method",
        "merchant_shown",
        "type_shown",
        "lines",
        "quarantined_shown",
        "source_shown",
        "imported",
        "importer",
        "standing",
    )
    list_filter = (
        ("day", DayRangeFilter),
        ("payment_method", ChoicesDropdownFilter),
        ("bill_type", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
    )
    ordering = ("-day", "-imported_at")
    fieldsets = (
        section(
            None,
            ("business_day", "standing"),
            ("method", "merchant_shown"),
            ("type_shown", "source_shown"),
            ("lines", "quarantined_shown"),
            ("imported", "importer"),
            ("replaced", "replacer"),
            ("name", "size"),
            "hash_shown",
        ),
    )

    business_day = column("", _("账单日"), day_link)
    method = column("payment_method", _("支付方式"), method_text)
    merchant_shown = number("merchant", _("商户号"))
    type_shown = state("bill_type", _("账单"), BillType, {})
    quarantined_shown = column(
        "quarantined", _("无法读取的行"), lambda rows: badge(rows, BAD) if rows else "0"
    )
    source_shown = column("", _("来源"), lambda row: row.get_source_display())
    imported = moment("imported_at", _("导入时间"))
    importer = person_name("imported_by", _("导入人"))
    replaced = moment("replaced_at", _("被替换时间"))
    replacer = person_name("replaced_by", _("替换人"))
    name = plain("file_name", _("文件名"))
    size = column("bytes_long", _("大小（字节）"), lambda size: f"{size:,}")
    hash_shown = number("sha256", "SHA-256")
    standing = column(
        "",
        _("效力"),
        lambda row: badge(*((_("有效"), GOOD) if row.current_key else (_("已被替换"), NEUTRAL))),
    )

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(pk=term), Q(merchant=term), Q(sha256=term.lower()))

    def panels(self, request: HttpRequest, row: BillFile) -> list[Panel]:
        totals = [(str(name), str(value)) for name, value in row.totals.items()]
        return [
            Panel(_("文件自己的合计"), (_("名称"), _("值")), totals, empty=_("文件没有合计。")),
        ]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        if self.get_object(request, unquote(object_id)) is None:
            return []
        url = admin_url(f"{BILL_PAGE}_lines", unquote(object_id))
        return [{"title": _("查看原文"), "url": url, "icon": "subject"}]

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "lines": ("<path:object_id>/lines/", lines_view),
            "download": ("<path:object_id>/download/", download_view),
        }
        return [*own_urls(self, BILL_PAGE, pages), *super().get_urls()]
