"""What the platform's endpoints get: signed, in order per object, at least once."""

import threading
import time
import uuid
from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from payments.models import PaymentException
from payments.services.endpoint_cases import endpoint_cases_keep
from refunds.tests import stage
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM
from tests.clinic import new_order, paid_order, patient
from tests.events.conftest import deliver
from tests.events.receiver import Says, listening
from webhooks.errors import EndpointRotating
from webhooks.models import WebhookDelivery, WebhookDispatcher, WebhookEndpoint, WebhookTry
from webhooks.selectors import events_after
from webhooks.services import turns
from webhooks.services.delivery import LEASE, SCHEDULE
from webhooks.services.endpoints import (
    endpoint_add,
    endpoint_change,
    endpoint_disable,
    endpoint_enable,
    endpoint_keys,
    endpoint_rotate,
)
from webhooks.services.pinging import endpoint_ping
from webhooks.shape import event_shape

pytestmark = pytest.mark.django_db


def fail(_got):
    return Says(status=500, body=b"oops")


def tries() -> list[tuple[int | None, str]]:
    rows = WebhookTry.objects.order_by("tried_at", "id")
    return [(row.http_status, row.problem) for row in rows]


def endpoint() -> WebhookEndpoint:
    return WebhookEndpoint.objects.get()


# --- what is sent -------------------------------------------------------------------------------


def test_it_gets_what_the_feed_lists_signed_as_the_standard_says(subscribed, receiver):
    order = paid_order()
    assert deliver() == 2
    listed = [event_shape(event) for event in events_after(0, limit=10).events]
    assert receiver.verified(subscribed.secret) == listed
    assert [event["type"] for event in listed] == ["order.created", "order.paid"]
    assert [event["sequence"] for event in listed] == [1, 2]
    assert listed[1]["object_id"] == str(order.id)
    assert listed[1]["created_at"] == "2026-11-24T02:00:00.000000Z"
    got = receiver.got[0]
    assert got.headers["webhook-id"] == listed[0]["id"]
    assert got.headers["Content-Type"] == "application/json"
    assert deliver() == 0


def test_nobody_else_can_sign_for_us(subscribed, receiver):
    paid_order()
    deliver()
    got = receiver.got[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(subscribed.secret).verify(got.body + b" ", got.headers)
    with pytest.raises(WebhookVerificationError):
        receiver.verified("whsec_" + "A" * 43 + "=")


def test_the_secret_lies_sealed_and_is_told_nobody(subscribed, receiver, caplog):
    receiver.answer = lambda got: Says(body=f"{subscribed.secret} {got.headers}".encode())
    paid_order()
    deliver()
    endpoint_ping(actor=SYSTEM, endpoint_id=subscribed.endpoint.id)
    bare = subscribed.secret.removeprefix("whsec_")
    row = endpoint()
    assert row.sealed_secret.startswith("enc:2:")
    kept = [
        repr(list(model.objects.values())) for model in (WebhookEndpoint, WebhookTry, AuditEvent)
    ]
    assert all(bare not in text for text in [*kept, caplog.text])


def test_it_gets_the_types_that_it_subscribed_to(db, demo, receiver):
    one = endpoint_add(actor=SYSTEM, url=receiver.url, types=["order.paid"])
    paid_order()
    deliver()
    assert [event["type"] for event in receiver.events] == ["order.paid"]
    endpoint_change(actor=SYSTEM, endpoint_id=one.endpoint.id, types=["order.created"])
    paid_order()
    deliver()
    assert [event["type"] for event in receiver.events] == ["order.paid", "order.created"]


def test_it_gets_nothing_from_before_it_was_there(db, demo, receiver):
    paid_order()
    deliver()
    endpoint_add(actor=SYSTEM, url=receiver.url)
    assert deliver() == 0
    assert receiver.got == []


# --- faults of receivers ------------------------------------------------------------------------


def test_down_for_an_hour_it_gets_all_in_order_when_it_is_back(subscribed, receiver, later):
    receiver.answer = fail
    orders = []
    for minutes in range(0, 60, 5):
        with later(minutes=minutes):
            orders.append(paid_order())
            deliver()
    receiver.got.clear()
    receiver.answer = lambda _got: Says()
    with later(minutes=61):
        orders.append(paid_order())
        deliver()
    for order in orders:
        assert receiver.of(order.id) == [1, 2]
    assert not WebhookDelivery.objects.exclude(status="delivered").exists()
    assert (endpoint().failures, endpoint().failing_since) == (0, None)


def test_an_event_waits_for_the_earlier_ones_of_its_object_alone(subscribed, receiver):
    broken, fine = paid_order(), paid_order()
    receiver.answer = lambda got: fail(got) if str(broken.id) in got.body.decode() else Says()
    deliver()
    assert receiver.of(broken.id) == [1]
    assert receiver.of(fine.id) == [1, 2]


def test_tries_follow_the_schedule_and_then_it_is_given_up(subscribed, receiver, later, caplog):
    receiver.answer = fail
    order = new_order(patient())
    waited = timedelta(0)
    for number, wait in enumerate(SCHEDULE):
        waited += wait
        if number:
            with later(seconds=waited.total_seconds() - 1):
                deliver()
            assert len(receiver.got) == number
        waited += wait * 0.1  # the jitter at its most
        with later(seconds=waited.total_seconds() + 1):
            deliver()
        assert len(receiver.got) == number + 1
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.tries) == ("failed", 10)
    assert "webhook_delivery_given_up" in caplog.text
    assert {got.headers["webhook-id"] for got in receiver.got} == {str(delivery.event_id)}
    assert receiver.of(order.id) == [1] * 10


def test_what_was_handled_and_not_answered_comes_again_with_the_same_id(
    subscribed, receiver, later
):
    receiver.answer = lambda _got: None
    new_order(patient())
    deliver()
    receiver.answer = lambda _got: Says(status=204, body=b"")
    with later(seconds=6):
        deliver()
    assert tries() == [(None, "connection"), (204, "")]
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_slow_receiver_holds_up_nobody_else(subscribed, receiver):
    """The slow one answers once the other one has everything: else its call would never end."""
    all_there = threading.Event()
    receiver.answer = lambda _got: Says() if all_there.wait(30) else Says(status=500)
    with listening() as quick:
        endpoint_add(actor=SYSTEM, url=quick.url)
        orders = [paid_order() for _number in range(10)]

        def note(_got):
            if len(quick.got) == 2 * len(orders):
                all_there.set()
            return Says()

        quick.answer = note
        deliver()
        assert len(quick.got) == 20
    assert {status for status, _problem in tries()} == {200}


def test_gone_is_gone_and_people_are_told(subscribed, receiver, caplog):
    receiver.answer = lambda _got: Says(status=410)
    paid_order()
    deliver()
    one = endpoint()
    assert (one.status, one.disabled_because) == ("disabled", "gone")
    assert "webhook_endpoint_disabled" in caplog.text
    told = AuditEvent.objects.get(action="endpoint_disabled")
    assert (told.actor_name, told.details["because"]) == ("system", "gone")
    paid_order()
    assert deliver() == 0
    assert len(receiver.got) == 1


def test_one_that_was_disabled_by_itself_is_a_case_until_somebody_enables_it(subscribed, receiver):
    receiver.answer = lambda _got: Says(status=410)
    paid_order()
    deliver()
    assert [endpoint_cases_keep(), endpoint_cases_keep()] == [1, 0]
    case = PaymentException.objects.get(kind="endpoint_disabled")
    assert (case.closed_at, case.subject) == (None, str(endpoint().id))
    endpoint_enable(actor=SYSTEM, endpoint_id=endpoint().id)
    assert [endpoint_cases_keep(), endpoint_cases_keep()] == [1, 0]
    case.refresh_from_db()
    assert case.outcome == "settled"


def test_five_days_of_failure_disable_it(subscribed, receiver, later):
    receiver.answer = fail
    for hours in range(0, 5 * 24 + 1, 12):
        with later(hours=hours):
            new_order(patient())
            assert endpoint().is_enabled
            deliver()
    assert endpoint().disabled_because == "failing"


def test_one_success_is_no_failure(subscribed, receiver, later):
    for hours in range(0, 6 * 24, 12):
        receiver.answer = (lambda _got: Says()) if hours == 60 else fail
        with later(hours=hours):
            new_order(patient())
            deliver()
    assert endpoint().is_enabled


@pytest.mark.parametrize(
    ("status", "asked", "seconds"),
    [
        (429, "600", 600),
        (503, "600", 600),
        (503, "99999999", 24 * 3600),  # bounded
        (503, "1", 5),  # never sooner than the schedule
        (503, "soon", 5),
        (500, "600", 5),  # not its place to say so
    ],
)
def test_it_may_ask_us_to_wait(subscribed, receiver, later, status, asked, seconds):
    receiver.answer = lambda _got: Says(status=status, headers={"Retry-After": asked})
    new_order(patient())
    deliver()
    due_at = WebhookDelivery.objects.get().due_at
    assert due_at is not None
    wait = due_at - stage.BEGUN_AT
    assert timedelta(seconds=seconds) <= wait <= timedelta(seconds=seconds + 1)


def test_a_redirect_is_not_followed(subscribed, receiver):
    with listening() as elsewhere:
        receiver.answer = lambda _got: Says(status=307, headers={"Location": elsewhere.url})
        new_order(patient())
        deliver()
        assert elsewhere.got == []
    assert tries() == [(307, "")]


def test_of_an_answer_the_start_is_kept_without_secrets(subscribed, receiver):
    long = b"password=hunter2hunter2 " + b"x" * 100_000
    receiver.answer = lambda _got: Says(status=500, body=long)
    new_order(patient())
    deliver()
    kept = WebhookTry.objects.get()
    assert kept.http_status == 500
    assert "hunter2" not in kept.answer
    assert "xxx" in kept.answer
    assert len(kept.answer) <= 2048


def test_of_an_answer_nothing_of_the_call_itself_is_kept(subscribed, receiver):
    bare = subscribed.secret.removeprefix("whsec_")

    def echo(got):
        signature = got.headers["webhook-signature"].partition(",")[2]
        told = f"{bare} {signature} "
        return Says(
            status=500, body=told.encode() + b"x " * ((2030 - len(told)) // 2) + bare.encode()
        )

    receiver.answer = echo
    new_order(patient())
    deliver()
    kept = WebhookTry.objects.get().answer
    mac = receiver.got[0].headers["webhook-signature"].partition(",")[2]
    assert kept.startswith("******** ******** x x")
    assert not [part for part in (bare[:10], mac[:10]) if part in kept]


def test_nobody_listening(subscribed, receiver, monkeypatch):
    WebhookEndpoint.objects.update(url="http://127.0.0.1:1/")
    new_order(patient())
    deliver()
    assert tries() == [(None, "connection")]


# --- workers ------------------------------------------------------------------------------------


def test_what_a_killed_worker_carried_is_found_again(subscribed, receiver, later, monkeypatch):
    def die(*_args, **_kwargs):
        raise KeyboardInterrupt

    order = paid_order()
    with monkeypatch.context() as patched:
        patched.setattr(turns, "deliveries_end", die)
        with pytest.raises(KeyboardInterrupt):
            deliver()
    assert receiver.of(order.id) == [1]
    assert deliver() == 0  # its lead and its leases hold for a while
    with later(seconds=LEASE.total_seconds() + 1):
        deliver()
    assert receiver.of(order.id) == [1, 1, 2]  # at least once, and in order


def test_of_two_turns_at_once_one_leads_and_hears_the_other_bell(subscribed, receiver):
    heard: list[int] = []

    real = turns._Turn._finish

    def finish(turn):
        if not heard:
            heard.append(turns.turn_take(is_rung=True))
        return real(turn)

    paid_order()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(turns._Turn, "_finish", finish)
        assert deliver() == 2
    assert heard == [0]
    row = WebhookDispatcher.objects.get()
    assert (row.leader, row.rung_at) == (None, stage.BEGUN_AT)


def test_a_turn_whose_time_is_over_rings_for_the_next(subscribed, receiver, monkeypatch):
    rung: list[str] = []
    monkeypatch.setattr(turns, "ring", rung.append)
    paid_order()
    assert deliver(seconds=0) == 0
    assert rung == ["webhooks.dispatch"]
    assert deliver() == 2


def test_a_slow_receiver_holds_up_no_other_at_the_end_of_a_turn(subscribed, receiver, monkeypatch):
    """What is committed after the turn's time is numbered and delivered while the slow call is out;
    the next turn begins while the other receiver, slow now too, is still called, and repeats
    nothing."""
    real_finish, real_end = turns._Turn._finish, turns._end
    slow_may_answer, other_may_answer = threading.Event(), threading.Event()
    late: list[uuid.UUID] = []
    by_the_next: list[int] = []

    def finish(turn):
        if time.monotonic() > turn._ends_at and not late:
            late.append(new_order(patient()).id)
        if late and receiver.of(late[0]):
            slow_may_answer.set()
        return real_finish(turn)

    def end(leader, *, linger):
        ended = real_end(leader, linger=linger)
        if linger is None:
            by_the_next.append(deliver())
            other_may_answer.set()
        return ended

    def answer_late(got):
        if late and got.event["object_id"] == str(late[0]):
            other_may_answer.wait(30)
        return Says()

    receiver.answer = answer_late
    with listening() as slow:
        slow.answer = lambda _got: Says(status=200 if slow_may_answer.wait(30) else 500)
        endpoint_add(actor=SYSTEM, url=slow.url)
        first = new_order(patient())
        monkeypatch.setattr(turns._Turn, "_finish", finish)
        monkeypatch.setattr(turns, "_end", end)
        assert deliver(seconds=0.2) == 3  # it keeps how all of its own calls ended
    assert by_the_next == [1]  # what the slow one was not given while its call was out
    for one in (receiver, slow):
        assert (one.of(first.id), one.of(late[0])) == ([1], [1])
    assert tries() == [(200, "")] * 4


# --- endpoints ----------------------------------------------------------------------------------


def test_during_a_rotation_both_secrets_sign(subscribed, receiver, later):
    new = endpoint_rotate(actor=SYSTEM, endpoint_id=subscribed.endpoint.id)
    new_order(patient())
    deliver()
    assert receiver.verified(subscribed.secret) == receiver.verified(new.secret)
    receiver.got.clear()
    with later(hours=25):
        new_order(patient())
        deliver()
        assert len(receiver.verified(new.secret)) == 1
        with pytest.raises(WebhookVerificationError):
            receiver.verified(subscribed.secret)


def test_a_second_rotation_never_ends_the_first_secret_unasked(subscribed, receiver, later):
    where = {"actor": SYSTEM, "endpoint_id": subscribed.endpoint.id}
    new = endpoint_rotate(**where)
    with pytest.raises(EndpointRotating):
        endpoint_rotate(**where)
    assert endpoint_keys(endpoint()) == [new.secret, subscribed.secret]
    leaked = endpoint_rotate(**where, overlap=timedelta(0))  # at once, both
    assert endpoint_keys(endpoint()) == [leaked.secret]
    with later(hours=25):
        assert endpoint_keys(endpoint_rotate(**where).endpoint)[1:] == [leaked.secret]


def test_a_secret_that_leaked_signs_no_more(subscribed, receiver):
    endpoint_rotate(actor=SYSTEM, endpoint_id=subscribed.endpoint.id, overlap=timedelta(0))
    new_order(patient())
    deliver()
    with pytest.raises(WebhookVerificationError):
        receiver.verified(subscribed.secret)


def test_disabled_it_gets_nothing_and_enabled_what_it_missed(subscribed, receiver):
    where = {"actor": SYSTEM, "endpoint_id": subscribed.endpoint.id}
    endpoint_disable(**where)
    order = paid_order()
    assert deliver() == 0
    endpoint_enable(**where)
    deliver()
    assert receiver.of(order.id) == [1, 2]


def test_a_secret_that_does_not_open_sends_nothing(subscribed, receiver):
    other = WebhookEndpoint(url="https://example.com/")
    from tcmpay.common.sealing import seal

    WebhookEndpoint.objects.update(sealed_secret=seal("whsec_x", other.place("secret")))
    new_order(patient())
    deliver()
    assert receiver.got == []
    assert tries() == [(None, "secret")]


def test_the_test_button_sends_a_ping_that_is_no_event(subscribed, receiver):
    tried = endpoint_ping(actor=SYSTEM, endpoint_id=subscribed.endpoint.id)
    assert (tried.is_success, tried.http_status, tried.answer) == (True, 200, "ok")
    (ping,) = receiver.verified(subscribed.secret)
    assert (ping["type"], ping["sequence"], ping["object_type"]) == ("ping", None, "endpoint")
    assert events_after(0, limit=1).events == []
