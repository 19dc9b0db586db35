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

Get = TypeVar("Get", bound=Callable[..., Response])


class HealthSchema(serializers.Serializer):
    status = serializers.CharField()


def _described(summary: str, status: str) -> Callable[[Get], Get]:
    described: Callable[[Get], Get] = extend_schema(
        operation_id=f"health_{status}",
        summary=summary,
        tags=["health"],
        auth=[],
        responses={200: enveloped("Health", HealthSchema())},
        examples=[success_example("ok", {"status": status})],
    )
    return described


class LiveView(PublicView):
    """The process answers."""

    throttle_classes = ()

    @_described("进程存活", "live")
    def get(self, request: Request) -> Response:
        return success("ok", {"status": "live"})


class ReadyView(PublicView):
    """The database answers. A broken one is 503 by the exception handler."""

    throttle_classes = ()

    @_described("可以服务", "ready")
    def get(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        return success("ok", {"status": "ready"})


live = LiveView.as_view()
ready = ReadyView.as_view()
