"""The shape of every answer of the API (CONTRACT section 1)."""

from typing import Any

from django.utils.functional import Promise
from rest_framework import status
from rest_framework.response import Response

from tcmpay.common.errors import DomainError, InvalidInput, Unauthenticated
from tcmpay.common.request_id import current_request_id


def success(message: str | Promise, data: Any = None, *, http_status: int = 200) -> Response:
    return Response({"success": True, "message": str(message), "data": data}, status=http_status)


def created(message: str | Promise, data: Any) -> Response:
    return success(message, data, http_status=status.HTTP_201_CREATED)


def accepted(message: str | Promise, data: Any) -> Response:
    """Taken on, and carried out later."""
    return success(message, data, http_status=status.HTTP_202_ACCEPTED)


def failure_body(error: DomainError) -> dict[str, Any]:
    body: dict[str, Any] = {"success": False, "message": str(error.text), "code": error.code}
    if isinstance(error, InvalidInput) and error.errors:
        body["errors"] = error.errors
    if isinstance(error, Unauthenticated):
        body["reason"] = error.reason
    if error.data_schema is not None:
        body["data"] = error.data
    body["request_id"] = current_request_id()
    return body


def failure_headers(error: DomainError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = _challenge(error)
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return headers


def _challenge(error: Unauthenticated) -> str:
    """As RFC 6750 section 3 has it: no error where no token came."""
    challenge = 'Bearer realm="tcmpay"'
    if error.reason.told:
        challenge += f', error="invalid_token", error_description="{error.reason.told}"'
    return challenge
