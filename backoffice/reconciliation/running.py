"""Comparing a day anew, having its bills fetched again; taking a bill's file."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from backoffice.reconciliation.views import bill_of
from backoffice.reconciliation.words import DAY_PAGE, DOWNLOAD, RUN, day_url, read_day
from backoffice.site.bases import actor_of, ensure_may
from backoffice.site.second_person import refusal_text
from backoffice.site.words import method_text
from config.gateways.merchants import Merchant
from gateways.interface import BillRefused
from reconciliation.contents import bill_chunks
from reconciliation.models import BillFile, ReconciledDay
from reconciliation.our_books import merchants_of_day
from reconciliation.services.downloading import bills_download_ask
from reconciliation.services.downloads import bill_downloaded
from reconciliation.services.queueing import day_compare_ask, is_long
from reconciliation.services.running import day_reconcile
from tcmpay.common.errors import DomainError

FETCH, COMPARE = "fetch", "compare"


@require_POST
def run_view(request: HttpRequest, day: str, model_admin: Any) -> HttpResponse:
    """Have the day's bills fetched and compared, or compare with those that are there."""
    ensure_may(request, RUN)
    shown = read_day(day)
    if shown is None:
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
    merchants = _merchants_of(shown)
    if not merchants:
        messages.warning(request, _("这一天没有商户号可以对账。"))
    for merchant in merchants:
        (fetch if request.POST.get("do") == FETCH else compare)(request, merchant, shown)
    return HttpResponseRedirect(day_url(shown))


def compare(request: HttpRequest, merchant: Merchant, day: date) -> None:
    """Compare with the bills that are there, and tell what came of it; what takes long is asked
    for, and the day's page tells how it goes."""
    if is_long(merchant, day):
        day_compare_ask(actor=actor_of(request), merchant=merchant, day=day)
        text = _("%(name)s：账单较大，已排队对账，结果会出现在这一页。")
        messages.info(request, text % {"name": _named(merchant)})
    else:
        _tell(request, merchant, day)


def fetch(request: HttpRequest, merchant: Merchant, day: date) -> None:
    """Have the gateway asked for the bills: a gateway may take long, the day's page tells how it
    goes, and what differs."""
    try:
        bills_download_ask(actor=actor_of(request), merchant=merchant, day=day)
    except DomainError as error:
        messages.error(request, _told(_named(merchant), refusal_text(error)))
    else:
        text = _("%(name)s：已排队下载账单，结果会出现在这一页。")
        messages.info(request, text % {"name": _named(merchant)})


def _tell(request: HttpRequest, merchant: Merchant, day: date) -> None:
    name = _named(merchant)
    try:
        row = day_reconcile(actor=actor_of(request), merchant=merchant, day=day)
    except BillRefused as error:
        # What is kept was whole when it came in: somebody changed it since.
        messages.error(request, _told(name, str(error)))
        return
    except DomainError as error:
        messages.error(request, _told(name, refusal_text(error)))
        return
    still = row.differences.open().count()
    if still:
        text = _("%(name)s：已对账，%(number)d 项差异待处理。")
        messages.warning(request, text % {"name": name, "number": still})
    else:
        messages.success(request, _("%(name)s：已对账，没有待处理的差异。") % {"name": name})


def _told(name: str, text: str) -> str:
    return _("%(name)s：%(text)s") % {"name": name, "text": text}


def _named(merchant: Merchant) -> str:
    return f"{method_text(merchant.method)} {merchant.number}"


def _merchants_of(day: date) -> list[Merchant]:
    rows = ReconciledDay.objects.filter(day=day)
    found = {Merchant(*pair) for pair in rows.values_list("payment_method", "merchant")}
    return sorted(found | set(merchants_of_day(day)))


@require_safe
def download_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponseBase:
    """The unpacked file as the gateway gave it; kept in the trail who took it."""
    ensure_may(request, DOWNLOAD)
    bill: BillFile = bill_of(request, object_id)
    bill_downloaded(actor=actor_of(request), bill=bill)
    name = f"{bill.payment_method}-{bill.day}-{bill.bill_type}-{bill.sha256[:8]}.csv"
    # Never as a page: what is in it was written by others.
    answer = StreamingHttpResponse(bill_chunks(bill), content_type="application/octet-stream")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
