"""One handler turns every exception of the API into the contract's failure shape."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions as drf
from rest_framework.response import Response

from tcmpay.common.api.envelope import failure_body
from tcmpay.common.errors import DomainError, InvalidInput

logger = logging.getLogger(__name__)

# DRF's and Django's own exceptions: class → (HTTP status, code, message).
FRAMEWORK_ERRORS: tuple[tuple[type[Exception], int, str, Any], ...] = (
    (drf.NotAuthenticated, 401, "UNAUTHENTICATED", _("未授权")),
    (drf.AuthenticationFailed, 401, "UNAUTHENTICATED", _("未授权")),
    (drf.PermissionDenied, 403, "FORBIDDEN", _("禁止访问")),
    (PermissionDenied, 403, "FORBIDDEN", _("禁止访问")),
    (drf.NotFound, 404, "NOT_FOUND", _("资源不存在")),
    (Http404, 404, "NOT_FOUND", _("资源不存在")),
    (drf.MethodNotAllowed, 405, "METHOD_NOT_ALLOWED", _("不支持该请求方法")),
    (
        drf.NotAcceptable,
        406,
        "NOT_ACCEPTABLE",
        _("仅提供 JSON 格式，请调整 Accept 请求头"),
    ),
    (
        drf.UnsupportedMediaType,
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        _("请使用 Content-Type: application/json"),
    ),
    (drf.Throttled, 429, "RATE_LIMITED", _("请求过于频繁，请稍后重试")),
    (OperationalError, 503, "SERVICE_UNAVAILABLE", _("服务暂时不可用，请稍后重试")),
    (InterfaceError, 503, "SERVICE_UNAVAILABLE", _("服务暂时不可用，请稍后重试")),
)


def contract_exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer ``error`` in the contract's shape; what is unknown is a 500 without a trace."""
    if isinstance(error, DomainError):
        return _refusal(error)
    if isinstance(error, drf.ValidationError):
        return _refusal(InvalidInput(as_field_errors(error.detail)))
    if isinstance(error, UnreadablePostError):
        return _refusal(InvalidInput({"body": [str(_("请求内容没有完整送达"))]}))
    if isinstance(error, drf.ParseError):
        return _refusal(InvalidInput({"body": [str(error.detail)]}))
    for kind, http_status, code, message in FRAMEWORK_ERRORS:
        if isinstance(error, kind):
            return _framework_answer(error, http_status, code, message)
    logger.error("unexpected_error", exc_info=error)
    return Response(failure_body(_("系统内部错误，请稍后重试"), "INTERNAL_ERROR"), status=500)


def _refusal(error: DomainError) -> Response:
    errors = error.errors if isinstance(error, InvalidInput) else None
    body = failure_body(error.text, error.code, errors=errors, data=error.data)
    seconds = error.retry_after_seconds
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Response(body, status=error.http_status, headers=headers)


def _framework_answer(error: Exception, http_status: int, code: str, message: Any) -> Response:
    headers: dict[str, str] = {}
    if http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, drf.Throttled):
        # DRF sets ``wait`` (seconds) in its constructor; its stubs don't know it.
        headers["Retry-After"] = str(max(1, int(getattr(error, "wait", None) or 1)))
    if isinstance(error, DatabaseError):
        logger.error("database_unavailable", exc_info=error)
        headers["Retry-After"] = "5"
    return Response(failure_body(message, code), status=http_status, headers=headers)


def as_field_errors(detail: Any) -> dict[str, Any]:
    """DRF's error detail as a map of field → list of messages."""
    if isinstance(detail, dict):
        return {
            str(field): messages if isinstance(messages, list | dict) else [messages]
            for field, messages in detail.items()
        }
    return {"non_field_errors": detail if isinstance(detail, list) else [detail]}
