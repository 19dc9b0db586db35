"""Many units commit at once, two dispatchers number, a reader reads: it misses none."""

import random
import threading
import time
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import close_old_connections, connection, connections

from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_id
from webhooks.models import WebhookEvent
from webhooks.outbox import event_record
from webhooks.selectors import events_after
from webhooks.services.dispatch import sequences_give
from webhooks.states import EventType

COMMITTING, DISPATCHING, UNITS = 6, 2, 40
WAIT_SECONDS = 20.0


@pytest.fixture
def shared(transactional_db):
    if connection.vendor == "sqlite":
        pytest.skip("one in-memory database can't be shared by threads")


@money_unit
def promise(object_id: UUID, version: int, before_commit: Callable[[], object]) -> None:
    event_record(
        type=EventType.ORDER_PAID,
        object_type="order",
        object_id=object_id,
        object_version=version,
        data={},
    )
    before_commit()


def in_threads(*deeds: Callable[[], object]) -> list[threading.Thread]:
    def alone(deed: Callable[[], object]) -> None:
        close_old_connections()
        try:
            deed()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=alone, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    return threads


def test_a_reader_misses_none_and_two_dispatchers_give_each_number_once(shared):
    is_over = threading.Event()
    seen: list[int] = []

    def commit() -> None:
        own = [new_id() for _object in range(3)]
        for number in range(UNITS):
            pause = random.random() / 200
            promise(own[number % 3], number // 3 + 1, lambda pause=pause: time.sleep(pause))

    def dispatch() -> None:
        while not is_over.is_set():
            sequences_give()

    def read() -> None:
        after = 0
        while True:
            was_over = is_over.is_set()
            feed = events_after(after, limit=17)
            seen.extend(event.sequence or 0 for event in feed.events)
            after = feed.next_after
            if was_over and not feed.events:
                return

    committing = in_threads(*[commit] * COMMITTING)
    others = in_threads(*[dispatch] * DISPATCHING, read)
    for thread in committing:
        thread.join()
    deadline = time.monotonic() + WAIT_SECONDS
    while WebhookEvent.objects.filter(sequence=None).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    is_over.set()
    for thread in others:
        thread.join()
    assert seen == list(range(1, COMMITTING * UNITS + 1))
    before: dict[UUID, int] = {}
    for event in WebhookEvent.objects.order_by("sequence"):
        assert event.object_version == before.get(event.object_id, 0) + 1
        before[event.object_id] = event.object_version


def test_a_late_commit_gets_a_later_number(shared):
    """Who reads in the order of writing misses it; who reads by sequence does not."""
    is_written, may_commit = threading.Event(), threading.Event()
    late, early = new_id(), new_id()

    def wait() -> None:
        is_written.set()
        assert may_commit.wait(WAIT_SECONDS)

    (thread,) = in_threads(lambda: promise(late, 1, wait))
    assert is_written.wait(WAIT_SECONDS)
    promise(early, 1, lambda: None)
    sequences_give()
    (first,) = events_after(0, limit=10).events
    may_commit.set()
    thread.join()
    sequences_give()
    (second,) = events_after(first.sequence or 0, limit=10).events
    assert (first.object_id, second.object_id) == (early, late)
    assert second.id < first.id  # naively: read past already
