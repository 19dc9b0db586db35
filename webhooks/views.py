"""Events over the API: the feed that a receiver can rebuild from."""

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tcmpay.common.api.envelope import success
from tcmpay.common.api.schema import enveloped, success_example
from tcmpay.common.api.views import READERS, ContractViewSet
from webhooks import api_schema
from webhooks.selectors import events_after
from webhooks.serializers import EventPageSchema, EventsInput
from webhooks.shape import event_shape


class EventViewSet(ContractViewSet):
    """What the platform is told, in the order of its sequence."""

    api_tag = "events"
    roles = {"list": READERS}

    @extend_schema(
        operation_id="listEvents",
        summary=_("获取事件列表"),
        description=_(
            "按 sequence 从小到大，从 after 之后开始：一直用 next_after 读下去，一个也不会漏。"
            "推送丢失、延迟或乱序时，以这里为准。只限 service 和 admin。"
        ),
        parameters=[EventsInput],
        responses={200: enveloped("EventPage", EventPageSchema())},
        examples=[success_example(_("获取事件列表成功"), api_schema.EVENTS_EXAMPLE)],
    )
    def list(self, request: Request) -> Response:
        query = EventsInput.parse_query(request)
        feed = events_after(query["after"], types=query.get("types", ()), limit=query["limit"])
        body = {
            "events": [event_shape(event) for event in feed.events],
            "next_after": feed.next_after,
        }
        return success(_("获取事件列表成功"), body)
