"""The page that withdraws a former configuration's callback keys, with what was booked on them."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from backoffice.site.bases import actor_of, ensure_may, page
from backoffice.site.forms import ReasonFormField
from config.gateways.errors import VersionNotFound
from config.gateways.fields import KNOWN_KEYS
from config.gateways.revocation import Revocation, revocation_done, revocation_find, revocation_of
from config.models import GatewayMethod, PaymentConfigVersion
from payments.services.key_revocation import (
    booked_on_their_word,
    gateway_keys_revoke,
    unattributed_count,
)
from tcmpay.accounts.selectors import person_text
from tcmpay.common.errors import DomainError

VIEW = "config.view_paymentconfig"
ACTIVATE = "config.activate_paymentconfig"
PAGE = "payments_paymentcallback_keys"
LINES_SHOWN_MAX = 200


class RevokeForm(forms.Form):
    reason = ReasonFormField(label=gettext_lazy("作废原因"))


@require_http_methods(["GET", "HEAD", "POST"])
def gateway_keys_view(
    request: HttpRequest, method: str, number: int, model_admin: Any
) -> HttpResponse:
    """What withdrawing would end, or has ended, and what was booked on its word."""
    ensure_may(request, VIEW)
    version = _version(method, number)
    may_revoke = request.user.has_perm(ACTIVATE)
    form = RevokeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if not may_revoke:
            raise PermissionDenied
        if form.is_valid():
            return _revoke(request, version, form.cleaned_data["reason"])
    return _page(request, model_admin, version, form=form, may_revoke=may_revoke)


def _version(method: str, number: int) -> PaymentConfigVersion:
    if method not in KNOWN_KEYS:
        raise Http404
    try:
        return revocation_find(method, str(number))
    except VersionNotFound as error:
        raise Http404 from error


def _revoke(request: HttpRequest, version: PaymentConfigVersion, reason: str) -> HttpResponse:
    try:
        done = gateway_keys_revoke(
            actor=actor_of(request),
            method=version.payment_method,
            version_id=version.id,
            reason=reason,
        )
    except DomainError as error:
        messages.error(request, str(error.text))
    else:
        if done is None:
            messages.success(request, _("已申请作废，密钥仍然有效：请另一人立即打开本页确认。"))
        else:
            text = _("密钥已作废，自下一条通知起不再被接受。请核对下面凭它入账的通知。")
            messages.success(request, text)
    address = reverse(f"admin:{PAGE}", args=[version.payment_method, version.number])
    return HttpResponseRedirect(address)


def _page(
    request: HttpRequest,
    model_admin: Any,
    version: PaymentConfigVersion,
    *,
    form: RevokeForm,
    may_revoke: bool,
) -> HttpResponse:
    method = version.payment_method
    refusal, revocation = _what(version)
    booked = booked_on_their_word(method, revocation) if revocation else None
    name = GatewayMethod(method).label
    context = {
        "title": _("作废%(name)s版本 %(number)d 的回调密钥")
        % {"name": name, "number": version.number},
        "method": method,
        "version": version,
        "refusal": refusal,
        "revocation": revocation,
        "numbers": "、".join(map(str, revocation.numbers)) if revocation else "",
        "booked": booked[:LINES_SHOWN_MAX] if booked is not None else [],
        "booked_count": booked.count() if booked is not None else 0,
        "unattributed": unattributed_count(method, revocation) if revocation else 0,
        "asker": person_text(version.revocation_asked_by) if version.revocation_asked_by else "",
        "revoker": person_text(version.revoked_by) if version.revoked_at else "",
        "needs_second": settings.CONFIG_ACTIVATION_SECOND_PERSON,
        "form": form,
        "may_revoke": may_revoke and version.revoked_at is None and revocation is not None,
    }
    return page(request, model_admin, "gateways/revocation.html", context)


def _what(version: PaymentConfigVersion) -> tuple[str, Revocation | None]:
    """Why nothing can be withdrawn, or what would be or was."""
    if version.revoked_at is not None:
        return "", revocation_done(version)
    try:
        return "", revocation_of(version.payment_method, version)
    except DomainError as error:
        return str(error.text), None


def gateway_keys_urls(model_admin: Any) -> list[URLPattern]:
    view = model_admin.admin_site.admin_view(gateway_keys_view)
    given = {"model_admin": model_admin}
    return [path("keys/<str:method>/<int:number>/", view, given, name=PAGE)]
