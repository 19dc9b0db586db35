"""What the figures say of rows, and that beat and workers are missed when they fall silent."""

import json
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice.models import ProcessSign
from backoffice.ops import figures, signs
from backoffice.ops.alarms import ALARMS, beyond
from backoffice.ops.signs import BEAT, WORKER, newest_of_beat, sign_keep
from gateways.key_texts import Expiry
from refunds.bulk_plan import Wanted
from refunds.models import RefundBulk
from refunds.services.bulks import bulk_reject, bulk_request
from refunds.states import BulkSource
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tests.clinic import paid_order

pytestmark = pytest.mark.django_db


def samples(name: str) -> dict[tuple[str, ...], float]:
    [found] = [figure for figure in figures.figures() if figure.name == name]
    return dict(found.samples)


def test_before_anything_ran_beat_and_workers_are_missed():
    assert samples("beat_seen_seconds") == {(): float("inf")}
    assert samples("workers_seen_seconds") == {(): float("inf")}


def test_the_last_sign_of_each_is_told_and_the_youngest_counts():
    now = clock.now()
    with clock.frozen(now):
        sign_keep(BEAT, "one", now - timedelta(seconds=90))
        sign_keep(BEAT, "two", now - timedelta(seconds=20))
        sign_keep(WORKER, "celery@one", now - timedelta(seconds=400))
        sign_keep(WORKER, "celery@one", now - timedelta(seconds=5))
        assert samples("beat_seen_seconds") == {(): 20.0}
        assert samples("worker_seen_seconds") == {("celery@one",): 5.0}


def test_one_that_is_gone_is_forgotten_only_when_there_is_another():
    long_ago = clock.now() - timedelta(days=3)
    sign_keep(WORKER, "former", long_ago)
    assert samples("workers_seen_seconds")[()] > 200_000, "the last one is missed, not forgotten"
    sign_keep(BEAT, "beat", clock.now())
    assert ProcessSign.objects.filter(name="former").exists()
    sign_keep(WORKER, "new", clock.now())
    assert not ProcessSign.objects.filter(name="former").exists()


def test_a_beat_that_lives_and_sends_nothing_shows_none():
    moment = clock.now()
    entries = {"a": SimpleNamespace(last_run_at=None), "b": SimpleNamespace(last_run_at=moment)}
    service = SimpleNamespace(scheduler=SimpleNamespace(schedule=entries))
    assert newest_of_beat(service) == moment
    entries.pop("b")
    assert newest_of_beat(service) is None


def test_a_database_that_is_away_ends_no_signs(monkeypatch, caplog):
    class EndOfTest(Exception):
        pass

    def away():
        raise OSError

    def stop(seconds):
        raise EndOfTest

    monkeypatch.setattr(signs.time, "sleep", stop)
    monkeypatch.setattr(signs.connections, "close_all", lambda: None)
    with pytest.raises(EndOfTest):
        signs._keep_on(BEAT, "one", away)
    assert "sign_of_life_not_kept" in [record.message for record in caplog.records]


def test_the_rarest_reasons_are_counted_together(monkeypatch):
    monkeypatch.setattr(figures, "REASONS_MAX", 1)
    found = figures._bounded(
        ((("wechat", "A"), 5.0), (("wechat", "B"), 2.0), (("wechat", "C"), 1.0))
    )
    assert dict(found) == {("wechat", "A"): 5.0, ("wechat", "other"): 3.0}


def test_the_number_of_questions_does_not_grow_with_what_waits():
    list(figures.figures())  # once, a configuration that nobody has read yet becomes a version
    with CaptureQueriesContext(connection) as first:
        list(figures.figures())
    for number in range(30):
        sign_keep(WORKER, f"celery@{number}", clock.now())
    with CaptureQueriesContext(connection) as second:
        list(figures.figures())
    assert len(second) == len(first)


def test_bulks_that_are_not_finished_are_told_by_their_rows():
    asker, approver = (Actor(uuid.uuid4(), Role.ADMIN) for _person in range(2))
    named = [Wanted(str(paid_order().id)), Wanted(str(uuid.uuid4()))]
    bulk = bulk_request(actor=asker, wanted=named, reason="x", source=BulkSource.ORDERS)
    RefundBulk.objects.update(created_at=clock.now() - timedelta(hours=1))
    rows = samples("bulk_refund_rows")
    assert (rows[("waiting",)], rows[("refused",)], rows[("approved",)]) == (1, 1, 0)
    assert samples("bulk_refund_oldest_seconds")[()] >= 3600
    bulk_reject(actor=approver, bulk_id=bulk.id, notes="排错了")
    assert set(samples("bulk_refund_rows").values()) == {0}
    assert samples("bulk_refund_oldest_seconds") == {(): 0}


# --- what ends, and what must come again --------------------------------------------------------


def test_of_each_kind_of_certificate_the_one_that_ends_first_is_told(monkeypatch):
    now = clock.now()

    def ending(key: str, days: int) -> Expiry:
        return Expiry(key, "A1", now + timedelta(days=days), days)

    ends = {"wechat": [ending("platform_cert", 2), ending("platform_cert", 400)], "alipay": []}
    monkeypatch.setattr(figures, "expiries_current", ends.__getitem__)
    assert samples("gateway_certificate_days_left") == {("wechat", "platform_cert"): 2.0}
    keys = {one.key for one in beyond(ALARMS, figures.figures())}
    about = "{gateway=wechat,key=platform_cert}"
    assert {f"GatewayCertificateEnding{about}", f"GatewayCertificateEnds{about}"} <= keys
    ends["wechat"] = [ending("platform_cert", 30)]
    assert not any("Certificate" in one.key for one in beyond(ALARMS, figures.figures()))


BACKUPS = ("BackupLogsOld", "BackupOld", "RestoreDrillOld")


def backup_alarms() -> list[str]:
    found = beyond(ALARMS, figures.figures())
    return sorted(one.key for one in found if one.key in BACKUPS)


@pytest.fixture
def stamp(tmp_path, settings):
    """Writes the backup's stamp: name → hours ago."""
    file = tmp_path / "stamp.json"
    settings.BACKUP_STAMP_FILE = str(file)

    def write(**hours: float) -> None:
        now = clock.now()
        moments = {f"{name}_at": now - timedelta(hours=ago) for name, ago in hours.items()}
        file.write_text(json.dumps({name: at.isoformat() for name, at in moments.items()}))

    return write


def test_a_backup_in_time_is_no_alarm_and_each_that_is_late_is_one(stamp):
    stamp(dumped=25, logs=1, verified=24 * 7)
    assert backup_alarms() == []
    stamp(dumped=27, logs=3, verified=24 * 9)
    assert backup_alarms() == list(BACKUPS)


def test_a_drill_that_never_was_is_missed_and_logs_that_nobody_keeps_are_not(stamp):
    stamp(dumped=1)
    assert backup_alarms() == ["RestoreDrillOld"]


def test_a_stamp_that_cannot_be_read_counts_as_no_backup(stamp, settings):
    assert backup_alarms() == ["BackupOld"], "it is not there yet"
    settings.BACKUP_STAMP_FILE = ""
    assert backup_alarms() == [], "nobody said that backups are made here"
