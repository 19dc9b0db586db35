"""Which browsers' pages may call the API: settings of django-cors-headers, and where it stands.

For the API alone. Staff pages, the cashier and the gateways' callbacks are called by no page of
another origin. Tokens come in a header, so no cookie is ever let along.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

MIDDLEWARE = "corsheaders.middleware.CorsMiddleware"
# Inside of what gives every answer its id, outside of whatever answers or refuses.
BEFORE = "tcmpay.limits.middleware.RateLimitHeadersMiddleware"

URLS_REGEX = r"^/api/v1/payment/"
METHODS = ("GET", "POST", "PUT")
REQUEST_HEADERS = (
    *("accept", "accept-language", "authorization", "content-type"),
    *("idempotency-key", "if-none-match", "x-request-id"),
)
# What of an answer's headers a page may read; the usual few it may anyway.
EXPOSED_HEADERS = (
    *("X-Request-ID", "Retry-After", "Link", "X-Total-Count", "Idempotency-Replayed", "ETag"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "WWW-Authenticate"),
    *("Deprecation", "Sunset"),
)
PREFLIGHT_SECONDS = 7200

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[1-9][0-9]{0,4})?|https?://\[[0-9a-f:]+\](:[0-9]+)?")
_USUAL_PORTS = {("http", 80), ("https", 443)}


def origins_problem(origins: Iterable[str], *, debug: bool) -> str:
    """What is wrong with the first of ``origins`` that no browser would ever send or nobody should
    let in; "" when all are good."""
    for origin in origins:
        if origin == "*":
            return "must name the origins: * would let every page of the web in"
        if not _ORIGIN.fullmatch(origin) or _has_usual_port(origin):
            return (
                "must be origins as browsers send them, such as https://app.example.cn: in small "
                "letters, without path, slash at the end or usual port"
            )
        if not debug and not origin.startswith("https:"):
            return "must begin with https:// while DEBUG is off"
    return ""


def with_cors(middleware: list[str]) -> list[str]:
    place = middleware.index(BEFORE)
    return [*middleware[:place], MIDDLEWARE, *middleware[place:]]


def _has_usual_port(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        return (parts.scheme, parts.port) in _USUAL_PORTS
    except ValueError:
        return True
