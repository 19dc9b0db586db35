"""Tells callers how much of their limit is left, and counts strangers who look at pages."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tcmpay.common.api.envelope import failure_headers
from tcmpay.common.errors import RateLimited
from tcmpay.limits.throttling import Allowance, count_stranger


class RateLimitHeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        allowance: Allowance | None = getattr(request, "rate_allowance", None)
        if allowance is not None:
            response.headers["RateLimit-Limit"] = str(allowance.limit)
            response.headers["RateLimit-Remaining"] = str(allowance.remaining)
            response.headers["RateLimit-Reset"] = str(allowance.resets_in_seconds)
        return response


class StrangerLimitMiddleware:
    """Pages cost more than the API's answers: whoever is not signed in has so many a minute.

    For pages: the API counts in its views and callbacks in theirs; what watches us asks as often
    as it likes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return self.get_response(request)
        try:
            count_stranger(request)
        except RateLimited as refusal:
            headers = failure_headers(refusal) | {"Content-Type": "text/plain; charset=utf-8"}
            return HttpResponse(str(refusal.text), status=refusal.http_status, headers=headers)
        return self.get_response(request)
