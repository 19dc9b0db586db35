"""Gives every request its id, in the answer, the logs and the audit rows."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tcmpay.common.request_id import HEADER, choose_request_id, set_request_id


class RequestIdMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Not request.headers: it is computed once, and would keep what the client sent.
        request_id = choose_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        # What reads the header after us (the request log) sees the sane one.
        request.META["HTTP_X_REQUEST_ID"] = request_id
        set_request_id(request_id)
        response = self.get_response(request)
        response.headers[HEADER] = request_id
        return response
