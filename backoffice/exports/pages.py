"""Exporting a list as it is filtered: asking, watching, taking the file."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from backoffice.exports.columns import LISTS
from backoffice.exports.services import (
    EXPORT_PERMISSION,
    ExportRefused,
    export_downloaded,
    export_is_whole,
    export_path,
    export_request,
    export_write_now,
)
from backoffice.models import ExportJob, ExportStatus
from backoffice.site.bases import (
    ReadOnlyAdmin,
    admin_url,
    column,
    ensure_may,
    moment,
    person_name,
    section,
    state,
    told,
)
from backoffice.site.display import BAD, EMPTY, GOOD, RUNNING, WAITING, money_text
from tcmpay.common import clock

EXPORT_PAGE = "backoffice_exportjob"
# Written while the reader waits; larger ones are the worker's.
AT_ONCE_ROWS_MAX = 2_000
EXPORT_TONES: dict[str, str] = {
    ExportStatus.QUEUED: WAITING,
    ExportStatus.RUNNING: RUNNING,
    ExportStatus.DONE: GOOD,
    ExportStatus.FAILED: BAD,
}


@require_POST
def start_view(request: HttpRequest) -> HttpResponseBase:
    """Export the list named in the form; small ones come back as the file itself."""
    ensure_may(request, EXPORT_PERMISSION)
    page = request.POST.get("page", "")
    query = request.POST.get("query", "")[:2000]
    try:
        job = export_request(
            person=request.user,
            page=page,
            query=query,
            file_format=request.POST.get("format", ""),
            language=get_language() or "zh-hans",
        )
    except ExportRefused as refusal:
        messages.error(request, str(refusal))
        return redirect(_list_url(page, query))
    if job.rows_total <= AT_ONCE_ROWS_MAX and export_write_now(job).status == ExportStatus.DONE:
        return _file(request, job)
    return HttpResponseRedirect(admin_url(f"{EXPORT_PAGE}_change", job.pk))


def download_view(request: HttpRequest, object_id: str) -> HttpResponseBase:
    """The file of one's own finished export."""
    ensure_may(request, EXPORT_PERMISSION)
    job = own_exports(request).filter(pk=unquote(object_id), status=ExportStatus.DONE).first()
    if job is None or not export_is_whole(job):
        raise Http404(gettext("文件不存在或已过期，请重新导出。"))
    return _file(request, job)


def _file(request: HttpRequest, job: ExportJob) -> FileResponse:
    export_downloaded(person=request.user, job_id=job.pk)
    day = job.created_at.astimezone(clock.SHANGHAI)
    name = f"{LISTS[job.page].title}-{day:%Y%m%d-%H%M%S}.{job.file_format}"
    return FileResponse(export_path(job).open("rb"), as_attachment=True, filename=name)


def _list_url(page: str, query: str) -> str:
    if page not in LISTS:
        return reverse("admin:index")
    return f"{reverse(f'admin:{page}_changelist')}?{query}"


def own_exports(request: HttpRequest) -> QuerySet[ExportJob]:
    return ExportJob.objects.filter(requested_by=request.user.pk)


class ExportAdmin(ReadOnlyAdmin):
    """One's own exports: how far they are, and their files."""

    list_display = ("created", "listed", "status_shown", "rows", "amount_shown", "file")
    list_filter = ()
    ordering = ("-id",)
    change_form_outer_after_template = "exports/progress.html"
    fieldsets = (
        section(
            None,
            ("listed", "status_shown"),
            ("rows", "amount_shown"),
            ("created", "finished"),
            ("requester", "filters"),
            ("file", "error_shown"),
        ),
    )

    status_shown = state("status", _("状态"), ExportStatus, EXPORT_TONES)
    created = moment("created_at", _("申请时间"))
    finished = moment("finished_at", _("完成时间"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportJob]:
        return own_exports(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(EXPORT_PERMISSION)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(EXPORT_PERMISSION)

    @admin.display(description=_("列表"))
    def listed(self, job: ExportJob) -> str:
        found = LISTS.get(job.page)
        return f"{found.title if found else job.page} · {job.get_file_format_display()}"

    rows = column("", _("行数"), lambda job: f"{job.rows_done:,} / {job.rows_total:,}")

    @admin.display(description=_("金额合计（元）"))
    def amount_shown(self, job: ExportJob) -> str:
        """What the rows that count come to, and which those are."""
        if job.amount is None:
            return EMPTY
        counted = LISTS[job.page].counted if job.page in LISTS else ""
        markup = '{} <span class="tcm-muted">{}</span>'
        return format_html(markup, money_text(job.amount), counted)

    requester = person_name("requested_by", _("导出人"))

    filters = column("query", _("筛选条件"), lambda query: query or str(_("全部")))

    error_shown = told("error", _("错误"))

    @admin.display(description=_("文件"))
    def file(self, job: ExportJob) -> str:
        if job.status != ExportStatus.DONE:
            return EMPTY
        if not export_is_whole(job):
            return str(_("已过期"))
        url = admin_url("backoffice_export_download", job.pk)
        text = gettext("下载（%(size)s KB）") % {"size": f"{job.bytes_written / 1024:,.0f}"}
        return format_html('<a class="tcm-todo" href="{}">{}</a>', url, text)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("start/", wrap(start_view), name="backoffice_export_start"),
            path(
                "<path:object_id>/download/",
                wrap(download_view),
                name="backoffice_export_download",
            ),
            *super().get_urls(),
        ]
