"""What only staff's pages need, passed by at whatever programs and payers ask for.

Sessions, sign-in, messages and a page's policy took half of a short answer's time, for nothing.
None of these has another hook than the call itself, which a test holds them to.
"""

from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.common import CommonMiddleware
from django_otp.middleware import OTPMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from backoffice.site.directions import DirectionsShownMiddleware
from tcmpay.accounts.middleware import StaffSessionMiddleware
from tcmpay.common.areas import is_without_session
from tcmpay.limits.middleware import StrangerLimitMiddleware

# Asked by address, by a container's host or by Prometheus. They answer alike whatever name they
# are asked by, and nothing they say or lead to is made of it.
FOR_PROBES = frozenset({"/health/live", "/health/ready", "/metrics"})


class Common(CommonMiddleware):
    """Refuses names that are not in ALLOWED_HOSTS, except where only probes ask."""

    def process_request(self, request: HttpRequest) -> Any:
        return None if request.path_info in FOR_PROBES else super().process_request(request)


def _for_pages(middleware: Any) -> Any:
    """``middleware`` for pages of staff alone."""

    def call(self: Any, request: HttpRequest) -> Any:
        if is_without_session(request.path_info):
            return self.get_response(request)
        return middleware.__call__(self, request)

    return type(middleware.__name__, (middleware,), {"__call__": call, "__module__": __name__})


StaticFiles = _for_pages(WhiteNoiseMiddleware)
ContentPolicy = _for_pages(CSPMiddleware)
Session = _for_pages(SessionMiddleware)
Authentication = _for_pages(AuthenticationMiddleware)
SecondFactor = _for_pages(OTPMiddleware)
Messages = _for_pages(MessageMiddleware)
StaffSession = _for_pages(StaffSessionMiddleware)
StrangerLimit = _for_pages(StrangerLimitMiddleware)
DirectionsShown = _for_pages(DirectionsShownMiddleware)
