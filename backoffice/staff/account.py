"""One's own account: the password, the second factor, and where one is signed in."""

import time
from typing import Any

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse, reverse_lazy
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST
from django_otp import login as otp_login

from backoffice.site.admin_site import staff_site
from backoffice.site.display import time_text
from backoffice.staff.forms import (
    PAUSED,
    CodeForm,
    OwnPasswordForm,
    PasswordAndCodeForm,
    PasswordForm,
)
from backoffice.staff.words import sign_in_text
from tcmpay.accounts.middleware import STARTED
from tcmpay.accounts.models import SignIn, StaffUser, TotpDevice
from tcmpay.accounts.services.second_factor import (
    CodeRefused,
    device_of,
    enrolment_address,
    enrolment_begin,
    enrolment_confirm,
    enrolment_key,
    recovery_codes_left,
    recovery_codes_renew,
    second_factor_check,
)
from tcmpay.accounts.services.staff import sessions_end

# Whoever signed in so lately need not give the password again to bind the first authenticator.
FRESH_SECONDS = 600
SIGN_INS_SHOWN = 10


def _page(request: HttpRequest, template: str, title: Any, **context: Any) -> HttpResponse:
    whole = {**staff_site.each_context(request), "title": title, **context}
    answer = TemplateResponse(request, f"staff/{template}.html", whole)
    answer["Cache-Control"] = "no-store"
    return answer


def _person(request: HttpRequest) -> StaffUser:
    person: Any = request.user
    return StaffUser.objects.get(pk=person.pk)


def _account(request: HttpRequest) -> HttpResponse:
    person = _person(request)
    rows = SignIn.objects.filter(user_id=person.pk).order_by("-created_at")[:SIGN_INS_SHOWN]
    return _page(
        request,
        "account",
        _("登录安全"),
        device=device_of(person),
        codes_left=recovery_codes_left(person),
        is_required=settings.STAFF_TOTP_REQUIRED,
        sign_ins=[(time_text(row.created_at), sign_in_text(row), row.address) for row in rows],
    )


def _bind(request: HttpRequest) -> HttpResponse:
    """Show the QR code of a new authenticator, and bind it by its first code.

    Who has one already shows one of its codes too, or a recovery code.
    """
    person = _person(request)
    former = device_of(person)
    form = _bind_form(request, person)
    former_form = CodeForm(request.POST or None, prefix="former") if former else None
    forms_are_good = form.is_valid() and (former_form is None or former_form.is_valid())
    if request.method == "POST" and forms_are_good:
        if former_form is not None and not second_factor_check(
            person=person, code=former_form.cleaned_data["code"]
        ):
            former_form.add_error("code", _("验证码不正确，或已用过；请等下一个验证码出现再试。"))
        else:
            try:
                codes = enrolment_confirm(person=person, code=form.cleaned_data["code"])
            except CodeRefused:
                form.add_error(
                    "code", _("验证码不正确。请核对手机时间是否准确，等下一个验证码出现再试。")
                )
            else:
                return _bound(request, person, codes)
    device = enrolment_begin(person)
    return _page(
        request,
        "bind",
        _("绑定身份验证器"),
        form=form,
        former_form=former_form,
        qr=_qr(device),
        key=_in_groups(enrolment_key(device)),
        is_required=settings.STAFF_TOTP_REQUIRED and former is None,
    )


def _bind_form(request: HttpRequest, person: StaffUser) -> Any:
    if time.time() - request.session.get(STARTED, 0) < FRESH_SECONDS:
        return CodeForm(request.POST or None)
    return PasswordAndCodeForm(request.POST or None, person=person)


def _bound(request: HttpRequest, person: StaffUser, codes: list[str]) -> HttpResponse:
    """The session goes on as a verified one under a new key; all others of the account end."""
    request.session.cycle_key()
    person.session_epoch = sessions_end(person=person, actor=person.as_actor())
    update_session_auth_hash(request, person)
    device = device_of(person)
    if device is not None:
        otp_login(request, device)
    return _page(request, "codes", _("恢复码"), codes=codes)


def _codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes, for who shows the password and a code."""
    person = _person(request)
    if device_of(person) is None:
        return HttpResponseRedirect(reverse("staff-account"))
    form = PasswordAndCodeForm(request.POST or None, person=person)
    if request.method == "POST" and form.is_valid():
        if second_factor_check(person=person, code=form.cleaned_data["code"]):
            return _page(request, "codes", _("恢复码"), codes=recovery_codes_renew(person=person))
        form.add_error("code", _("验证码不正确，或已用过；请等下一个验证码出现再试。"))
    return _page(request, "renew", _("重新生成恢复码"), form=form)


def _sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    person = _person(request)
    form = PasswordForm(request.POST, person=person)
    if not form.is_valid():
        is_paused = form.has_error("password", PAUSED)
        refusal = str(form.errors["password"][0])
        text = refusal if is_paused else _("密码不正确，没有退出任何设备。")
        messages.error(request, text)
        return HttpResponseRedirect(reverse("staff-account"))
    person.session_epoch = sessions_end(person=person, actor=person.as_actor())
    update_session_auth_hash(request, person)
    messages.success(request, _("已退出其他所有设备，只保留当前窗口。"))
    return HttpResponseRedirect(reverse("staff-account"))


class _OwnPassword(PasswordChangeView):
    form_class = OwnPasswordForm
    template_name = "registration/password_change_form.html"
    success_url = reverse_lazy("admin:index")
    title = gettext_lazy("修改密码")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        return {**staff_site.each_context(self.request), **context}

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        messages.success(self.request, _("密码已修改，其他设备上的登录已失效。"))
        return answer


def _qr(device: TotpDevice) -> str:
    """The picture as SVG markup: no image library, and no request for it."""
    code = segno.make(enrolment_address(device), error="m", micro=False)
    return mark_safe(code.svg_inline(scale=5, border=2, light="#fff", dark="#000", omitsize=True))


def _in_groups(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


_read_or_write = require_http_methods(["GET", "HEAD", "POST"])
account = staff_site.admin_view(_account)
bind = staff_site.admin_view(_read_or_write(_bind))
codes = staff_site.admin_view(_read_or_write(_codes))
sign_out_everywhere = staff_site.admin_view(require_POST(_sign_out_everywhere))
own_password = staff_site.admin_view(_OwnPassword.as_view())
