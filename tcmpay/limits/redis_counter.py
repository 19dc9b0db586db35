"""Counting in Redis: one script is exact, however many processes count at once."""

import logging
import time
from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.5
# So long nobody asks a Redis that did not answer: each request would wait for it again.
AWAY_SECONDS = 5.0

# In one command: a transaction of two cost the client twice as much.
COUNT = (
    "local hits = redis.call('INCR', KEYS[1])"
    " if hits == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end"
    " return hits"
)

_away_until = 0.0


class CounterAway(RuntimeError):
    """Redis can't count now: it is unreachable, full, or wants another password."""


def count_in_redis(location: str, key: str, *, expires_in_seconds: int) -> int:
    """One more hit of ``key``, and how many that makes. Raises CounterAway."""
    global _away_until
    if time.monotonic() < _away_until:
        raise CounterAway
    try:
        return int(_client(location).execute_command("EVAL", COUNT, 1, key, expires_in_seconds))
    except RedisError as error:
        _away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("rate_counter_in_database", extra={"error": str(error)})
        raise CounterAway from error


@lru_cache(maxsize=4)
def _client(location: str) -> Redis:
    # Never sent again by itself: a command whose answer was lost may have counted.
    return Redis.from_url(
        location,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def forget_absence() -> None:
    """Ask again at once, for tests that start a Redis anew."""
    global _away_until
    _away_until = 0.0
