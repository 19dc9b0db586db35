"""An event as it is sent and as ``GET /events`` lists it: one shape."""

from typing import Any
from uuid import UUID

import orjson
from rest_framework import serializers

from tcmpay.common.api.presenters import present_row
from webhooks.models import WebhookEvent
from webhooks.states import EventType

PING, ENDPOINT = "ping", "endpoint"


class EventSchema(serializers.Serializer):
    id = serializers.UUIDField(help_text="the same at every delivery")
    sequence = serializers.IntegerField(help_text="rises without a gap; go on after it")
    type = serializers.ChoiceField(choices=EventType.choices)
    created_at = serializers.DateTimeField()
    object_type = serializers.CharField(help_text="order, refund, case, …")
    object_id = serializers.UUIDField()
    object_version = serializers.IntegerField(
        help_text="rises with every event of an object: drop what is older than what you have"
    )


# ``data`` is a property of every serializer class, so the field is added by hand.
EventSchema._declared_fields["data"] = serializers.DictField(
    help_text="numbers, amounts (text, two places), states"
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
