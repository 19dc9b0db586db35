"""Is the process alive, and can it serve?"""

from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response

from tcmpay.common.api.envelope import success
from tcmpay.common.api.views import PublicView


class LiveView(PublicView):
    """The process answers."""

    throttle_classes = ()
    schema = None

    def get(self, request: Request) -> Response:
        return success("ok", {"status": "live"})


class ReadyView(PublicView):
    """The database answers. A broken one is 503 by the exception handler."""

    throttle_classes = ()
    schema = None

    def get(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        return success("ok", {"status": "ready"})


live = LiveView.as_view()
ready = ReadyView.as_view()
