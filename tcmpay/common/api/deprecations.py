"""Calls that will go: one table, from which their answers' headers and the description come.

A call that will go works as before until its ``sunset``, at least SUNSET_DAYS_MIN after ``since``.
docs/api.md tells clients the rule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from django.utils.http import http_date

SUNSET_DAYS_MIN = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """``since`` and ``sunset`` in UTC; ``explained`` and ``successor`` are addresses or paths.

    Raises ValueError: clients would get too little time.
    """

    since: datetime
    sunset: datetime
    explained: str
    successor: str = ""

    def __post_init__(self) -> None:
        if self.sunset - self.since < timedelta(days=SUNSET_DAYS_MIN):
            raise ValueError(f"a call stays for {SUNSET_DAYS_MIN} days after it was deprecated")

    @property
    def headers(self) -> dict[str, str]:
        links = [f'<{self.explained}>; rel="deprecation"; type="text/html"']
        if self.successor:
            links.append(f'<{self.successor}>; rel="successor-version"')
        return {
            "Deprecation": f"@{int(self.since.astimezone(UTC).timestamp())}",
            "Sunset": http_date(self.sunset.timestamp()),
            "Link": ", ".join(links),
        }


# By method and path as the description writes them: "GET /api/v1/payment/orders/{order_id}".
DEPRECATED: Mapping[str, Deprecation] = {}


def deprecation_of(request: HttpRequest) -> Deprecation | None:
    if not DEPRECATED or request.resolver_match is None:
        return None
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.resolver_match.route)
    return DEPRECATED.get(f"{request.method} /{path}")
