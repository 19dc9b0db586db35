"""The report of a day, a month or any span of days: as a page to read or print, and as files."""

import tempfile
from pathlib import Path
from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from backoffice.exports.services import EXPORT_PERMISSION
from backoffice.models import ExportFormat
from backoffice.reconciliation.words import day_url
from backoffice.reports.files import (
    SECTIONS,
    SHEETS,
    close_text,
    line_name,
    report_write,
)
from backoffice.site.bases import actor_of, ensure_may, page
from backoffice.today.periods import FIRST_DAY, Period, period_asked, periods
from reconciliation.reports import FEES_BY, Report, report, told
from reconciliation.services.downloads import report_downloaded
from reconciliation.stand import first_closable_day
from tcmpay.common import clock

VIEW = "reconciliation.view_dailyclose"
# Closed months are what is asked about; of today nothing is closed.
DEFAULT = "last_month"


def report_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Sums by day, method, merchant number, type and service; closed days as they were signed."""
    ensure_may(request, VIEW)
    day = clock.today()
    named = periods(day)
    period = _period(request)
    found = report(period.first, period.last)
    first = first_closable_day()
    open_days = {day for day in found.open_days if first is not None and day >= first}
    context = {
        "title": _("收支报表"),
        "original": _("收支报表"),  # the last step of the breadcrumbs
        "periods": named,
        "period": period,
        "day": day,
        "first_day": FIRST_DAY,
        "report": found,
        "open_days": open_days,
        "days": [
            {
                "one": one,
                "sums": told(one.line),
                "url": day_url(one.day),
                "state": close_text(one, first),
                "is_open": one.day in open_days,
            }
            for one in found.days
        ],
        "total": told(found.total),
        "sections": _sections(found),
        "opening": found.days[0].opening if found.days else None,
        "closing": found.days[-1].closing if found.days else None,
        "may_export": request.user.has_perm(EXPORT_PERMISSION),
        "file_url": reverse("admin:reconciliation_dailyclose_report_download"),
        "query": f"first={period.first}&last={period.last}",
    }
    return page(request, model_admin, "reports/report.html", context)


@require_safe
def file_view(request: HttpRequest, model_admin: Any) -> FileResponse:
    """The same as a file: the sums, or vouchers for a ledger system."""
    ensure_may(request, VIEW)
    ensure_may(request, EXPORT_PERMISSION)
    what, file_format = request.GET.get("what", ""), request.GET.get("format", "")
    if what not in SHEETS or file_format not in ExportFormat.values:
        raise Http404
    period = _period(request)
    found = report(period.first, period.last)
    report_downloaded(
        actor=actor_of(request), first=period.first, last=period.last, what=what, form=file_format
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"report.{file_format}"
        report_write(path, found, what=what, file_format=file_format)
        file = path.open("rb")  # stays readable when its name is gone
    name = f"{what}-{period.first}-{period.last}.{file_format}"
    return FileResponse(file, as_attachment=True, filename=name)


def _period(request: HttpRequest) -> Period:
    day = clock.today()
    named = sorted(periods(day), key=lambda one: one.code != DEFAULT)
    return period_asked(request.GET, named, day)


def _sections(found: Report) -> list[dict[str, Any]]:
    return [
        {
            "title": title,
            "has_fees": what in FEES_BY,
            "lines": [(line_name(what, line.name), told(line)) for line in found.by(what)],
        }
        for what, title in SECTIONS
    ]
