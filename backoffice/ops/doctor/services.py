"""Queue, cache, workers and beat: whether they answer, and whether they are set up for us."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from backoffice.ops.doctor.findings import error, fine, warning
from gateways.findings import Finding
from tcmpay.common import clock
from tcmpay.version import __version__

REDIS_SECONDS = 2
WORKER_SECONDS = 3.0
PROBE_KEY = "doctor:probe"
# Beat writes its schedule down every three minutes.
BEAT_SILENT_AFTER = timedelta(minutes=10)
_REDIS_SCHEMES = frozenset({"redis", "rediss"})


@dataclass(frozen=True, slots=True)
class RedisServer:
    """``facts`` are of its INFO; ``problem`` why there are none. ``place``: host and port."""

    place: str
    problem: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def policy(self) -> str:
        return str(self.facts.get("maxmemory_policy", "noeviction"))

    @property
    def is_bounded(self) -> bool:
        return int(self.facts.get("maxmemory", 0)) > 0

    @property
    def is_refusing_writes(self) -> bool:
        return self.facts.get("rdb_last_bgsave_status", "ok") != "ok"


def redis_seen(address: str) -> RedisServer | None:
    """What the Redis at ``address`` says of itself; None where it is another program."""
    parts = urlsplit(address)
    if parts.scheme not in _REDIS_SCHEMES:
        return None
    place = f"{parts.hostname}:{parts.port or 6379}"
    try:
        with Redis.from_url(
            address, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS
        ) as server:
            return RedisServer(place, facts=server.info())
    except RedisError as problem:
        return RedisServer(place, problem=str(problem))


@dataclass(frozen=True, slots=True)
class Queue:
    problem: str = ""
    redis: RedisServer | None = None


def queue_seen() -> Queue:
    address = settings.CELERY_BROKER_URL.partition(";")[0]
    try:
        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=REDIS_SECONDS, errback=None)
    except (OperationalError, OSError) as problem:
        return Queue(str(problem))
    return Queue(redis=redis_seen(address))


def queue(seen: Queue) -> Iterator[Finding]:
    if seen.problem:
        fix = _("启动队列（Redis），核对 CELERY_BROKER_URL；期间工作等下一次扫描")
        yield error("CELERY_BROKER_URL", _("连不上：%(why)s") % {"why": seen.problem}, fix)
        return
    yield fine("CELERY_BROKER_URL", _("能连接"))
    if seen.redis is None:
        return
    if seen.redis.policy != "noeviction" and seen.redis.is_bounded:
        text = _("内存满时会丢任务（maxmemory-policy %(policy)s）") % {"policy": seen.redis.policy}
        fix = _("队列的 Redis 设 maxmemory-policy noeviction；丢了的任务要等下一次扫描")
        yield warning("maxmemory-policy", text, fix)
    else:
        yield fine("maxmemory-policy", seen.redis.policy)
    yield from _persistence(seen.redis)


@dataclass(frozen=True, slots=True)
class Cache:
    is_shared: bool
    is_answering: bool = True
    redis: RedisServer | None = None
    queue_place: str = ""


def cache_seen() -> Cache:
    options = settings.CACHES["default"]
    location = options.get("LOCATION") or ""
    address = str(location if isinstance(location, str) else location[0])
    server = redis_seen(address)
    if server is None:
        return Cache(is_shared=False)
    broker = urlsplit(settings.CELERY_BROKER_URL.partition(";")[0])
    is_answering = False
    if not server.problem:
        cache.set(PROBE_KEY, __version__, 10)
        is_answering = cache.get(PROBE_KEY) == __version__
    return Cache(True, is_answering, server, f"{broker.hostname}:{broker.port or 6379}")


def cache_state(seen: Cache) -> Iterator[Finding]:
    if not seen.is_shared:
        fix = _("CACHE_URL 设为 Redis 的地址：多个进程才共用限流和价格")
        yield warning("CACHE_URL", _("各进程各有各的缓存"), fix)
        return
    if not seen.is_answering or seen.redis is None:
        why = seen.redis.problem if seen.redis else ""
        fix = _("启动缓存（Redis），核对 CACHE_URL；期间由数据库计数、提供价格")
        yield error("CACHE_URL", _("不能写入和读出：%(why)s") % {"why": why}, fix)
        return
    yield fine("CACHE_URL", _("能写入和读出"))
    if seen.redis.policy == "noeviction" and seen.redis.is_bounded:
        fix = _("缓存的 Redis 设 maxmemory-policy allkeys-lru，与队列分开两个 Redis")
        yield warning("maxmemory-policy", _("内存满时缓存不能写（noeviction）"), fix)
    elif seen.redis.policy.startswith("allkeys") and seen.redis.place == seen.queue_place:
        fix = _("队列和缓存用两个 Redis：否则腾内存时会删掉队列里的任务")
        yield warning("maxmemory-policy", _("与队列在同一个 Redis，且会淘汰任何键"), fix)
    else:
        yield fine("maxmemory-policy", seen.redis.policy)
    yield from _persistence(seen.redis)


def _persistence(server: RedisServer) -> Iterator[Finding]:
    """Nothing of ours has to be kept there; but a Redis that can't save may refuse writes."""
    if server.is_refusing_writes:
        fix = _('给 Redis 的目录腾空间或改权限，或设 save ""：这里的内容不用保存')
        yield error("persistence", _("Redis 存盘失败，可能拒绝写入"), fix)
    else:
        yield fine("persistence", _("不需要持久化，没有存盘失败"))


# --- workers and beat -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers that answered, by name, each with the version that it runs ("": an older)."""

    versions: Mapping[str, str]
    problem: str = ""


def workers_seen() -> Workers:
    try:
        replies = current_app.control.broadcast(
            "tcmpay_version", reply=True, timeout=WORKER_SECONDS
        )
    except (OperationalError, OSError) as problem:
        return Workers({}, str(problem))
    told = {name: answer for reply in replies or () for name, answer in reply.items()}
    return Workers({name: str(answer.get("ok", "")) for name, answer in told.items()})


def workers(seen: Workers) -> Iterator[Finding]:
    if not seen.versions:
        text = _("没有 worker 应答 %(why)s") % {"why": seen.problem}
        fix = _("systemctl start tcmpay-worker；没有它，通知不处理、退款不发出、订单不过期")
        yield error("worker", text.strip(), fix)
    for name, version in sorted(seen.versions.items()):
        if version != __version__:
            text = _("%(name)s 运行的是 %(version)s，本机的程序是 %(ours)s")
            facts = {"name": name, "version": version or "?", "ours": __version__}
            yield error("worker", text % facts, _("重启这个 worker：升级之后它没有重启"))
        else:
            yield fine("worker", f"{name} {version}")


@dataclass(frozen=True, slots=True)
class Beat:
    """``seen_at``: when beat last wrote its schedule down; ``path`` where, "" when not told."""

    path: str
    seen_at: datetime | None
    now: datetime


def beat_seen(path: str) -> Beat:
    moment = None
    if path:
        try:
            written = Path(path).stat().st_mtime
        except OSError:
            written = 0.0
        moment = datetime.fromtimestamp(written, clock.SHANGHAI) if written else None
    return Beat(path, moment, clock.now())


def beat(seen: Beat) -> Iterator[Finding]:
    fix = _("systemctl start tcmpay-beat；没有它，丢失的通知不会补查，订单不会过期")
    if seen.seen_at is None:
        text = _("没有 beat 的迹象（%(path)s）") % {"path": seen.path or "--beat-schedule"}
        yield error("beat", text, fix)
        return
    silent = seen.now - seen.seen_at
    text = _("%(minutes)d 分钟前还在") % {"minutes": silent.total_seconds() // 60}
    yield error("beat", text, fix) if silent > BEAT_SILENT_AFTER else fine("beat", text)
