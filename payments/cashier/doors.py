"""What each door of the cashier has in common: the link is read and counted, the language chosen,
and whatever goes wrong is told in the same look, or in few words to the page's own script."""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.urls import reverse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt

from payments.cashier.links import CashierLink, LinkInvalid, link_digest, link_read, link_token
from tcmpay.common.api.envelope import failure_headers
from tcmpay.common.api.exceptions import refusal_of
from tcmpay.common.errors import (
    BodyTooLarge,
    DomainError,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    UnsupportedMediaType,
)
from tcmpay.limits.throttling import count_link, count_stranger

logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 4096
FORM = "application/x-www-form-urlencoded"
LANGUAGES = {"zh": "zh-hans", "en": "en"}
Door = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came over a link."""

    request: HttpRequest
    token: str
    link: CashierLink

    def path(self, name: str) -> str:
        """The path of one of the link's doors, in the language that was asked for."""
        return _path(self.request, name, self.token)

    def address(self, name: str) -> str:
        return absolute(self.request, self.path(name))


def for_link(*methods: str) -> Callable[[Callable[[Asked], HttpResponse]], Door]:
    """A view of the cashier for ``methods``."""

    def decorate(view: Callable[[Asked], HttpResponse]) -> Door:
        @csrf_exempt  # why: views.py
        @functools.wraps(view)
        def call(request: HttpRequest, token: str = "") -> HttpResponse:
            _choose_language(request)
            try:
                link = _link_of(request, token)
                _ensure_readable(request, methods)
                response = view(Asked(request, token, link))
            except Exception as error:
                response = _refused(request, token, error)
            # Django's own line about it would tell the address.
            response._has_been_logged = True  # type: ignore[attr-defined]
            return response

        return call

    return decorate


def absolute(request: HttpRequest, path: str) -> str:
    """The whole address of ``path`` as payers reach us."""
    base = settings.CASHIER_BASE_URL
    return base + path if base else request.build_absolute_uri(path)


def wants_json(request: HttpRequest) -> bool:
    """Whether the page's own script asks; a browser that follows a form wants a page."""
    return "application/json" in request.META.get("HTTP_ACCEPT", "")


def page_of(
    asked: Asked, name: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    doors = {door: asked.path(f"cashier-{door}") for door in ("start", "back", "status")}
    return _rendered(name, {"doors": doors, "bare": _bare(asked.token), **context}, status)


def _link_of(request: HttpRequest, token: str) -> CashierLink:
    """The link, counted; guesses are counted by whom they come from.

    Raises LinkInvalid, RateLimited.
    """
    try:
        link = link_read(token)
    except LinkInvalid:
        count_stranger(request)
        raise
    count_link(request, link_digest(token))
    return link


def _ensure_readable(request: HttpRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        raise MethodNotAllowed()
    if request.method != "POST":
        return
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit() and int(length) <= BODY_BYTES_MAX):
        raise BodyTooLarge()
    # Without a body a server may say any type.
    if int(length) and request.content_type != FORM:
        raise UnsupportedMediaType()


def _choose_language(request: HttpRequest) -> None:
    """What ``?lang=`` says goes before the browser's own wish."""
    if chosen := LANGUAGES.get(request.GET.get("lang", "")):
        translation.activate(chosen)


def _refused(request: HttpRequest, token: str, error: Exception) -> HttpResponse:
    # What Django can't read, a host that is not ours among it.
    is_unreadable = isinstance(error, BadRequest | SuspiciousOperation)
    refusal = InvalidInput() if is_unreadable else refusal_of(error)
    if isinstance(error, DatabaseError):
        logger.error("database_unavailable", exc_info=error)
    elif isinstance(refusal, InternalError):
        logger.error("unexpected_error", exc_info=error)
    if wants_json(request):
        response: HttpResponse = JsonResponse({"message": str(refusal.text)})
    else:
        response = _refused_page(request, token, refusal)
    response.status_code = refusal.http_status
    for name, value in failure_headers(refusal).items():
        response.headers[name] = value
    return response


def _refused_page(request: HttpRequest, token: str, refusal: DomainError) -> HttpResponse:
    is_over = isinstance(refusal, LinkInvalid)
    here = "" if is_over else _path(request, "cashier", token)
    context = {"refusal": refusal, "is_over": is_over, "here": here, "bare": _bare(token)}
    return _rendered("refused", context, refusal.http_status)


def _rendered(name: str, context: Mapping[str, Any], status: int) -> HttpResponse:
    language = translation.get_language() or settings.LANGUAGE_CODE
    other = "zh" if language.startswith("en") else "en"
    facts = {
        "clinic": settings.CLINIC_NAME,
        "language": "en" if other == "zh" else "zh-CN",
        "other_language": other,
        **context,
    }
    # Without a request: nothing of sessions, sign-in or messages belongs here.
    return HttpResponse(get_template(f"cashier/{name}.html").render(facts), status=status)


def _bare(token: str) -> str:
    return reverse("cashier", args=[token]) if token else ""


def _path(request: HttpRequest, name: str, token: str) -> str:
    lang = request.GET.get("lang", "")
    query = f"?{urlencode({'lang': lang})}" if lang in LANGUAGES else ""
    return reverse(name, args=[token]) + query


def cashier_url(request: HttpRequest, link: CashierLink) -> str:
    """The whole address of the cashier for what ``link`` is bound to."""
    return absolute(request, _bare(link_token(link)))
