"""The pages of reconciliation for reading: the calendar, a business day, lines of a bill."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice.cases.actions import CLOSE_PERMISSION
from backoffice.reconciliation.bill_lines import FOUND_MAX, BillLine, BillText
from backoffice.reconciliation.calendar import month_of
from backoffice.reconciliation.closing import closing_facts
from backoffice.reconciliation.day import SHOWN_MAX, Day, under_way
from backoffice.reconciliation.mending import results_take
from backoffice.reconciliation.words import DAY_PAGE, DOWNLOAD, IMPORT, RUN, VIEW, day_url, read_day
from backoffice.site.bases import ensure_may, page
from payments.models import PaymentTransaction
from reconciliation.models import BillFile
from reconciliation.once import read_once
from refunds.models import Refund
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.fields import as_uuid_or_text

LINE_NUMBER_MAX = 20_000_000


def calendar_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Days down, merchant numbers across, month by month."""
    ensure_may(request, VIEW)
    with read_once():
        month = month_of(request.GET.get("month", ""))
    context = {
        "title": _("对账"),
        "month": month,
        "today": clock.today(),
        "may_import": request.user.has_perm(IMPORT),
    }
    return page(request, model_admin, "reconciliation/calendar.html", context)


def day_view(request: HttpRequest, day: str, model_admin: Any) -> HttpResponse:
    """One business day."""
    ensure_may(request, VIEW)
    shown = read_day(day)
    if shown is None:
        messages.warning(request, _("没有这一天。"))
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
    if request.GET.get("part") == "state":
        return render(request, "reconciliation/under_way.html", {"under_way": under_way(shown)})
    is_over = shown < clock.today()
    with read_once():
        day, closing = Day(shown, request.user), closing_facts(shown, request.user)
    context = {
        "title": _("对账 %(day)s") % {"day": shown.isoformat()},
        "original": shown.isoformat(),  # the last step of the breadcrumbs
        "day": day,
        "under_way": under_way(shown),
        "results": results_take(request, shown),
        "may_mend": request.user.has_perm(CLOSE_PERMISSION),
        "earlier": day_url(shown - ONE_DAY),
        "later": day_url(shown + ONE_DAY) if is_over else "",
        "month": shown.strftime("%Y-%m"),
        "shown_max": SHOWN_MAX,
        "is_over": is_over,
        "may_import": is_over and request.user.has_perm(IMPORT),
        "may_download": request.user.has_perm(DOWNLOAD),
        "may_run": is_over and request.user.has_perm(RUN),
        **closing,
    }
    return page(request, model_admin, "reconciliation/day.html", context)


def bill_of(request: HttpRequest, object_id: str) -> BillFile:
    """The file that an address names. Raises PermissionDenied, Http404."""
    ensure_may(request, "reconciliation.view_billfile")
    bill = BillFile.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if bill is None:
        # Who may see all of them learns nothing by it.
        raise Http404
    return bill


def lines_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Lines of a bill's file: the one with a number (``n``), or those with a text (``q``)."""
    bill = bill_of(request, object_id)
    may_download = request.user.has_perm(DOWNLOAD)
    text = BillText(bill, shows_all=may_download)
    number, term = _number(request.GET.get("n", "")), request.GET.get("q", "").strip()
    lines = text.containing(term) if term else text.line(number)
    context = {
        "title": _("%(bill)s：原文") % {"bill": bill},
        "original": str(bill),
        "bill": bill,
        "day_url": day_url(bill.day),
        "number": number,
        "term": term,
        "lines": lines,
        "found_max": FOUND_MAX,
        "is_cut": len(lines) == FOUND_MAX,
        "links": _links(request, bill, lines),
        "may_download": may_download,
    }
    return page(request, model_admin, "reconciliation/lines.html", context)


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 9
    return min(max(int(text), 1), LINE_NUMBER_MAX) if is_number else 1


def _links(request: HttpRequest, bill: BillFile, lines: Sequence[BillLine]) -> list[dict[str, Any]]:
    """Ours that the lines' numbers name: payments with their orders, and refunds."""
    values = {cell for line in lines for _name, cell in line.fields if 6 <= len(cell) <= 64}
    found: list[dict[str, Any]] = []
    if request.user.has_perm("payments.view_paymenttransaction"):
        known = Q(out_trade_no__in=values) | Q(external_transaction_id__in=values)
        attempts = PaymentTransaction.objects.filter(
            known, payment_method=bill.payment_method
        ).select_related("order")
        found += [{"attempt": attempt} for attempt in attempts[:FOUND_MAX]]
    if request.user.has_perm("refunds.view_refund"):
        refunds = Refund.objects.filter(refund_no__in=values)
        found += [{"refund": refund} for refund in refunds[:FOUND_MAX]]
    return found
