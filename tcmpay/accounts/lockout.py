"""How often somebody may be wrong at the sign-in page, and for how long they then wait.

django-axes counts failures by account and address in the database, whether the account exists or
not, so that being locked tells nothing about it. Two counters before it are exact when many
requests come at the same time, which axes' are not.
"""

from datetime import timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from tcmpay.common import clock
from tcmpay.common.client_address import client_address, client_network
from tcmpay.limits.services import hit_count

UNKNOWN_ADDRESS = "0.0.0.0"
ATTEMPTS_PER_MINUTE_MAX = 10
ADDRESS_WINDOW_SECONDS = 600
ADDRESS_ATTEMPTS_MAX = 60
OWN_PASSWORD_WINDOW_SECONDS = 900
OWN_PASSWORD_ATTEMPTS_MAX = 5


def address_of(request: HttpRequest) -> str:
    """The client's whole address, for the log of sign-ins; nothing but an address."""
    return client_address(request.META) or UNKNOWN_ADDRESS


def counted_address(request: HttpRequest) -> str:
    """What stands for the client where failures are counted, for axes and for our own counters."""
    return client_network(request.META) or UNKNOWN_ADDRESS


def is_locked(request: HttpRequest, username: str) -> bool:
    return not AxesProxyHandler.is_allowed(request, {"username": username})


def wait_seconds_by_rate(request: HttpRequest, username: str) -> int:
    """Count this attempt; how long to wait when there were too many, else 0."""
    address = counted_address(request)
    pair = hit_count(scope="sign-in", identity=f"{address}|{username.lower()}")
    if pair.count > ATTEMPTS_PER_MINUTE_MAX:
        return pair.window_ends_in_seconds
    whole = hit_count(
        scope="sign-in-address", identity=address, window_seconds=ADDRESS_WINDOW_SECONDS
    )
    return whole.window_ends_in_seconds if whole.count > ADDRESS_ATTEMPTS_MAX else 0


def own_password_wait_seconds(person_id: Any) -> int:
    """Count that somebody signed in gives their password again; how long to wait, or 0.

    By account and not by address: whoever has got hold of a session may come from anywhere. Right
    ones count too, so that the count is exact whatever comes at the same time.
    """
    tries = hit_count(
        scope="own-password",
        identity=str(person_id),
        window_seconds=OWN_PASSWORD_WINDOW_SECONDS,
    )
    return tries.window_ends_in_seconds if tries.count > OWN_PASSWORD_ATTEMPTS_MAX else 0


def lock_ends_in_seconds(request: HttpRequest, username: str) -> int:
    """How long this account stays locked for this address."""
    last = (
        AccessAttempt.objects.filter(username=username, ip_address=counted_address(request))
        .order_by("-attempt_time")
        .values_list("attempt_time", flat=True)
        .first()
    )
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    if last is None:
        return int(cool_off.total_seconds())
    return max(1, int((last + cool_off - clock.now()).total_seconds()))


def locked_answer(
    request: HttpRequest, answer: HttpResponse | None = None, credentials: Any = None
) -> HttpResponse:
    """What axes' middleware sends: the sign-in page as it is, which says how long, as a 429."""
    if answer is None:
        answer = HttpResponse()
    answer.status_code = 429
    seconds = getattr(request, "sign_in_wait_seconds", 0)
    if seconds:
        answer["Retry-After"] = str(seconds)
    return answer
