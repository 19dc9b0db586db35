"""Of two beats one acts; the other takes over; the first one, thawed, moves nothing any more."""

from datetime import timedelta

import pytest
from django.db import OperationalError

from tcmpay.beat import LOOK_SECONDS, Scheduler
from tcmpay.celery import app
from tcmpay.common.fields import UtcNow
from tcmpay.limits.beat_lease import TERM, lease_claim, lease_release
from tcmpay.limits.models import BeatLease

pytestmark = pytest.mark.django_db
done: list[str] = []


@app.task(name="tests.beat_lease")
def told(text: str) -> None:
    done.append(text)


@pytest.fixture
def beats(tmp_path, monkeypatch):
    """Two of them; what each sends is in ``sent``, everything is due."""

    def started(name: str) -> Scheduler:
        beat = Scheduler(app, schedule_filename=str(tmp_path / name), lazy=False)
        beat.sent = []
        monkeypatch.setattr(
            beat, "apply_entry", lambda entry, producer=None: beat.sent.append(entry.name)
        )
        for entry in beat.schedule.values():
            entry.last_run_at = app.now() - timedelta(days=2)
        return beat

    return started("one"), started("two")


def ticks(beat: Scheduler) -> list[str]:
    beat.sent.clear()
    # The first look makes the row that both ask for.
    for _time in range(30):
        beat.tick()
    return list(beat.sent)


def lease_ends() -> None:
    BeatLease.objects.update(until=UtcNow() - timedelta(seconds=1))


def test_one_of_two_acts_and_the_other_after_the_lease(beats):
    one, two = beats
    assert ticks(one)
    assert two.tick() == LOOK_SECONDS
    assert two.sent == []
    lease_ends()
    assert ticks(two), "it takes over, and what was due meanwhile goes at once"
    assert ticks(one) == [], "thawed, the first one has lost it"


def test_who_ends_in_good_order_is_followed_at_once(beats):
    one, two = beats
    ticks(one)
    one.close()
    assert ticks(two)


@pytest.mark.django_db(transaction=True)  # beat drops its connection, and a test's own unit with it
def test_without_a_database_it_waits_and_goes_on_later(beats, monkeypatch):
    one, _two = beats
    assert ticks(one)

    def away(_holder: str) -> int:
        raise OperationalError(2002, "no")

    with monkeypatch.context() as patched:
        patched.setattr("tcmpay.limits.beat_lease.lease_claim", away)
        assert one.tick() == LOOK_SECONDS
    assert one.tick() != LOOK_SECONDS


def test_a_new_holder_has_a_higher_number_and_the_same_one_keeps_its_own():
    assert lease_claim("a") is None, "the row is made"
    first = lease_claim("a")
    assert first
    assert lease_claim("a") == first
    assert lease_claim("b") is None
    lease_ends()
    assert lease_claim("b") == first + 1
    lease_release("a")
    assert lease_claim("a") is None, "what is not ours is not ended by us"


def test_what_an_overtaken_beat_sends_is_not_done():
    lease_claim("a")
    former = lease_claim("a")
    done.clear()
    _sent("in time", former)
    lease_ends()
    later = lease_claim("b")
    _sent("thawed", former)
    _sent("of the new one", later)
    told.apply(args=["rung by a request"])
    assert done == ["in time", "of the new one", "rung by a request"]


def _sent(text: str, term: int | None) -> None:
    told.apply(args=[text], headers={TERM: str(term)})


def test_what_beat_sends_carries_its_number(beats, monkeypatch):
    one, _two = beats
    ticks(one)
    sent = []
    name = "sweep-attempts"
    app.loader.import_default_modules()
    task = app.tasks[one.schedule[name].task]
    monkeypatch.setattr(task, "apply_async", lambda *args, **options: sent.append(options))
    one.apply_async(one.schedule[name], advance=False)
    assert sent[0]["headers"][TERM] == lease_claim(one._holder)
