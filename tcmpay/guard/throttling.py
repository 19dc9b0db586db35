"""Rate limits for the API, exact under concurrency."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tcmpay.guard.services import hit_count


def client_address(meta: dict[str, Any]) -> str:
    """The address of the client as seen by the outermost proxy of ours.

    ``X-Forwarded-For`` is trusted for exactly TRUSTED_PROXY_HOPS entries from its right end;
    whatever stands further left was written by the client.
    """
    remote = str(meta.get("REMOTE_ADDR", ""))
    hops = settings.TRUSTED_PROXY_HOPS
    forwarded = [part.strip() for part in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
    if hops and len(forwarded) >= hops and forwarded[-hops]:
        return forwarded[-hops]
    return remote


class PerUserThrottle(BaseThrottle):
    """So many requests a minute per user, or per address where there is no user."""

    wait_seconds: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        hit = hit_count(scope="api", identity=self._identity(request))
        if hit.count <= settings.RATE_LIMIT_PER_MINUTE:
            return True
        self.wait_seconds = hit.window_ends_in_seconds
        return False

    def wait(self) -> float | None:
        return self.wait_seconds

    @staticmethod
    def _identity(request: Request) -> str:
        actor = request.user
        return f"user:{actor.id}" if actor else f"address:{client_address(request.META)}"
