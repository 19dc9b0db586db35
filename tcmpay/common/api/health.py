"""Is the process alive, and can it serve?"""

from collections.abc import Callable
from typing import TypeVar

from django.db import connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tcmpay.common.api.envelope import success
from tcmpay.common.api.schema import enveloped, success_example
from tcmpay.common.api.views import PublicView
from tcmpay.version import __version__

Get = TypeVar("Get", bound=Callable[..., Response])


LIVE = {"status": "live", "version": __version__}
READY = {"status": "ready"}


class ReadySchema(serializers.Serializer):
    status = serializers.CharField()


class LiveSchema(ReadySchema):
    version = serializers.CharField()


def _described(
    summary: str, schema: serializers.Serializer, answer: dict[str, str]
) -> Callable[[Get], Get]:
    described: Callable[[Get], Get] = extend_schema(
        operation_id=f"health_{answer['status']}",
        summary=summary,
        tags=["health"],
        auth=[],
        responses={200: enveloped(f"Health{answer['status'].title()}", schema)},
        examples=[success_example("ok", answer)],
    )
    return described


class LiveView(PublicView):
    """The process answers, and tells the version that runs in it."""

    throttle_classes = ()

    @_described("进程存活", LiveSchema(), LIVE)
    def get(self, request: Request) -> Response:
        return success("ok", LIVE)


class ReadyView(PublicView):
    """The database answers. A broken one is 503 by the exception handler."""

    throttle_classes = ()

    @_described("可以服务", ReadySchema(), READY)
    def get(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        return success("ok", READY)


live = LiveView.as_view()
ready = ReadyView.as_view()
