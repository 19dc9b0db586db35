"""Django's Redis cache, for which nobody waits: what it holds can be done without.

A Redis that is silent (a frozen host, a line cut in the middle) would hold up every request for
as long as a socket may wait. Here it may hold up one request in five seconds, for half a second.
"""

from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from tcmpay.common.cooldown import Cooldown

ANSWER_SECONDS_MAX = 0.5
AWAY = (redis.ConnectionError, redis.TimeoutError)

cooldown = Cooldown()


class ImpatientRedis(redis.Redis):
    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Raises redis.ConnectionError at once while Redis was found away a moment ago."""
        if cooldown.is_running():
            raise redis.ConnectionError("away a moment ago: not asked")
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except AWAY:
            cooldown.start()
            raise


class ImpatientClient(RedisCacheClient):
    def __init__(self, servers: Any, **options: Any) -> None:
        bounds: dict[str, Any] = {
            "socket_timeout": ANSWER_SECONDS_MAX,
            "socket_connect_timeout": ANSWER_SECONDS_MAX,
            "retry": Retry(NoBackoff(), 0),
        }
        super().__init__(servers, **(bounds | options))
        self._client = ImpatientRedis


class ImpatientRedisCache(RedisCache):
    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ImpatientClient
