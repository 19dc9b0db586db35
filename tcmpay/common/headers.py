"""What every answer tells the browser, by area: pages, the cashier, the API, its documentation.

Stands outside of everything that answers, so that refusals carry the headers too. The policy of
the admin's pages is django-csp's (settings.CONTENT_SECURITY_POLICY).
"""

from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponse

from tcmpay.common.areas import is_for_payers, is_for_programs

HEADER = "Content-Security-Policy"
# Data for programs: a browser that is led to it runs, loads and frames nothing.
API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Swagger UI from our own files; it styles elements one by one, but evaluates nothing.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
# The cashier: its own style and script, its own questions, and nothing else. Where a payer goes on
# to a gateway, its script or a link leads; no form leaves this host.
CASHIER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DOCS_PREFIX = "/api/docs/"
ALWAYS: Mapping[str, str] = {
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "microphone=(), midi=(), payment=(), usb=()"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


class SecurityHeadersMiddleware:
    """The outermost middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith(DOCS_PREFIX):
            response.headers[HEADER] = DOCS_POLICY
        elif is_for_programs(request.path):
            response.headers[HEADER] = API_POLICY
            # Orders and balances stay in nobody's cache.
            response.headers.setdefault("Cache-Control", "no-store")
        elif is_for_payers(request.path):
            response.headers[HEADER] = CASHIER_POLICY
            response.headers["Cache-Control"] = "private, no-store"
            response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
            # The host alone, never the link: WeChat asks h5 payments for it.
            response.headers["Referrer-Policy"] = "strict-origin"
        elif not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response
