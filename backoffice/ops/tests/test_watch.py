"""Our own watch: told once, again, and that it is over; by severity, grouped, in quiet hours."""

import json
from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.management import call_command

from backoffice.models import AlarmState
from backoffice.ops import watch
from backoffice.ops.alarms import Alarm, Severity
from backoffice.ops.figures import Figure, single
from backoffice.ops.watch import alarms_watch, firing
from gateways.tests.kit import Reply, StandIn
from tcmpay.common import clock
from tcmpay.notifications.models import Notification
from tcmpay.watching import Alarming, Notify, Span

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
LATE = NOON + timedelta(hours=11)  # 23:00
EVERYTHING = ("email", "webhook", "wecom", "dingtalk", "feishu")
MILD = Alarm(name="Mild", severity=Severity.WARNING, title="多了", figure="mild", above=3)
OTHER = Alarm(name="Other", severity=Severity.WARNING, title="别的", figure="other", above=0)
BAD = Alarm(
    name="Bad",
    severity=Severity.CRITICAL,
    title="坏了",
    figure="bad",
    above=0,
    for_seconds=120,
    by=("gateway",),
)
TABLE = (MILD, OTHER, BAD)


class World:
    """Figures as a test says they are, at the time that it says it is."""

    def __init__(self) -> None:
        self.values = {"mild": 0.0, "other": 0.0}
        self.bad: dict[str, float] = {}
        self.moment = NOON

    def figures(self) -> list[Figure]:
        bad = tuple(((gateway,), value) for gateway, value in self.bad.items())
        plain = [single(name, "", value) for name, value in self.values.items()]
        return [*plain, Figure("bad", "", ("gateway",), bad)]

    def look(self, **after: int) -> list[str]:
        """What is newly told at that time: title and lines of each message."""
        self.moment += timedelta(**after)
        before = set(Notification.objects.values_list("pk", flat=True))
        with clock.frozen(self.moment):
            alarms_watch()
        rows = Notification.objects.exclude(pk__in=before).order_by("title")
        return [f"{row.channel} {row.title}\n{row.text}" for row in rows]


@pytest.fixture
def world(monkeypatch, settings) -> World:
    made = World()
    monkeypatch.setattr(watch, "ALARMS", TABLE)
    monkeypatch.setattr(watch, "ALARM_BY_NAME", {alarm.name: alarm for alarm in TABLE})
    monkeypatch.setattr(watch, "figures", made.figures)
    settings.CLINIC_NAME = "诊所"
    settings.NOTIFY = Notify(webhook_url="https://alarms.tcm.test/")
    night = Span(time(22), time(8))
    settings.ALARMING = Alarming(night, EVERYTHING, 240)
    return made


def test_it_tells_once_and_once_more_when_it_is_over(world):
    assert world.look() == []
    world.values["mild"] = 5
    [told] = world.look(minutes=1)
    assert told.startswith("webhook [提醒] 诊所支付：报警 1 项，恢复 0 项\n报警：多了（Mild = 5，")
    assert "docs/runbook.md#mild" in told
    assert world.look(minutes=1) == []
    world.values["mild"] = 3
    assert world.look(minutes=1) == []
    assert world.look(minutes=4) == [], "it may come back at once"
    [over] = world.look(minutes=1)
    assert "恢复 1 项\n已恢复：多了" in over
    assert not AlarmState.objects.exists()


def test_what_comes_and_goes_is_one_alarm(world):
    for value in (5, 0, 5, 0, 5):
        world.values["mild"] = value
        world.look(minutes=2)
    assert Notification.objects.count() == 1


def test_it_waits_for_as_long_as_the_alarm_wants(world):
    world.bad = {"wechat": 1}
    assert world.look() == []
    assert world.look(seconds=119) == []
    [told] = world.look(seconds=1)
    assert "[严重]" in told
    assert "Bad{gateway=wechat} = 1" in told


def test_what_was_over_before_that_is_never_told(world):
    world.bad = {"wechat": 1}
    world.look()
    world.bad = {}
    world.look(minutes=1)
    assert not AlarmState.objects.exists()
    assert not Notification.objects.exists()


def test_it_is_repeated_at_the_configured_interval(world, settings):
    world.values["mild"] = 5
    world.look()
    assert world.look(minutes=239) == []
    [again] = world.look(minutes=1)
    assert "仍在报警：多了" in again
    settings.ALARMING = Alarming(None, EVERYTHING, 0)
    assert world.look(days=3) == [], "0: each once"


def test_what_begins_together_is_told_together_by_severity(world):
    world.bad = {"wechat": 1, "alipay": 2}
    world.look()
    world.values = {"mild": 5, "other": 1}
    told = world.look(minutes=2)
    assert len(told) == 2, "one of each severity"
    assert told[0].count("\n") == told[1].count("\n") == 2


def test_in_quiet_hours_the_mild_wait_till_morning_and_the_critical_do_not(world):
    world.moment = LATE
    world.values["mild"], world.bad = 5, {"wechat": 1}
    assert world.look() == []
    [told] = world.look(minutes=2)
    assert "[严重]" in told
    assert [row.key for row in firing()] == ["Mild", "Bad{gateway=wechat}"]
    world.values["other"] = 1
    world.look(minutes=5)
    [mild] = [told for told in world.look(hours=9) if "[提醒]" in told]
    assert "报警 2 项" in mild, "grouped"


def test_a_mild_one_that_is_over_by_morning_is_told_only_if_its_beginning_was(world):
    world.moment = LATE - timedelta(hours=2)
    world.values["mild"] = 5
    world.look()
    world.moment = LATE
    world.values = {"mild": 0, "other": 1}
    world.look()
    world.values["other"] = 0
    world.look(minutes=1)
    assert world.look(minutes=30) == []
    [morning] = world.look(hours=10)
    assert "报警 0 项，恢复 1 项\n已恢复：多了" in morning


def test_the_mild_go_to_the_channels_for_them(world, settings):
    settings.NOTIFY = Notify(
        webhook_url="https://alarms.tcm.test/", wecom_url="https://qyapi.tcm.test/"
    )
    settings.ALARMING = Alarming(None, ("wecom",), 240)
    world.values["mild"], world.bad = 5, {"wechat": 1}
    [told] = world.look()
    assert told.startswith("wecom")
    assert len(world.look(minutes=2)) == 2


def test_two_watches_and_a_restart_tell_it_once(world):
    world.values["mild"] = 5
    assert [len(world.look()), len(world.look())] == [1, 0]


def test_a_message_that_could_not_be_written_is_told_by_the_next_watch(world, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError

    world.values["mild"] = 5
    with monkeypatch.context() as patched:
        patched.setattr(watch, "notify", fails)
        with clock.frozen(NOON), pytest.raises(RuntimeError):
            alarms_watch()
    assert not AlarmState.objects.exists()
    assert len(world.look()) == 1


def test_an_alarm_that_the_table_has_no_more_is_forgotten(world):
    AlarmState.objects.create(key="Former", value=1, began_at=NOON, fired_at=NOON, told_at=NOON)
    assert world.look() == []
    assert not AlarmState.objects.exists()


def test_without_any_channel_it_is_watched_all_the_same(world, settings):
    settings.NOTIFY = Notify()
    world.values["mild"] = 5
    assert world.look() == []
    assert [row.key for row in firing()] == ["Mild"]


def test_never_is_a_number_that_every_database_keeps(world):
    world.values["mild"] = float("inf")
    [told] = world.look()
    assert "Mild = ∞" in told


# --- the command --------------------------------------------------------------------------------


def test_the_command_watches_and_sends(world, settings, capsys):
    with StandIn() as server:
        server.always(Reply(200))
        settings.NOTIFY, settings.DEBUG = Notify(webhook_url=server.url), True
        world.values["mild"] = 5
        settings.ALARMING = Alarming(None, EVERYTHING, 240)
        call_command("alarms", "watch")
    assert capsys.readouterr().out == "told 1, sent 1\n"
    assert len(server.seen) == 1


def test_a_test_is_sent_at_once_and_its_failure_is_told(world, settings, capsys):
    with StandIn() as server:
        server.always(Reply(200, body=b'{"errcode": 93000}'))
        settings.NOTIFY = Notify(webhook_url=server.url, wecom_url=server.url)
        settings.DEBUG = True  # this machine may be called
        with pytest.raises(SystemExit):
            call_command("alarms", "test-send")
        call_command("alarms", "test-send", channel="webhook")
    said = capsys.readouterr()
    assert "wecom: errcode 93000" in said.err
    assert said.out.count("webhook: ok") == 2


def test_without_a_channel_a_test_says_so(world, settings):
    settings.NOTIFY = Notify()
    with pytest.raises(SystemExit):
        call_command("alarms", "test-send")


def test_a_unit_of_systemd_that_failed_is_told_at_once(settings, capsys):
    with StandIn() as server:
        server.always(Reply(200))
        settings.NOTIFY, settings.DEBUG = Notify(webhook_url=server.url), True
        call_command("alarms", "unit-failed", unit="tcmbackup@dump.service")
        [seen] = server.seen
    assert "tcmbackup@dump.service" in json.loads(seen.body)["title"]
