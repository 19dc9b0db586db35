"""Staff sessions: they end, and they go nowhere before password and second factor are in order."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from tcmpay.accounts.lockout import address_of
from tcmpay.accounts.models import SignInOutcome, StaffUser
from tcmpay.accounts.services.second_factor import device_of
from tcmpay.accounts.services.staff import sign_in_record

STARTED, SEEN = "staff_started_at", "staff_seen_at"
# A session is written at most so often; idle times are that exact.
SEEN_EVERY_SECONDS = 30
# Where somebody may go whose password or second factor is not in order yet.
ALWAYS_OPEN = ("admin:logout", "admin:login", "admin:jsi18n")


class StaffSessionMiddleware:
    """After the middlewares of authentication, django-otp and messages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Only pages of the admin have sessions; the API must not even look for one.
        if not request.path.startswith(reverse("admin:index")):
            return self.get_response(request)
        person = request.user
        if not isinstance(person, StaffUser) and not person.is_authenticated:
            return self.get_response(request)
        if cause := self._ended(request):
            return self._end(request, cause)
        if detour := self._detour(request):
            if person.must_change_password:
                messages.warning(request, _("密码是别人设置的，请先改成只有您知道的密码。"))
            return HttpResponseRedirect(detour)
        return self.get_response(request)

    @staticmethod
    def _ended(request: HttpRequest) -> str:
        """Why the session is over, or ""; notes that somebody is still there."""
        now = int(time.time())
        started = request.session.setdefault(STARTED, now)
        seen = request.session.setdefault(SEEN, now)
        if now - started > settings.STAFF_SESSION_HOURS * 3600:
            return "age"
        if now - seen > settings.STAFF_IDLE_MINUTES * 60:
            return "idle"
        if now - seen >= SEEN_EVERY_SECONDS:
            request.session[SEEN] = now
        return ""

    @staticmethod
    def _end(request: HttpRequest, cause: str) -> HttpResponse:
        request.sign_in_cause = cause  # type: ignore[attr-defined]
        logout(request)
        if cause == "idle":
            messages.info(request, _("长时间没有操作，请重新登录。"))
        else:
            messages.info(request, _("登录已到期，请重新登录。"))
        query = {"next": request.get_full_path()} if request.method == "GET" else {}
        return HttpResponseRedirect(f"{reverse('admin:login')}?{urlencode(query)}")

    @staticmethod
    def _detour(request: HttpRequest) -> str:
        """The page that has to be passed first, or ""."""
        if request.path in {reverse(name) for name in ALWAYS_OPEN}:
            return ""
        person: Any = request.user
        if person.must_change_password:
            page = reverse("staff-password")
            return "" if request.path == page else page
        if person.is_verified() or not settings.STAFF_TOTP_REQUIRED:
            return ""
        # Bound in another session: this one never showed a code.
        page = reverse("admin:login") if device_of(person) else reverse("staff-second-factor-bind")
        if page == reverse("admin:login"):
            logout(request)
        return "" if request.path == page else page


def _signed_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is None or not isinstance(user, StaffUser):
        return
    now = int(time.time())
    request.session[STARTED] = request.session[SEEN] = now
    _record(request, user, SignInOutcome.SUCCEEDED, default_cause="password")


def _signed_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is None or not isinstance(user, StaffUser):
        return
    ended = getattr(request, "sign_in_cause", "")
    outcome = SignInOutcome.ENDED if ended else SignInOutcome.SIGNED_OUT
    _record(request, user, outcome, default_cause="")


def _record(
    request: HttpRequest, user: StaffUser, outcome: SignInOutcome, *, default_cause: str
) -> None:
    sign_in_record(
        outcome=outcome,
        cause=getattr(request, "sign_in_cause", default_cause),
        username=user.get_username(),
        user_id=user.pk,
        address=address_of(request),
        user_agent=request.META.get("HTTP_USER_AGENT", ""),
    )


def connect() -> None:
    """Called once, when the app is ready."""
    user_logged_in.connect(_signed_in, dispatch_uid="accounts.signed_in")
    user_logged_out.connect(_signed_out, dispatch_uid="accounts.signed_out")
