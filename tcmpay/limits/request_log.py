"""One bounded line per request in the log, written once its answer is known.

Whoever is past a limit gets one such line a minute: refusing a flood must not cost its logging.
"""

import logging
import time
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog import signals
from django_structlog.middlewares.request import RequestMiddleware

from tcmpay.common.areas import told
from tcmpay.common.client_address import client_address
from tcmpay.limits.throttling import Allowance

logger = logging.getLogger("django_structlog.middlewares.request")
# What of a request's own words stands in its line.
ADDRESS_LINE_MAX = 500
USER_AGENT_MAX = 200


class RequestLogMiddleware(RequestMiddleware):
    """django-structlog's, with our client's address, and with bounds."""

    def prepare(self, request: HttpRequest) -> None:
        request.log_started = time.perf_counter()  # type: ignore[attr-defined]
        if logger.isEnabledFor(logging.DEBUG):
            super().prepare(request)
            return
        # Without its line "request_started" only what all lines of the request carry is left.
        structlog.contextvars.bind_contextvars(
            request_id=request.META["HTTP_X_REQUEST_ID"], ip=client_address(request.META)
        )
        self.bind_user_id(request)

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        structlog.contextvars.bind_contextvars(ip=client_address(request.META))

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        line = f"{request.method} {told(request.get_full_path())}"
        return line if len(line) <= ADDRESS_LINE_MAX else line[:ADDRESS_LINE_MAX] + "…"

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        allowance: Allowance | None = getattr(request, "rate_allowance", None)
        if allowance is not None and allowance.is_exceeded and not allowance.is_first_refusal:
            structlog.contextvars.clear_contextvars()
        elif hasattr(request, "_raised_exception") or response.streaming:
            super().handle_response(request, response)
        else:
            # As django-structlog does, without asking whether somebody has more to say.
            self.bind_user_id(request)
            facts = {"code": response.status_code, "request": self.format_request(request)}
            _add_to_the_end(request, facts)
            level = self._log_level_for_status_code(response.status_code)
            logger.log(level, "request_finished", extra=facts)
            structlog.contextvars.clear_contextvars()


def _bound_user_agent(log_kwargs: dict[str, Any], **kwargs: Any) -> None:
    log_kwargs["user_agent"] = (log_kwargs.get("user_agent") or "")[:USER_AGENT_MAX]


def _add_to_the_end(request: Any, log_kwargs: dict[str, Any], **kwargs: Any) -> None:
    log_kwargs["user_agent"] = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_MAX]
    log_kwargs["milliseconds"] = round((time.perf_counter() - request.log_started) * 1000, 1)


def connect() -> None:
    """Called once, when the app is ready."""
    signals.bind_extra_request_metadata.connect(_bound_user_agent, dispatch_uid="guard.started")
    signals.bind_extra_request_finished_metadata.connect(
        _add_to_the_end, dispatch_uid="guard.finished"
    )
