"""``audit_money`` sees a change that the platform was not told of, and an event of no change."""

from datetime import timedelta

import pytest

from backoffice.ops.audit import CHECKS, check_configuration
from payments.models import PaymentException, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.settlement import trade_report_apply
from payments.services.topups import topup_create
from payments.tasks import sweep_attempts
from refunds.invariants_events import CHECKS as TOLD
from refunds.tests import stage
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.invariants import Scope
from tests.clinic import paid_order
from tests.events.conftest import deliver
from tests.events.receiver import Says
from webhooks.invariants import CHECKS as SENT
from webhooks.invariants import check_unfinished
from webhooks.models import (
    WebhookDelivery,
    WebhookDispatcher,
    WebhookEndpoint,
    WebhookEvent,
    WebhookTry,
)
from webhooks.services.delivery import deliveries_plan
from webhooks.services.dispatch import sequences_give
from webhooks.services.endpoints import endpoint_disable, endpoint_enable
from webhooks.services.purging import events_purge

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo")]


CHECKS_OF_EVENTS = [*TOLD, *SENT]


def found(*, strictly: bool = False) -> list[str]:
    """What is wrong with events, in the order in which it is found."""
    return [
        f"{violation.code} {violation.object_type}"
        for check in CHECKS_OF_EVENTS
        for violation in check(Scope())
        if not violation.is_notice and (strictly or not violation.is_unfinished)
    ]


def test_they_are_part_of_the_audit():
    assert {*CHECKS_OF_EVENTS} <= {*CHECKS}


@pytest.fixture
def lively(subscribed, receiver):
    """Orders, refunds and a case, all of it told and delivered."""
    payment = stage.paid("wechat")
    stage.done(payment)
    stage.withdrawn(stage.paid("alipay"))
    stage.failed(stage.paid("wechat"))
    stage.paid_late("alipay")
    paid_order()
    deliver()
    assert found(strictly=True) == []
    return subscribed


def test_books_with_everything_in_them_are_sound(lively, receiver):
    assert {event["type"] for event in receiver.events} == {
        "order.created",
        "order.paid",
        "order.cancelled",
        "order.refunded",
        "refund.requested",
        "refund.rejected",
        "refund.succeeded",
        "refund.failed",
        "case.opened",
    }


@pytest.mark.parametrize(
    "type_",
    ["order.created", "order.paid", "order.refunded", "refund.failed", "case.opened"],
)
def test_a_change_without_its_event(lively, type_):
    event = WebhookEvent.objects.filter(type=type_).order_by("sequence").first()
    assert event is not None
    event.delete()
    assert f"E3 {event.object_type}" in found()


def test_an_event_without_its_change(lively):
    order = WebhookEvent.objects.filter(type="order.created").first()
    assert order is not None
    WebhookEvent.objects.create(
        type="order.paid",
        object_type="order",
        object_id=order.object_id,
        object_version=99,
        data={},
        created_at=clock.now(),
    )
    assert found() == ["E3 order"]


def test_an_event_of_another_type_than_its_change(lively):
    WebhookEvent.objects.filter(type="order.cancelled").update(type="order.paid")
    assert "E3 order" in found()


def test_sequences_that_do_not_rise_with_versions(lively):
    failed = WebhookEvent.objects.get(type="refund.failed")
    first, last = WebhookEvent.objects.filter(object_id=failed.object_id).order_by("sequence")
    one, other = first.sequence, last.sequence
    WebhookEvent.objects.filter(id=first.id).update(sequence=None)
    WebhookEvent.objects.filter(id=last.id).update(sequence=one)
    WebhookEvent.objects.filter(id=first.id).update(sequence=other)
    assert "E3 webhook_event" in found()


def test_a_sequence_that_nobody_gave(lively):
    WebhookDispatcher.objects.update(last_sequence=3)
    assert "E3 webhook_event" in found()


def test_an_event_that_an_endpoint_was_never_to_get(lively):
    WebhookDelivery.objects.order_by("sequence")[0].delete()
    assert found() == ["E3 webhook_event"]


def test_an_endpoint_that_was_changed_by_sql(lively):
    WebhookEndpoint.objects.update(url="https://elsewhere.example.com/")
    assert found() == ["E9 webhook_endpoint"]


def test_an_endpoint_that_was_deleted_by_sql(lively):
    WebhookEndpoint.objects.all().delete()
    assert found() == ["E9 webhook_endpoint"]


def test_an_endpoint_without_its_secret(lively):
    WebhookEndpoint.objects.update(sealed_secret="")
    assert [found.object_type for found in check_configuration(Scope())] == ["webhook_endpoint"]


def test_an_endpoint_that_passes_over_what_is_to_come(lively):
    WebhookEndpoint.objects.update(reached=1000)
    assert found() == ["E3 webhook_endpoint"]


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("order.created", {"payment_method": "wechat"}),
        ("order.paid", {"amount": "0.01"}),
        ("order.refunded", {"refunded_amount": "99.00"}),
        ("refund.rejected", {"is_withdrawn": False}),
        ("case.opened", {"amount": "1.00"}),
        ("case.opened", {"order_id": "0192f0c1-0000-7000-8000-000000000999"}),
    ],
)
def test_an_event_that_says_something_else_than_its_object(lively, type_, said):
    event = WebhookEvent.objects.filter(type=type_).order_by("sequence")[0]
    event.data |= said
    event.save(update_fields=["data"])
    assert found() == [f"E3 {event.object_type}"]


def test_a_top_up_that_is_called_something_else(db, settings):
    settings.TOPUPS = True
    owner = stage.OWNER
    order = topup_create(actor=owner, user_id=owner.id, amount=stage.ALL)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    attempt = PaymentTransaction.objects.get(order=order)
    trade_report_apply(method="wechat", report=stage.trade(attempt))
    sequences_give()
    assert found() == []
    WebhookEvent.objects.filter(type="topup.succeeded").update(type="order.paid")
    assert found() == ["E3 topup"]


def test_an_event_of_another_time_than_its_change(lively):
    event = WebhookEvent.objects.filter(type="order.paid").order_by("sequence")[0]
    # Older than events are kept.
    WebhookEvent.objects.filter(id=event.id).update(created_at=clock.now() - timedelta(days=100))
    assert found() == ["E3 order"]


def test_events_that_are_said_to_begin_after_they_began(lively, later):
    with later(days=1):
        WebhookDispatcher.objects.update(promised_from=clock.now())
        assert {*found()} == {"E3 order", "E3 refund", "E3 case"}


def test_what_counts_as_delivered_was(subscribed, receiver):
    receiver.answer = lambda _got: Says(status=500)
    paid_order()
    deliver()
    assert found() == []
    delivery = WebhookDelivery.objects.order_by("sequence")[0]
    tried_at = WebhookTry.objects.get(delivery=delivery).tried_at
    ended = {"status": "delivered", "due_at": None, "ended_at": tried_at}
    WebhookDelivery.objects.filter(id=delivery.id).update(**ended)
    assert found() == ["E3 webhook_delivery"]


def test_a_delivery_that_is_called_another_events(lively):
    WebhookDelivery.objects.filter(sequence=1).update(object_id=lively.endpoint.id)
    assert found() == ["E3 webhook_delivery"]


def test_what_waits_too_long_is_unfinished(lively, later):
    paid_order()
    with later(minutes=6):
        assert found() == []
        late = [line for line in found(strictly=True) if "webhook" in line]
        assert late == ["E5 webhook_event"] * 2


def test_a_delivery_that_nobody_tries_is_unfinished_unless_its_receiver_fails(subscribed, later):
    paid_order()
    count = sequences_give()
    assert deliveries_plan(subscribed.endpoint.id, last_sequence=count) == count > 1
    with later(minutes=14):
        assert found(strictly=True) == []
    with later(minutes=16):
        assert found(strictly=True) == ["E5 webhook_delivery"] * count
        # Its deliveries are tried one at a time: the others wait longer than that.
        WebhookEndpoint.objects.update(failures=1)
        assert found(strictly=True) == []


def test_what_was_given_up_is_told_oldest_first_until_its_endpoint_is_disabled(lively):
    failed = list(WebhookDelivery.objects.order_by("-sequence")[:2])
    for delivery in failed:
        WebhookDelivery.objects.filter(id=delivery.id).update(status="failed")

    def given_up() -> list[str]:
        return [told.object_id for told in check_unfinished(Scope()) if told.is_notice]

    assert given_up() == [str(delivery.id) for delivery in reversed(failed)]
    endpoint_disable(actor=SYSTEM, endpoint_id=lively.endpoint.id)
    assert given_up() == []


def test_what_was_told_before_there_were_events_needs_none(db):
    order = paid_order()
    WebhookEvent.objects.filter(object_id=order.id).delete()
    assert found() == ["E3 order"] * 2
    WebhookDispatcher.objects.update(promised_from=clock.now())
    assert found() == []
    with clock.frozen(stage.BEGUN_AT + timedelta(hours=2)):
        later_order = paid_order()
        WebhookEvent.objects.filter(object_id=later_order.id).delete()
        assert found() == ["E3 order"] * 2


def test_after_ninety_days_all_of_it_goes_but_what_is_owed(lively, receiver, later):
    receiver.answer = lambda _got: Says(status=500)
    with later(days=60):
        owed = paid_order()
        deliver()
    with later(days=91):
        assert found() == []
        count = events_purge()
        assert count > 10
        assert found() == []
        left = WebhookEvent.objects.exclude(object_id=owed.id)
        assert not left.exists()
    with later(days=151):
        assert events_purge() == 0  # not delivered yet, and its endpoint is enabled
        endpoint_disable(actor=SYSTEM, endpoint_id=lively.endpoint.id)
        assert events_purge() == 2
    assert not WebhookTry.objects.exists()


def test_a_batch_of_the_purge_is_bounded(monkeypatch, later):
    monkeypatch.setattr("webhooks.services.purging.BATCH", 3)
    for _number in range(4):
        paid_order()
    sequences_give()
    with later(days=91):
        assert events_purge() == 8


def test_an_endpoint_that_gave_up_is_a_case_until_it_is_enabled(subscribed, receiver):
    receiver.answer = lambda _got: Says(status=410)
    paid_order()
    deliver()
    sweep_attempts()
    sweep_attempts()
    case = PaymentException.objects.get(kind="endpoint_disabled")
    assert receiver.url in case.reason
    told = WebhookEvent.objects.get(type="case.opened")
    assert (told.object_id, told.data["kind"]) == (case.id, "endpoint_disabled")
    endpoint_enable(actor=SYSTEM, endpoint_id=subscribed.endpoint.id)
    sweep_attempts()
    case.refresh_from_db()
    assert case.outcome == "settled"
    assert AuditEvent.objects.filter(action="exception_settled").exists()
