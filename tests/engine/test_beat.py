"""Beat sends the sweeps whatever a clock wrote down before."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tcmpay.beat import Scheduler
from tcmpay.celery import app

SWEEP = "submit-refunds"
NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
TASKS_MAX = 50


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts beat on the schedule that the one before it left; what it sends is in ``sent``."""
    monkeypatch.setattr("tcmpay.limits.beat_lease.lease_claim", lambda holder: 1)
    monkeypatch.setattr("tcmpay.limits.beat_lease.lease_release", lambda holder: None)

    def started() -> Scheduler:
        beat = Scheduler(app, schedule_filename=str(tmp_path / "schedule"), lazy=False)
        beat.sent = []
        monkeypatch.setattr(
            beat, "apply_entry", lambda entry, producer=None: beat.sent.append(entry.name)
        )
        return beat

    return started


def sent_at(beat: Scheduler, moment: datetime) -> list[str]:
    """What beat sends when its clock shows ``moment``, and no longer than 30 s until the next."""
    beat.sent.clear()
    with time_machine.travel(moment, tick=False):
        for _task in range(TASKS_MAX):
            if seconds := beat.tick():
                assert seconds <= 30
                return list(beat.sent)
    raise AssertionError("it never rests")


def test_it_is_the_one_that_runs():
    assert app.conf.beat_scheduler == "tcmpay.beat.Scheduler"


def test_what_is_due_is_sent_once(start):
    with time_machine.travel(NOON, tick=False):
        beat = start()
    assert SWEEP not in sent_at(beat, NOON + timedelta(seconds=5))
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=31))
    assert SWEEP not in sent_at(beat, NOON + timedelta(seconds=32))


def test_what_a_clock_that_was_ahead_wrote_down_delays_no_sweep(start):
    with time_machine.travel(NOON + timedelta(hours=5), tick=False):
        first = start()
    assert SWEEP in sent_at(first, NOON + timedelta(hours=5, seconds=31))
    first.close()
    beat = start()
    assert beat.schedule[SWEEP].last_run_at > NOON + timedelta(hours=5), "it was kept"
    sent_at(beat, NOON)
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=31))


def test_a_clock_that_is_turned_back_under_it_delays_no_sweep(start):
    with time_machine.travel(NOON, tick=False):
        beat = start()
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=31))
    sent_at(beat, NOON - timedelta(hours=5))
    assert SWEEP in sent_at(beat, NOON - timedelta(hours=5) + timedelta(seconds=31))


# --- its file -----------------------------------------------------------------------------------

GOOD = b'{"submit-refunds": "2026-03-01T11:59:40+08:00"}'
DAMAGED = {
    "zeroed": b"",
    "zeros": bytes(len(GOOD)),
    "cut": GOOD[: len(GOOD) // 2],
    "text": b"not a schedule",
    "bytes": bytes(range(256)),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.",
    "a list": b"[1, 2]",
    "a number": b"7",
    "a moment that is none": b'{"submit-refunds": "soon"}',
    "a moment without a zone": b'{"submit-refunds": "2026-03-01T11:59:40"}',
    "a number for a moment": b'{"submit-refunds": 7}',
    "deep": b"[" * 100_000,
    "huge": b" " * 1_000_000,
    "another code": GOOD.decode().encode("utf-16"),
}


def test_what_it_wrote_down_is_read_again(start, tmp_path):
    (tmp_path / "schedule").write_bytes(GOOD)
    with time_machine.travel(NOON, tick=False):
        beat = start()
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=11)), "30 seconds after the last time"


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_thrown_away_and_said_so(start, tmp_path, caplog, damage):
    file = tmp_path / "schedule"
    file.write_bytes(DAMAGED[damage])
    with time_machine.travel(NOON, tick=False):
        beat = start()
    assert [record.message for record in caplog.records] == ["beat_schedule_thrown_away"]
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=31))
    beat.close()
    caplog.clear()
    start()
    assert caplog.records == [], "the next one finds a good file"


@pytest.mark.parametrize("place", ["a folder", "no folder", "a file for a folder"])
def test_it_goes_on_where_nothing_can_be_kept(start, tmp_path, caplog, place):
    if place == "a folder":
        (tmp_path / "schedule").mkdir()
    elif place == "no folder":
        tmp_path.rmdir()
    else:
        tmp_path.rmdir()
        tmp_path.write_text("")
    with time_machine.travel(NOON, tick=False):
        beat = start()
    assert "beat_schedule_not_kept" in [record.message for record in caplog.records]
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=31))
    beat.close()


def test_a_full_disk_stops_no_sweep(start, monkeypatch):
    with time_machine.travel(NOON, tick=False):
        beat = start()

    def is_full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", is_full)
    beat.sync()
    assert SWEEP in sent_at(beat, NOON + timedelta(seconds=31))


def test_no_half_of_a_file_is_left_behind(start, tmp_path):
    beat = start()
    beat.sync()
    beat.close()
    assert [path.name for path in tmp_path.iterdir()] == ["schedule"]
