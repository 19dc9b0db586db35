"""Who is read from, for how long, and what becomes of a body that ends early."""

import io
import socket

import pytest

from tcmpay.common import reading_time
from tcmpay.common.reading_time import BodyWatched, IncompleteBody, Reading, Watchman, head_watched


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def environ(body: bytes, announced: int, sock=None) -> dict:
    found = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(announced)}
    return found | ({"gunicorn.socket": sock} if sock else {})


def read_by(take):
    """A WSGI application that takes its body as ``take`` does."""
    return BodyWatched(lambda environ, start: take(environ["wsgi.input"]))


TAKES = {
    "at once": lambda source: [source.read()],
    "by pieces": lambda source: [source.read(2), source.read(100)],
    "by lines": lambda source: list(source),
}


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_a_whole_body_is_read_as_it_came(pair, take):
    chunks = read_by(take)(environ(b"a=1\nb=2", 7, pair[0]), None)
    assert b"".join(chunks) == b"a=1\nb=2"


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_a_body_that_ends_early_is_an_error_and_not_a_shorter_form(pair, take):
    with pytest.raises(IncompleteBody):
        read_by(take)(environ(b"a=1\nb=2", 8, pair[0]), None)


def test_more_than_was_announced_is_not_read(pair):
    assert read_by(lambda source: [source.read(100)])(environ(b"abcdef", 3, pair[0]), None) == [
        b"abc"
    ]


def is_readable_to_its_end(ours, theirs) -> bool:
    """Whether the reading side is still open: then nothing is there to be read."""
    ours.setblocking(False)
    try:
        return ours.recv(1) != b""
    except BlockingIOError:
        return True


def test_who_is_cut_reads_the_end_and_can_still_answer(pair):
    ours, theirs = pair
    Reading(lambda: ours).cut()
    assert ours.recv(1) == b""
    ours.sendall(b"400")
    assert theirs.recv(3) == b"400"


def test_who_has_finished_is_left_alone(pair):
    reading = Reading(lambda: pair[0])
    reading.finish()
    reading.cut()
    assert is_readable_to_its_end(*pair)


@pytest.mark.parametrize("announced", [0, 3])
def test_an_application_works_undisturbed_once_it_has_the_body(pair, announced, monkeypatch):
    seen: list[Reading] = []
    monkeypatch.setattr(reading_time, "watchman", Watchman())

    def work(source):
        source.read()
        seen.extend(reading_time.watchman._readings)
        return []

    with head_watched(lambda: pair[0]):
        read_by(work)(environ(b"abc", announced, pair[0]), None)
    assert seen == []


def reading_of(age: float) -> Reading:
    reading = Reading(socket.socket)
    reading.begun_at = -age
    return reading


def overdue(*ages: float) -> list[float]:
    """The ages of those that are cut, of readings that began in this order."""
    watchman = Watchman()
    for age in ages:
        watchman._readings[reading_of(age)] = None
    return [-reading.begun_at for reading in watchman._overdue(0.0)]


@pytest.mark.parametrize(
    ("ages", "cut"),
    [
        ([0.9] * 8, []),  # prompt, however many
        ([29.9, 20.0], []),  # two may be slow
        ([30.0, 20.0], [30.0]),  # but not for ever
        ([9.0, 8.0, 7.0, 0.5], [9.0]),  # of three that are slow, the oldest
        ([9.0, 8.0, 1.0, 1.0, 1.0], [9.0, 8.0, 1.0]),
    ],
)
def test_the_oldest_of_too_many_slow_ones_are_cut(ages, cut):
    assert overdue(*ages) == cut
