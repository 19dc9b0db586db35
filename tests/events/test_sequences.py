"""The dispatcher numbers what is committed: without a gap, each object's events in order."""

import pytest

from payments.services.endings import order_cancel
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tests.clinic import new_order, paid_order, patient
from webhooks.models import WebhookDispatcher, WebhookEvent
from webhooks.services import dispatch
from webhooks.services.dispatch import sequences_give

pytestmark = pytest.mark.django_db


def numbered() -> list[tuple[int, str]]:
    events = WebhookEvent.objects.exclude(sequence=None).order_by("sequence")
    return list(events.values_list("sequence", "type"))


def test_numbers_go_on_where_they_stopped():
    paid_order()
    assert sequences_give() == 2
    order = new_order(patient())
    order_cancel(actor=patient_of(order), order_id=order.id)
    assert sequences_give() == 2
    assert numbered() == [
        (1, "order.created"),
        (2, "order.paid"),
        (3, "order.created"),
        (4, "order.cancelled"),
    ]
    assert WebhookDispatcher.objects.get().last_sequence == 4
    assert sequences_give() == 0


def patient_of(order):
    return Actor(order.user_id, Role.PATIENT)


def test_versions_decide_where_hosts_clocks_do_not_agree(monkeypatch):
    """The later event of an object has the earlier id, and only one fits into a batch."""
    monkeypatch.setattr(dispatch, "BATCH", 1)
    order = paid_order()
    early, late = sorted([new_id(), new_id()])
    events = WebhookEvent.objects.filter(object_id=order.id)
    events.filter(type="order.created").update(id=late)
    events.filter(type="order.paid").update(id=early)
    other = paid_order()
    while sequences_give():
        pass
    for object_id in (order.id, other.id):
        own = WebhookEvent.objects.filter(object_id=object_id)
        versions = own.order_by("sequence").values_list("object_version", flat=True)
        assert list(versions) == [1, 2]
    assert [number for number, _type in numbered()] == [1, 2, 3, 4]


def test_it_begins_without_its_row():
    WebhookDispatcher.objects.all().delete()
    paid_order()
    assert sequences_give() == 2
