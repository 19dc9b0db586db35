"""A bill from the reader's own machine: looked at first, imported when confirmed."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST
from unfold.widgets import UnfoldAdminFileFieldWidget

from backoffice.reconciliation.running import compare
from backoffice.reconciliation.waiting_bills import (
    WAITING,
    Upload,
    upload_new,
    upload_write,
)
from backoffice.reconciliation.words import DAY_PAGE, DOWNLOAD, IMPORT, day_url
from backoffice.site.bases import actor_of, ensure_may, page
from backoffice.site.second_person import refusal_text
from backoffice.site.uploads import UPLOAD_BYTES_MAX, is_too_large
from backoffice.site.words import method_text
from backoffice.today.periods import FIRST_DAY
from config.gateways.merchants import Merchant
from gateways.bill_files import is_longer_than
from gateways.interface import GATEWAY_METHODS, BillRefused
from reconciliation.merchants import merchants_known
from reconciliation.models import BillFile, BillUpload, ReconciledDay
from reconciliation.services.importing import bill_examine, bill_import
from reconciliation.services.uploads import (
    BYTES_AT_ONCE_MAX,
    bill_upload_confirm,
    bill_upload_keep,
)
from reconciliation.states import BillSource, BillType
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text

EXAMPLES_MAX = 20


class UploadForm(forms.Form):
    merchant = forms.ChoiceField(label=gettext_lazy("商户号"))
    day = forms.DateField(
        label=gettext_lazy("账单日"),
        widget=forms.DateInput(attrs={"type": "date", "class": "tcm-input"}, format="%Y-%m-%d"),
    )
    bill_type = forms.ChoiceField(label=gettext_lazy("账单"), choices=BillType)
    file = forms.FileField(
        label=gettext_lazy("文件"),
        allow_empty_file=True,
        # Unfold's script writes the file's name into its own field.
        widget=UnfoldAdminFileFieldWidget,
        help_text=gettext_lazy("商户平台下载的原文件：CSV、TXT、ZIP 或 GZIP，不要打开再保存。"),
    )

    def __init__(self, merchants: Sequence[Merchant], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(_code(one), f"{method_text(one.method)} {one.number}") for one in merchants]
        self.fields["merchant"] = forms.ChoiceField(label=gettext_lazy("商户号"), choices=choices)
        for name in ("merchant", "bill_type"):
            self.fields[name].widget.attrs["class"] = "tcm-input"

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if not FIRST_DAY <= day <= clock.today():
            raise forms.ValidationError(_("没有这一天。"))
        return day


@require_http_methods(["GET", "HEAD", "POST"])
def upload_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """The form, and what the file is before anything of it is kept."""
    ensure_may(request, IMPORT)
    posted = request.POST if request.method == "POST" else None
    initial = {"day": request.GET.get("day") or clock.today() - ONE_DAY}
    files = request.FILES if posted is not None else None
    form = UploadForm(_merchants(), posted, files, initial=initial)
    if posted is not None and is_too_large(request):
        text = _("文件超过 %(number)d MB。") % {"number": UPLOAD_BYTES_MAX >> 20}
        form.add_error("file", text)
    if posted is not None and form.is_valid():
        if is_longer_than(form.cleaned_data["file"], BYTES_AT_ONCE_MAX):
            return _queue(request, form)
        upload = _keep(form)
        request.session[WAITING] = upload.to_session()
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_uploaded"))
    context = {
        "title": _("上传账单"),
        "original": _("上传账单"),  # the last step of the breadcrumbs
        "form": form,
        "has_merchants": bool(form.fields["merchant"].choices),  # type: ignore[attr-defined]
    }
    return page(request, model_admin, "reconciliation/upload.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def uploaded_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """What the file is, what it adds up to, what it would replace; a POST imports it."""
    ensure_may(request, IMPORT)
    upload = Upload.of_session(request)
    if upload is None:
        messages.warning(request, _("没有等待确认的账单文件，请重新上传。"))
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_upload"))
    if request.method == "POST" and request.POST.get("token") == upload.token:
        return _confirm(request, upload)
    refused, examined = "", None
    try:
        with upload.opened() as bill:
            examined = bill_examine(
                merchant=upload.merchant,
                day=upload.day,
                bill_type=upload.bill_type,
                opened=bill,
            )
            odd_lines = bill.odd_lines
    except BillRefused as error:
        refused, odd_lines = str(error), ()
    except DomainError as error:
        refused, odd_lines = refusal_text(error), ()
    context = {
        "title": _("核对上传的账单"),
        "original": _("核对上传的账单"),  # the last step of the breadcrumbs
        "upload": upload,
        "method": method_text(upload.merchant.method),
        "bill_type": upload.bill_type.label,
        "refused": refused,
        "examined": examined,
        "odd_lines": odd_lines[:EXAMPLES_MAX],
        "may_download": request.user.has_perm(DOWNLOAD),
        "day_url": day_url(upload.day),
    }
    return page(request, model_admin, "reconciliation/uploaded.html", context)


def _queue(request: HttpRequest, form: UploadForm) -> HttpResponse:
    """Put a big file away for a worker; the day's page tells how it goes."""
    sent: UploadedFile = form.cleaned_data["file"]
    day: date = form.cleaned_data["day"]
    try:
        bill_upload_keep(
            actor=actor_of(request),
            merchant=_merchant(form),
            day=day,
            bill_type=BillType(form.cleaned_data["bill_type"]),
            file=sent,
            file_name=_file_name(sent),
        )
    except DomainError as error:
        messages.error(request, refusal_text(error))
    else:
        messages.info(request, _("文件较大，已收下并排队导入，结果会出现在这一页。"))
    return HttpResponseRedirect(f"{day_url(day)}#bills")


@require_POST
def replace_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Let a big file replace the bill that counts, after what differs was seen."""
    ensure_may(request, IMPORT)
    upload = BillUpload.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if upload is None:
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
    if bill_upload_confirm(actor=actor_of(request), upload_id=upload.id) is None:
        messages.warning(request, _("这份文件没有在等确认。"))
    return HttpResponseRedirect(f"{day_url(upload.day)}#bills")


def _confirm(request: HttpRequest, upload: Upload) -> HttpResponse:
    """Import what was looked at, and compare the day with it."""
    try:
        with upload.opened() as bill:
            kept: BillFile = bill_import(
                actor=actor_of(request),
                merchant=upload.merchant,
                day=upload.day,
                bill_type=upload.bill_type,
                opened=bill,
                source=BillSource.UPLOADED,
                file_name=upload.name,
                is_replacing=request.POST.get("replaces") == "yes",
            )
    except BillRefused as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_uploaded"))
    except DomainError as error:
        messages.error(request, refusal_text(error))
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_uploaded"))
    del request.session[WAITING]
    upload.path.unlink(missing_ok=True)
    facts = {"bill": kept, "number": kept.lines}
    messages.success(request, _("已导入：%(bill)s，%(number)d 行。") % facts)
    compare(request, upload.merchant, upload.day)
    return HttpResponseRedirect(day_url(upload.day))


def _merchants() -> list[Merchant]:
    """Those whose bills there may be: all that were ever configured, then all that had one."""
    known = ReconciledDay.objects.order_by().values_list("payment_method", "merchant").distinct()
    found = [one for method in GATEWAY_METHODS for one in merchants_known(method)]
    found += [Merchant(*pair) for pair in known]
    return list(dict.fromkeys(found))


def _code(merchant: Merchant) -> str:
    return f"{merchant.method}:{merchant.number}"


def _merchant(form: UploadForm) -> Merchant:
    method, _separator, number = form.cleaned_data["merchant"].partition(":")
    return Merchant(method, number)


def _file_name(sent: UploadedFile) -> str:
    return Path(sent.name or "").name[:200]


def _keep(form: UploadForm) -> Upload:
    sent: UploadedFile = form.cleaned_data["file"]
    upload = upload_new(
        _merchant(form),
        form.cleaned_data["day"],
        BillType(form.cleaned_data["bill_type"]),
        _file_name(sent),
    )
    upload_write(upload, sent)
    return upload
