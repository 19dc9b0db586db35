"""A bill from the reader's own machine: looked at first, imported when confirmed."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminFileFieldWidget

from backoffice.exports.services import OWN_FILE, own_folder
from backoffice.reconciliation.calendar import ONE_DAY
from backoffice.reconciliation.running import compare
from backoffice.reconciliation.words import DAY_PAGE, DOWNLOAD, FIRST_DAY, IMPORT, day_url
from backoffice.site.bases import actor_of, ensure_may, page
from backoffice.site.second_person import refusal_text
from backoffice.site.uploads import UPLOAD_BYTES_MAX, is_too_large
from backoffice.site.words import method_text
from gateways.interface import GATEWAY_METHODS, BillRefused, OpenedBill
from gateways.registry import open_bill
from reconciliation.merchants import Merchant, merchants_known
from reconciliation.models import BillFile, ReconciledDay
from reconciliation.services.importing import bill_examine, bill_import
from reconciliation.states import BillSource, BillType
from tcmpay.common import clock
from tcmpay.common.errors import DomainError

# What waits for a confirmation, by the session that it came in.
WAITING = "bill_upload"
KEPT_SECONDS = 3600
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


@dataclass(frozen=True)
class Upload:
    """A file that waits, and what it is said to be."""

    token: str
    merchant: Merchant
    day: date
    bill_type: BillType
    name: str

    @property
    def path(self) -> Path:
        return _folder() / self.token

    def to_session(self) -> dict[str, str]:
        return {
            "token": self.token,
            "method": self.merchant.method,
            "number": self.merchant.number,
            "day": self.day.isoformat(),
            "bill_type": str(self.bill_type),
            "name": self.name,
        }

    @classmethod
    def of_session(cls, request: HttpRequest) -> "Upload | None":
        kept = request.session.get(WAITING)
        if not kept:
            return None
        found = cls(
            kept["token"],
            Merchant(kept["method"], kept["number"]),
            date.fromisoformat(kept["day"]),
            BillType(kept["bill_type"]),
            kept["name"],
        )
        return found if found.path.exists() else None

    @contextmanager
    def opened(self) -> Iterator[OpenedBill]:
        """Raises BillRefused."""
        with self.path.open("rb") as file:
            bill = open_bill(self.merchant.method, self.bill_type, file, name=self.name)
            try:
                yield bill
            finally:
                bill.close()


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


def _keep(form: UploadForm) -> Upload:
    """The file under a name that nobody can guess, for an hour."""
    folder = _folder()
    own_folder(folder)
    _purge(folder)
    method, _separator, number = form.cleaned_data["merchant"].partition(":")
    sent: UploadedFile = form.cleaned_data["file"]
    upload = Upload(
        token=secrets.token_hex(16),
        merchant=Merchant(method, number),
        day=form.cleaned_data["day"],
        bill_type=BillType(form.cleaned_data["bill_type"]),
        name=Path(sent.name or "").name[:200],
    )
    upload.path.touch(mode=OWN_FILE, exist_ok=False)
    with upload.path.open("wb") as file:
        _copy(sent, file)
    return upload


def _copy(sent: UploadedFile, file: IO[bytes]) -> None:
    for chunk in sent.chunks():
        file.write(chunk)


def _folder() -> Path:
    return Path(settings.EXPORT_DIR) / "bills"


def _purge(folder: Path) -> None:
    until = time.time() - KEPT_SECONDS
    for file in folder.iterdir():
        if file.stat().st_mtime < until:
            file.unlink(missing_ok=True)
