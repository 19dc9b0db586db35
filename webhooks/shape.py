"""An event as it is sent and as ``GET /events`` lists it: one shape."""

from typing import Any
from uuid import UUID

import orjson
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from tcmpay.common.api.presenters import present_row
from webhooks.models import WebhookEvent
from webhooks.states import EventType

PING, ENDPOINT = "ping", "endpoint"


class EventSchema(serializers.Serializer):
    about = _("发生过的一件事")

    id = serializers.UUIDField(help_text=_("编号：每次推送都相同"))
    sequence = serializers.IntegerField(min_value=1, help_text=_("序号：连续递增，从它之后继续读"))
    type = serializers.ChoiceField(choices=EventType.choices)
    created_at = serializers.DateTimeField(help_text=_("什么时候发生的"))
    object_type = serializers.CharField(max_length=32, help_text=_("order、refund、case 等"))
    object_id = serializers.UUIDField(help_text=_("那个订单、退款等的编号"))
    object_version = serializers.IntegerField(
        min_value=0, help_text=_("同一个对象的每个事件都更大：比手里的旧就丢掉")
    )


# ``data`` is a property of every serializer class, so the field is added by hand.
EventSchema._declared_fields["data"] = serializers.DictField(
    help_text=_("单号、金额（两位小数的文字）、状态；没有医疗信息")
)


def event_shape(event: WebhookEvent) -> dict[str, Any]:
    return present_row(event, EventSchema)


def ping_shape(event_id: UUID, endpoint_id: UUID, moment: Any) -> dict[str, Any]:
    """What the test button sends: no event of the feed, and about no object of ours."""
    ping = WebhookEvent(
        id=event_id,
        type=PING,
        created_at=moment,
        object_type=ENDPOINT,
        object_id=endpoint_id,
        object_version=0,
        data={},
    )
    return event_shape(ping)


def message_body(shape: dict[str, Any]) -> bytes:
    return orjson.dumps(shape)
