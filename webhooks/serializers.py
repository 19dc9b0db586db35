"""What clients ask of the feed, and how it looks."""

from rest_framework import serializers

from tcmpay.common.api.serializers import InputSerializer, SeveralField, StrictIntegerField
from webhooks.shape import EventSchema
from webhooks.states import EventType

LIMIT_DEFAULT, LIMIT_MAX = 100, 500
SEQUENCE_MAX = 2**63 - 1


class EventsInput(InputSerializer):
    after = StrictIntegerField(
        min_value=0,
        max_value=SEQUENCE_MAX,
        default=0,
        help_text="the sequence to go on after: next_after of the answer before",
    )
    types = SeveralField(
        child=serializers.ChoiceField(choices=EventType.choices),
        example="order.paid,order.refunded",
        required=False,
    )
    limit = StrictIntegerField(min_value=1, max_value=LIMIT_MAX, default=LIMIT_DEFAULT)


class EventsSchema(serializers.Serializer):
    events = EventSchema(many=True)
    next_after = serializers.IntegerField(
        help_text="where to go on; nothing is missed however many events are made meanwhile"
    )
