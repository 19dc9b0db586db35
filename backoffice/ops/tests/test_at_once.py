"""Two at the same moment, on a database where they can meet: each thing is done once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, time

import pytest
from django.db import connection, connections

from backoffice.models import AlarmState, LawRun
from backoffice.ops import laws, watch
from backoffice.ops.alarms import Alarm, Severity
from backoffice.ops.figures import single
from tcmpay.common import clock
from tcmpay.notifications import services
from tcmpay.notifications.models import Notification
from tcmpay.notifications.services import notifications_send, notify
from tcmpay.watching import Alarming, Notify, Span

WAIT_SECONDS = 20.0
NIGHT = datetime(2026, 12, 1, 19, 30, tzinfo=UTC)  # 3:30 in Shanghai
NAMES = ("First", "Second", "Third")
TABLE = tuple(
    Alarm(name=name, severity=Severity.CRITICAL, title="坏了", figure=name, above=0)
    for name in NAMES
)


@pytest.fixture
def shared(transactional_db, settings):
    if connection.vendor == "sqlite":
        pytest.skip("one in-memory database can't be shared by threads")
    settings.NOTIFY = Notify(webhook_url="https://alarms.tcm.test/")
    settings.ALARMING = Alarming(Span(time(22), time(8)), ("webhook",), 240)


class Meeting:
    """Where each of two threads waits for the other, once."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=WAIT_SECONDS)
        self._seen = threading.local()

    def wait(self) -> None:
        if not getattr(self._seen, "is_past", False):
            self._seen.is_past = True
            self._barrier.wait()

    def before(self, function: Callable[..., object]) -> Callable[..., object]:
        def waits(*args: object, **kwargs: object) -> object:
            self.wait()
            return function(*args, **kwargs)

        return waits


def twice_at_once(deed: Callable[[], int]) -> list[int]:
    """What the two returned; what one of them raised is raised here."""
    told: list[int] = []
    wrong: list[BaseException] = []

    def alone() -> None:
        try:
            told.append(deed())
        except BaseException as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=alone) for _one in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS * 2)
    if wrong:
        raise wrong[0]
    return told


@pytest.fixture
def watched(shared, monkeypatch) -> dict[str, float]:
    """The figures' values, and a table of alarms about them."""
    values = dict.fromkeys(NAMES, 0.0)
    monkeypatch.setattr(watch, "ALARMS", TABLE)
    monkeypatch.setattr(watch, "ALARM_BY_NAME", {alarm.name: alarm for alarm in TABLE})
    monkeypatch.setattr(
        watch, "figures", lambda: [single(name, "", value) for name, value in values.items()]
    )
    return values


def test_two_watches_that_both_find_no_state_tell_an_alarm_once(watched, monkeypatch):
    watched.update(dict.fromkeys(NAMES, 1.0))
    # Both have looked for states, and there were none.
    monkeypatch.setattr(watch, "_turn_of", Meeting().before(watch._turn_of))
    assert sorted(twice_at_once(watch.alarms_watch)) == [0, 3]
    assert Notification.objects.count() == 1
    assert AlarmState.objects.count() == len(NAMES)


def test_two_watches_tell_what_is_over_and_what_goes_on_once(watched, monkeypatch):
    watched.update(dict.fromkeys(NAMES, 1.0))
    began = clock.now()
    with clock.frozen(began):
        watch.alarms_watch()
    watched["First"] = 0
    with clock.frozen(began + watch.WELL_FOR):
        watch.alarms_watch()
    # Frozen for the threads, too: the two that go on are due again, the one that is over is told.
    later = began + watch.WELL_FOR * 100
    monkeypatch.setattr(clock, "now", lambda: later)
    monkeypatch.setattr(watch, "beyond", Meeting().before(watch.beyond))
    assert sorted(twice_at_once(watch.alarms_watch)) == [0, 3]
    assert Notification.objects.count() == 2
    assert sorted(AlarmState.objects.values_list("key", flat=True)) == ["Second", "Third"]


def test_two_senders_take_each_notice_once(shared, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(services, "ring", lambda name: None)
    for number in range(20):
        notify(f"notice {number}", "text")
    monkeypatch.setattr(services, "send", lambda row: sent.append(row.title))
    # Both hold all of them in hand, unclaimed.
    monkeypatch.setattr(services, "in_time", Meeting().before(services.in_time))
    assert sum(twice_at_once(notifications_send)) == 20
    assert len(sent) == len(set(sent)) == 20
    assert not Notification.objects.exclude(due_at=None).exists()


def test_of_two_claims_of_a_night_one_runs(shared, monkeypatch):
    looked: list[object] = []

    def look(run: LawRun, checks: object) -> int:
        looked.append(run.pk)
        return 0

    monkeypatch.setattr(clock, "now", lambda: NIGHT)
    monkeypatch.setattr(laws, "_claimed", Meeting().before(laws._claimed))
    monkeypatch.setattr(laws, "_run", look)
    twice_at_once(laws.whole_run_if_due)
    assert [run.pk for run in LawRun.objects.all()] == looked
    assert len(looked) == 1
