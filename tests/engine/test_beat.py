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
