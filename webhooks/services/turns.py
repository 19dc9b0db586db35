"""A turn: one task at a time gives sequences, plans and delivers, and goes on while there is work.

Rung by a bell or by beat's sweep. Whoever is rung while another leads leaves word and goes, so that
at most one slot of a worker is taken; the leader goes on looking for LINGER_SECONDS after the
newest word, longer than one process keeps its bell still (outbox.RING_EVERY_SECONDS). Calls are
made by threads, which never touch the database; all rows are written by the turn itself.
"""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from uuid import UUID

from tcmpay.common import clock
from tcmpay.common.bell import ring
from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_id
from webhooks.models import WebhookDispatcher, WebhookEndpoint
from webhooks.outbox import DISPATCH_TASK
from webhooks.services.delivery import (
    AT_ONCE,
    Claimed,
    Ended,
    deliveries_claim,
    deliveries_end,
    deliveries_plan,
    room_of,
    unsigned,
)
from webhooks.services.dispatch import dispatcher_lock, sequences_give
from webhooks.services.endpoints import ENABLED_MAX
from webhooks.services.sending import Answer, message_send

# After so long a turn only goes on for the receivers that answer, until the calls that are out have
# ended, so that a slow one holds up nobody; then it rings for the next one: tasks about money in
# the same worker come to their turn.
TURN_SECONDS = 20.0
LINGER_SECONDS = 1.5
LOOK_EVERY_SECONDS = 0.2
# Renewed while a turn lives. Longer than its calls; a dead leader is replaced after it.
LEADS_FOR = timedelta(seconds=30)


def turn_take(
    *,
    is_rung: bool = False,
    seconds: float = TURN_SECONDS,
    linger_seconds: float = LINGER_SECONDS,
) -> int:
    """Number what was committed, and deliver what is due; how many calls were made.

    0 where another turn leads: ``is_rung`` by a bell, it is told to look again.
    """
    leader = new_id()
    if not _lead(leader, is_rung=is_rung):
        return 0
    with ThreadPoolExecutor(ENABLED_MAX * AT_ONCE, thread_name_prefix="webhook") as threads:
        return _Turn(leader, threads, seconds, linger_seconds).run()


class _Turn:
    def __init__(
        self, leader: UUID, threads: ThreadPoolExecutor, seconds: float, linger_seconds: float
    ) -> None:
        self._leader, self._threads = leader, threads
        self._ends_at = time.monotonic() + seconds
        self._linger = timedelta(seconds=linger_seconds)
        self._renewed_at = time.monotonic()
        self._running: dict[Future[Answer], Claimed] = {}
        # Calls that were out when the time was over.
        self._last: set[Future[Answer]] | None = None
        self._calls = 0

    def run(self) -> int:
        while (besides := self._still_out()) is not None:
            did = sequences_give() + self._take_up(besides) + self._finish()
            self._renew()
            if self._running or did:
                continue
            if _end(self._leader, linger=self._linger):
                return self._calls
            time.sleep(LOOK_EVERY_SECONDS)
        _end(self._leader, linger=None)
        ring(DISPATCH_TASK)
        # Nobody repeats them: they are leased to this turn for longer than they take.
        while self._running:
            self._finish()
        return self._calls

    def _still_out(self) -> Collection[UUID] | None:
        """The endpoints to be left alone: those that had a call out when the time was over, until
        it ends. None when there is no such call any more: the next turn's time has come."""
        if time.monotonic() < self._ends_at:
            return ()
        if self._last is None:
            self._last = set(self._running)
        self._last &= self._running.keys()
        return {self._running[call].endpoint_id for call in self._last} or None

    def _take_up(self, besides: Collection[UUID]) -> int:
        """Plan and claim for each endpoint, ``besides`` these, what it has room for; how much there
        was to do."""
        last = WebhookDispatcher.objects.filter(id=1).values_list("last_sequence", flat=True)
        last_sequence = last.first() or 0
        done = 0
        for endpoint in WebhookEndpoint.objects.enabled().exclude(id__in=besides).order_by("id"):
            if endpoint.reached < last_sequence:
                done += deliveries_plan(endpoint.id, last_sequence=last_sequence)
            under_way = sum(one.endpoint_id == endpoint.id for one in self._running.values())
            room = room_of(endpoint) - under_way
            for claimed in deliveries_claim(endpoint, lease=self._leader, most=room):
                self._running[self._threads.submit(_send, claimed)] = claimed
                done += 1
        return done

    def _finish(self) -> int:
        """Keep what has ended by now, or soon."""
        if not self._running:
            return 0
        done, _rest = wait(self._running, timeout=LOOK_EVERY_SECONDS, return_when=FIRST_COMPLETED)
        ended = [Ended(self._running.pop(future), future.result()) for future in done]
        if ended:
            deliveries_end(ended, lease=self._leader)
        self._calls += len(ended)
        return len(ended)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed_at > LEADS_FOR.total_seconds() / 3:
            until = clock.now() + LEADS_FOR
            WebhookDispatcher.objects.filter(id=1, leader=self._leader).update(leader_until=until)
            self._renewed_at = time.monotonic()


def _send(claimed: Claimed) -> Answer:
    if not claimed.message.keys:
        return unsigned()
    return message_send(claimed.message)


@money_unit
def _lead(leader: UUID, *, is_rung: bool) -> bool:
    """Lead from now on, unless somebody does; either way the bell was heard."""
    row = dispatcher_lock()
    now = clock.now()
    if is_rung:
        row.rung_at = now
    is_free = row.leader_until is None or row.leader_until <= now
    if is_free:
        row.leader, row.leader_until = leader, now + LEADS_FOR
    row.save(update_fields=["rung_at", "leader", "leader_until"])
    return is_free


def _end(leader: UUID, *, linger: timedelta | None) -> bool:
    """Lead no more; False where the bell was heard less than ``linger`` ago (None: in any case)."""
    row = WebhookDispatcher.objects.filter(id=1).values_list("rung_at", flat=True).first()
    if linger is not None and row is not None and clock.now() < row + linger:
        return False
    return _end_locked(leader, linger)


@money_unit
def _end_locked(leader: UUID, linger: timedelta | None) -> bool:
    row = dispatcher_lock()
    if row.leader != leader:
        return True
    if linger is not None and row.rung_at is not None and clock.now() < row.rung_at + linger:
        return False
    row.leader, row.leader_until = None, None
    row.save(update_fields=["leader", "leader_until"])
    return True
