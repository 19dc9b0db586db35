"""Whatever goes wrong outside the API's views is answered in the API's shape too."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils import translation

from tcmpay.common.api.envelope import failure_body, failure_headers
from tcmpay.common.areas import is_for_programs
from tcmpay.common.errors import (
    BodyTooLarge,
    DomainError,
    Forbidden,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    ObjectNotFound,
    RateLimited,
    ServiceUnavailable,
)

logger = logging.getLogger(__name__)

# What an HTML page of Django's means, by its status.
_HTML_ERRORS: dict[int, type[DomainError]] = {
    error.http_status: error
    for error in (
        InvalidInput,
        Forbidden,
        ObjectNotFound,
        MethodNotAllowed,
        BodyTooLarge,
        RateLimited,
        ServiceUnavailable,
    )
}


def refusal(error: DomainError, *, status: int | None = None) -> JsonResponse:
    return JsonResponse(
        failure_body(error),
        status=status or error.http_status,
        headers=failure_headers(error),
        json_dumps_params={"ensure_ascii": False},
    )


class ContractErrorMiddleware:
    """Refuses bodies past the bound before reading them and replaces HTML error pages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_for_programs(request.path):
            return self.get_response(request)
        if self._is_too_large(request):
            return self._in_language_of(request, BodyTooLarge.http_status)
        response = self.get_response(request)
        is_html = response.headers.get("Content-Type", "").startswith("text/html")
        if response.status_code >= 400 and is_html:
            return self._in_language_of(request, response.status_code)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not is_for_programs(request.path):
            return None
        if isinstance(error, UnreadablePostError):
            return refusal(InvalidInput())
        logger.error("unexpected_error", exc_info=error)
        return refusal(InternalError())

    @staticmethod
    def _is_too_large(request: HttpRequest) -> bool:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit():
            return True
        bound = settings.API_LONG_BODIES.get(request.path, settings.API_BODY_MAX_BYTES)
        return int(length) > bound

    @staticmethod
    def _in_language_of(request: HttpRequest, status: int) -> JsonResponse:
        with translation.override(translation.get_language_from_request(request)):
            return refusal(_HTML_ERRORS.get(status, InternalError)(), status=status)
