"""Whatever goes wrong outside the API's views is answered in the API's shape too."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tcmpay.common.api.envelope import failure_body

logger = logging.getLogger(__name__)

API_PREFIXES = ("/api/", "/payment/", "/health/")
HTML_ERRORS: dict[int, tuple[str, str | Promise]] = {
    400: ("VALIDATION_ERROR", _("请求参数有误，请检查后重试")),
    403: ("FORBIDDEN", _("禁止访问")),
    404: ("NOT_FOUND", _("资源不存在")),
    405: ("METHOD_NOT_ALLOWED", _("不支持该请求方法")),
    413: ("BODY_TOO_LARGE", _("请求内容过大")),
    429: ("RATE_LIMITED", _("请求过于频繁，请稍后重试")),
    503: ("SERVICE_UNAVAILABLE", _("服务暂时不可用，请稍后重试")),
}
UNEXPECTED = ("INTERNAL_ERROR", _("系统内部错误，请稍后重试"))


def refusal(status: int) -> JsonResponse:
    code, message = HTML_ERRORS.get(status, UNEXPECTED)
    return JsonResponse(
        failure_body(message, code),
        status=status,
        json_dumps_params={"ensure_ascii": False},
    )


class ContractErrorMiddleware:
    """Refuses bodies past the bound before reading them and replaces HTML error pages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PREFIXES):
            return self.get_response(request)
        if self._is_too_large(request):
            return self._in_language_of(request, 413)
        response = self.get_response(request)
        is_html = response.headers.get("Content-Type", "").startswith("text/html")
        if response.status_code >= 400 and is_html:
            return self._in_language_of(request, response.status_code)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not request.path.startswith(API_PREFIXES):
            return None
        if isinstance(error, UnreadablePostError):
            return refusal(400)
        logger.error("unexpected_error", exc_info=error)
        return refusal(500)

    @staticmethod
    def _is_too_large(request: HttpRequest) -> bool:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit():
            return True
        return int(length) > settings.API_BODY_MAX_BYTES

    @staticmethod
    def _in_language_of(request: HttpRequest, status: int) -> JsonResponse:
        with translation.override(translation.get_language_from_request(request)):
            return refusal(status)
