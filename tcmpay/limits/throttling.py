"""Rate limits, exact under concurrency: per user, per address, per class of endpoint."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tcmpay.common.actor import Actor
from tcmpay.common.client_address import client_network
from tcmpay.common.errors import RateLimited
from tcmpay.limits.services import hit_count


class EndpointClass(StrEnum):
    """What a limit of its own may be set for (RATE_LIMIT_<NAME>_PER_MINUTE)."""

    READS = "reads"
    MONEY = "money"
    SYNC = "sync"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of a limit is left in the running minute, after the request that asks."""

    limit: int
    count: int
    resets_in_seconds: int

    @property
    def is_exceeded(self) -> bool:
        return self.count > self.limit

    @property
    def is_first_refusal(self) -> bool:
        """Whether this is the request that the log hears of; those after it are only counted."""
        return self.count == self.limit + 1

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.count)


class RequestThrottle(BaseThrottle):
    """So many requests a minute per user, or per address where there is no user.

    One limit for everything, and lower ones for a class of endpoints where the settings say so.
    """

    _wait_seconds: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        identity = f"user:{request.user.id}" if request.user else _address_identity(request.META)
        allowances = [_count("api", identity, _common_limit(request.user))]
        kind = endpoint_class(request, view)
        if (limit := int(getattr(settings, f"RATE_LIMIT_{kind.upper()}_PER_MINUTE"))) > 0:
            allowances.append(_count(f"api:{kind}", identity, limit))
        tightest = min(allowances, key=lambda allowance: allowance.limit - allowance.count)
        # The middleware puts it into the answer's headers.
        request._request.rate_allowance = tightest  # type: ignore[attr-defined]
        self._wait_seconds = tightest.resets_in_seconds
        return not tightest.is_exceeded

    def wait(self) -> float | None:
        return self._wait_seconds


def _common_limit(user: object) -> int:
    """The platform's back end calls for everybody."""
    is_service = isinstance(user, Actor) and user.is_service
    return settings.RATE_LIMIT_SERVICE_PER_MINUTE if is_service else settings.RATE_LIMIT_PER_MINUTE


def endpoint_class(request: Request, view: Any) -> EndpointClass:
    if not view.authentication_classes:
        return EndpointClass.PUBLIC
    if request.method in SAFE_METHODS:
        return EndpointClass.READS
    if getattr(view, "action", None) == "sync":
        return EndpointClass.SYNC
    return EndpointClass.MONEY


def count_stranger(request: HttpRequest) -> None:
    """Count a request that brought no valid token, by its address. Raises RateLimited.

    Guessing tokens is bounded so, by the same limit as the public endpoints.
    """
    allowance = _count("api", _address_identity(request.META), settings.RATE_LIMIT_PER_MINUTE)
    request.rate_allowance = allowance  # type: ignore[attr-defined]
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.resets_in_seconds)


def count_forged_callback(request: HttpRequest) -> Allowance:
    """Count a callback that did not verify, by its address; those that do are never counted."""
    identity = _address_identity(request.META)
    allowance = _count("forged", identity, settings.RATE_LIMIT_FORGED_PER_MINUTE)
    request.rate_allowance = allowance  # type: ignore[attr-defined]
    return allowance


def count_link(request: HttpRequest, digest: str) -> None:
    """Count a request over the cashier's link of this digest. Raises RateLimited."""
    allowance = _count("link", digest, settings.RATE_LIMIT_CASHIER_PER_MINUTE)
    request.rate_allowance = allowance  # type: ignore[attr-defined]
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.resets_in_seconds)


def _address_identity(meta: dict[str, Any]) -> str:
    return f"address:{client_network(meta)}"


def _count(scope: str, identity: str, limit: int) -> Allowance:
    hit = hit_count(scope=scope, identity=identity)
    return Allowance(limit, hit.count, hit.window_ends_in_seconds)
