"""Where a new endpoint begins, who leads the deliveries, and what is counted of them."""

import uuid
from datetime import timedelta

import pytest

from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from webhooks.models import WebhookEvent
from webhooks.services.delivery import TRIES, Claimed, Ended, deliveries_end
from webhooks.services.dispatch import sequences_give
from webhooks.services.endpoints import endpoint_add
from webhooks.services.sending import Answer, Message
from webhooks.services.turns import LEADS_FOR, _lead
from webhooks.states import TryProblem

pytestmark = pytest.mark.django_db
ADDRESS = "https://platform.example.com/hooks"


def counted(verdict: str) -> float:
    return TRIES.labels(verdict)._value.get()


def test_a_new_endpoint_gets_what_comes_after_it():
    for number in (1, 2):
        WebhookEvent.objects.create(
            type="order.created",
            object_type="order",
            object_id=uuid.uuid4(),
            object_version=number,
            created_at=clock.now(),
        )
    assert sequences_give() == 2
    endpoint = endpoint_add(actor=SYSTEM, url=ADDRESS).endpoint
    assert (endpoint.reached, endpoint.subscribed_after) == (2, 2)


def test_one_leads_until_its_time_is_over():
    first, second = uuid.uuid4(), uuid.uuid4()
    with clock.frozen(begun := clock.now()):
        assert _lead(first, is_rung=False)
        assert not _lead(second, is_rung=True)
    with clock.frozen(begun + LEADS_FOR + timedelta(seconds=1)):
        assert _lead(second, is_rung=False)
        assert not _lead(first, is_rung=False)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(http_status=200), "delivered"),
        (Answer(http_status=500), "refused"),
        (Answer(problem=TryProblem.TIMEOUT), "timeout"),
    ],
)
def test_tries_are_counted_by_how_they_ended(answer, verdict, monkeypatch):
    monkeypatch.setattr("webhooks.services.delivery._end", lambda *_of_an_endpoint: None)
    claimed = Claimed(uuid.uuid4(), uuid.uuid4(), Message(ADDRESS, "1", b"{}", ()))
    before = counted(verdict)
    deliveries_end([Ended(claimed, answer)], lease=uuid.uuid4())
    assert counted(verdict) == before + 1
