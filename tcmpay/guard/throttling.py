"""Rate limits, exact under concurrency: per user, per address, per class of endpoint."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tcmpay.guard.services import hit_count

# Who has one IPv6 address has the 2^64 beside it.
IPV6_PREFIX = 64


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
    def remaining(self) -> int:
        return max(0, self.limit - self.count)


def client_address(meta: dict[str, Any]) -> str:
    """The address of the client as seen by the outermost proxy of ours.

    ``X-Forwarded-For`` is trusted for exactly TRUSTED_PROXY_HOPS entries from its right end;
    whatever stands further left was written by the client. What stands at that place but is no
    address was not written by a proxy: then the peer's own address counts.
    """
    remote = str(meta.get("REMOTE_ADDR", ""))
    hops = settings.TRUSTED_PROXY_HOPS
    if not hops:
        return remote
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    seen = _address(forwarded[-hops]) if len(forwarded) >= hops else None
    return str(seen) if seen else remote


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in one entry of X-Forwarded-For; some proxies add the port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def limited_address(meta: dict[str, Any]) -> str:
    """What stands for the client where addresses are counted: of IPv6, its network."""
    text = client_address(meta)
    address = _address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address or text)


class RequestThrottle(BaseThrottle):
    """So many requests a minute per user, or per address where there is no user.

    One limit for everything, and lower ones for a class of endpoints where the settings say so.
    """

    _wait_seconds: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        identity = f"user:{request.user.id}" if request.user else _address_identity(request.META)
        allowances = [_count("api", identity, settings.RATE_LIMIT_PER_MINUTE)]
        kind = endpoint_class(request, view)
        if (limit := class_limit(kind)) > 0:
            allowances.append(_count(f"api:{kind}", identity, limit))
        tightest = min(allowances, key=lambda allowance: allowance.limit - allowance.count)
        # The middleware puts it into the answer's headers.
        request._request.rate_allowance = tightest  # type: ignore[attr-defined]
        self._wait_seconds = tightest.resets_in_seconds
        return not tightest.is_exceeded

    def wait(self) -> float | None:
        return self._wait_seconds


def endpoint_class(request: Request, view: Any) -> EndpointClass:
    if not view.authentication_classes:
        return EndpointClass.PUBLIC
    if request.method in SAFE_METHODS:
        return EndpointClass.READS
    if getattr(view, "action", None) == "sync":
        return EndpointClass.SYNC
    return EndpointClass.MONEY


def class_limit(kind: EndpointClass) -> int:
    """Requests a minute for one class of endpoints; 0: no limit of its own."""
    return int(getattr(settings, f"RATE_LIMIT_{kind.upper()}_PER_MINUTE"))


def count_stranger(request: HttpRequest) -> None:
    """Count a request that brought no valid token, by its address. Raises Throttled.

    Guessing tokens is bounded so, by the same limit as the public endpoints.
    """
    allowance = _count("api", _address_identity(request.META), settings.RATE_LIMIT_PER_MINUTE)
    request.rate_allowance = allowance  # type: ignore[attr-defined]
    if allowance.is_exceeded:
        raise Throttled(wait=allowance.resets_in_seconds)


def count_forged_callback(meta: dict[str, Any]) -> Allowance:
    """Count a callback that did not verify, by its address; those that do are never counted."""
    return _count("forged", _address_identity(meta), settings.RATE_LIMIT_FORGED_PER_MINUTE)


def _address_identity(meta: dict[str, Any]) -> str:
    return f"address:{limited_address(meta)}"


def _count(scope: str, identity: str, limit: int) -> Allowance:
    hit = hit_count(scope=scope, identity=identity)
    return Allowance(limit, hit.count, hit.window_ends_in_seconds)
