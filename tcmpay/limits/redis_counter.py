"""Counting in Redis: one script is exact, however many processes count at once."""

import logging
import threading
import time
from typing import cast

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.connection import Connection
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

_COMMAND = f"*5\r\n$4\r\nEVAL\r\n${len(COUNT)}\r\n{COUNT}\r\n$1\r\n1\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n"

_away_until = 0.0
_local = threading.local()


class CounterAway(RuntimeError):
    """Redis can't count now: it is unreachable, full, or wants another password."""


def count_in_redis(location: str, key: str, *, expires_in_seconds: int) -> int:
    """One more hit of ``key``, and how many that makes. Raises CounterAway."""
    global _away_until
    if time.monotonic() < _away_until:
        raise CounterAway
    try:
        return _count(_client(location), key, expires_in_seconds)
    except (RedisError, OSError) as error:
        _away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("rate_counter_in_database", extra={"error": str(error)})
        raise CounterAway from error


def _count(client: Connection, key: str, expires_in_seconds: int) -> int:
    """One command, written by hand: pool, retries and packing cost as much as all the rest.

    Never sent again by itself: a command whose answer was lost may have counted.
    """
    if client.is_connected and client.can_read():
        client.disconnect()  # closed over there, or an answer that nobody waited for
    seconds = str(expires_in_seconds)
    command = _COMMAND % (len(key), key, len(seconds), seconds)
    client.send_packed_command([command.encode()], check_health=False)
    return int(client.read_response())


def _client(location: str) -> Connection:
    """This thread's own connection."""
    clients: dict[str, Connection] = _local.__dict__.setdefault("clients", {})
    if location not in clients:
        pool = ConnectionPool.from_url(
            location,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        clients[location] = cast(Connection, pool.make_connection())
    return clients[location]


def forget_absence() -> None:
    """Ask again at once, for tests that start a Redis anew."""
    global _away_until
    _away_until = 0.0
