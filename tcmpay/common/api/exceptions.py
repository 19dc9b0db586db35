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

from tcmpay.common.api.envelope import failure_body, failure_headers
from tcmpay.common.db import drop_lost_connection
from tcmpay.common.errors import (
    DomainError,
    Forbidden,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotAcceptable,
    ObjectNotFound,
    RateLimited,
    ServiceUnavailable,
    Unauthenticated,
    UnsupportedMediaType,
)

logger = logging.getLogger(__name__)

# DRF's, Django's and the database's own exceptions, and the refusal that each of them is.
_FRAMEWORK_ERRORS: tuple[tuple[tuple[type[Exception], ...], type[DomainError]], ...] = (
    ((drf.NotAuthenticated, drf.AuthenticationFailed), Unauthenticated),
    ((drf.PermissionDenied, PermissionDenied), Forbidden),
    ((drf.NotFound, Http404), ObjectNotFound),
    ((drf.MethodNotAllowed,), MethodNotAllowed),
    ((drf.NotAcceptable,), NotAcceptable),
    ((drf.UnsupportedMediaType,), UnsupportedMediaType),
    ((OperationalError, InterfaceError), ServiceUnavailable),
)


def contract_exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer ``error`` in the contract's shape; what is unknown is a 500 without a trace."""
    refusal = refusal_of(error)
    if isinstance(error, DatabaseError) and isinstance(refusal, ServiceUnavailable):
        # The next request finds the server that the address leads to by then.
        drop_lost_connection(error)
        logger.error("database_unavailable", exc_info=error)
    elif isinstance(refusal, InternalError):
        logger.error("unexpected_error", exc_info=error)
    return Response(
        failure_body(refusal), status=refusal.http_status, headers=failure_headers(refusal)
    )


def refusal_of(error: Exception) -> DomainError:
    """What a caller is told of ``error``."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, drf.ValidationError):
        return InvalidInput(as_field_errors(error.detail))
    if isinstance(error, UnreadablePostError):
        return InvalidInput({"body": [str(_("请求内容没有完整送达"))]})
    if isinstance(error, drf.ParseError):
        return InvalidInput({"body": [str(error.detail)]})
    if isinstance(error, drf.Throttled):
        # DRF sets ``wait`` (seconds) in its constructor; its stubs don't know it.
        return RateLimited(retry_after_seconds=getattr(error, "wait", None))
    for kinds, refusal in _FRAMEWORK_ERRORS:
        if isinstance(error, kinds):
            return refusal()
    return InternalError()


def as_field_errors(detail: Any) -> dict[str, list[str]]:
    """DRF's error detail as a map of field → list of messages; a field of a field, or of the
    third row of a list, is named by the whole way to it (``items.2.amount``)."""
    errors: dict[str, list[str]] = {}
    _collect(detail, (), errors)
    return errors


def _collect(detail: Any, way: tuple[str, ...], errors: dict[str, list[str]]) -> None:
    if isinstance(detail, dict):
        for field, inner in detail.items():
            _collect(inner, (*way, str(field)), errors)
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            # DRF has an empty entry for every row of a list that is right.
            is_row = isinstance(inner, dict | list)
            _collect(inner, (*way, str(number)) if is_row else way, errors)
    else:
        errors.setdefault(".".join(way) or "non_field_errors", []).append(str(detail))
