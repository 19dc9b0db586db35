"""A Redis that is away costs one request a moment, not every request."""

import socket
import threading

import pytest
import redis
from django.core.cache.backends.base import BaseCache

from tcmpay.common import bell, redis_cache
from tcmpay.common.cooldown import Cooldown
from tcmpay.common.redis_cache import ImpatientRedisCache


class Hours:
    """A clock that is set by hand (seconds)."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def cooldown(hours) -> Cooldown:
    return Cooldown(quiet_seconds=5.0, clock=hours)


class SilentServer:
    """Listens, takes connections, never says a word."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in (self._listener, *self.taken):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                self.taken.append(self._listener.accept()[0])
            except OSError:
                return


@pytest.fixture
def silent_server():
    server = SilentServer()
    yield server
    server.close()


@pytest.fixture
def cache(silent_server, monkeypatch, cooldown) -> BaseCache:
    monkeypatch.setattr(redis_cache, "cooldown", cooldown)
    monkeypatch.setattr(redis_cache, "ANSWER_SECONDS_MAX", 0.05)
    return ImpatientRedisCache(f"redis://127.0.0.1:{silent_server.port}/0", {})


def test_the_cooldown_ends_after_a_while(cooldown, hours):
    assert not cooldown.is_running()
    cooldown.start()
    assert cooldown.is_running()
    hours.now += 4.9
    assert cooldown.is_running()
    hours.now += 0.2
    assert not cooldown.is_running()


def test_a_silent_redis_is_asked_once_and_then_left_alone(cache, silent_server, hours):
    with pytest.raises(redis.TimeoutError):
        cache.get("prices")
    assert len(silent_server.taken) == 1
    for _request in range(3):
        with pytest.raises(redis.ConnectionError):
            cache.incr("hits")
    assert len(silent_server.taken) == 1
    hours.now += 6
    with pytest.raises(redis.TimeoutError):
        cache.get("prices")
    assert len(silent_server.taken) == 2


def test_the_settings_use_the_impatient_cache():
    from tcmpay import settings

    backend = settings.CACHES["default"]["BACKEND"]
    assert "redis" not in backend or backend.endswith("ImpatientRedisCache")


def test_a_bell_that_was_not_heard_is_not_rung_again_at_once(monkeypatch, cooldown, hours):
    rung = []

    def send_task(task, args):
        rung.append((task, args))
        raise OSError("the broker is away")

    monkeypatch.setattr(bell, "_cooldown", cooldown)
    monkeypatch.setattr(bell.current_app, "send_task", send_task)
    bell._send("refunds.submit", ("1",))
    bell._send("refunds.submit", ("2",))
    assert rung == [("refunds.submit", ("1",))]
    hours.now += 6
    bell._send("refunds.submit", ("3",))
    assert [args for _task, args in rung] == [("1",), ("3",)]
