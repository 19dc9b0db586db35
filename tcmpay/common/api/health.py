"""Is the process alive, and can it serve?"""

from collections.abc import Callable
from typing import TypeVar

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tcmpay.common.api.envelope import success
from tcmpay.common.api.schema import enveloped, success_example
from tcmpay.common.api.schema_parts import Text
from tcmpay.common.api.views import PublicView
from tcmpay.common.database_session import takes_writes
from tcmpay.common.errors import ServiceUnavailable
from tcmpay.version import __version__

Get = TypeVar("Get", bound=Callable[..., Response])


LIVE = {"status": "live", "version": __version__}
READY = {"status": "ready"}


class ReadySchema(serializers.Serializer):
    status = serializers.CharField(help_text=_("live 或 ready"))


class LiveSchema(ReadySchema):
    version = serializers.CharField(help_text=_("正在运行的版本"))


def _described(
    operation_id: str,
    summary: Text,
    description: Text,
    schema: serializers.Serializer,
    answer: dict[str, str],
) -> Callable[[Get], Get]:
    described: Callable[[Get], Get] = extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=description,
        tags=["health"],
        responses={200: enveloped(f"Health{answer['status'].title()}", schema)},
        examples=[success_example("ok", answer)],
    )
    return described


class LiveView(PublicView):
    """The process answers, and tells the version that runs in it."""

    throttle_classes = ()

    @_described(
        "getLiveness",
        _("进程存活"),
        _("进程能回答，并说明正在运行的版本。不需要令牌，不限次数。"),
        LiveSchema(),
        LIVE,
    )
    def get(self, request: Request) -> Response:
        return success("ok", LIVE)


class ReadyView(PublicView):
    """The database answers and takes writes. A broken one is 503 by the exception handler."""

    throttle_classes = ()

    @_described(
        "getReadiness",
        _("可以服务"),
        _("数据库也能回答，并且可以写；否则是 503。不需要令牌，不限次数。"),
        ReadySchema(),
        READY,
    )
    def get(self, request: Request) -> Response:
        if not takes_writes():
            raise ServiceUnavailable
        return success("ok", READY)


live = LiveView.as_view()
ready = ReadyView.as_view()
