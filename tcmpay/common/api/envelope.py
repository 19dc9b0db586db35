"""The shape of every answer of the API (CONTRACT section 1)."""

from typing import Any

from django.utils.functional import Promise
from rest_framework import status
from rest_framework.response import Response

from tcmpay.common.request_id import current_request_id


def success(message: str | Promise, data: Any = None, *, http_status: int = 200) -> Response:
    return Response({"success": True, "message": str(message), "data": data}, status=http_status)


def created(message: str | Promise, data: Any) -> Response:
    return success(message, data, http_status=status.HTTP_201_CREATED)


def failure_body(
    message: str | Promise,
    code: str,
    *,
    errors: dict[str, Any] | None = None,
    data: Any = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {"success": False, "message": str(message), "code": code}
    if errors is not None:
        body["errors"] = errors
    if data is not None:
        body["data"] = data
    body["request_id"] = current_request_id()
    return body
