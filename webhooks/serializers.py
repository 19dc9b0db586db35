"""What clients ask of the feed, and how it looks."""

from django.utils.translation import gettext_lazy as _
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
        help_text=_("从哪个 sequence 之后开始：上一次返回的 next_after"),
    )
    types = SeveralField(
        child=serializers.ChoiceField(choices=EventType.choices),
        example="order.paid,order.refunded",
        required=False,
    )
    limit = StrictIntegerField(
        min_value=1, max_value=LIMIT_MAX, default=LIMIT_DEFAULT, help_text=_("最多多少个")
    )


class EventPageSchema(serializers.Serializer):
    about = _("一段事件")

    events = EventSchema(many=True)
    next_after = serializers.IntegerField(
        min_value=0, help_text=_("下一次从哪里开始；其间不管产生多少事件，都不会漏")
    )
