"""Claiming idempotency keys and counting hits."""

import contextlib
import hashlib
import json
import logging
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection
from django.db.models import F
from django.db.transaction import atomic

from tcmpay.audit.macs import row_mac
from tcmpay.common import clock
from tcmpay.common.db import drop_lost_connection, is_retryable
from tcmpay.limits.errors import IdempotencyInProgress, IdempotencyKeyReused
from tcmpay.limits.models import IdempotencyKey, RateCounter
from tcmpay.limits.redis_counter import CounterAway, count_in_redis

logger = logging.getLogger(__name__)

MAC_KIND = "idempotency_keys"
KEPT_FOR = timedelta(hours=24)
LEASE = timedelta(seconds=60)
PURGE_BATCH = 1000
COUNT_ATTEMPTS_MAX = 3


@dataclass(frozen=True)
class Claim:
    """The right to run the request, or the answer that it already had.

    ``is_takeover`` says that an earlier holder died: its effect has to be looked for first.
    """

    key_id: uuid.UUID
    lease: int
    asked: IdempotencyKey
    is_takeover: bool = False
    response_status: int | None = None
    response_body: Any = None


def key_claim(*, caller_id: uuid.UUID, key: str, fingerprint: str) -> Claim:
    """Claim ``key`` for the request with this ``fingerprint``.

    Raises IdempotencyKeyReused (another request had it) and IdempotencyInProgress (the first one
    is still running).
    """
    key_hash = hashlib.sha256(key.encode()).hexdigest()
    record = IdempotencyKey(
        caller_id=caller_id,
        key_hash=key_hash,
        fingerprint=fingerprint,
        claimed_at=clock.now(),
    )
    try:
        with atomic():
            record.save(force_insert=True)
    except IntegrityError:
        return _claim_existing(caller_id, key_hash, fingerprint)
    return Claim(key_id=record.id, lease=record.lease, asked=record)


def _claim_existing(caller_id: uuid.UUID, key_hash: str, fingerprint: str) -> Claim:
    record = IdempotencyKey.objects.filter(caller_id=caller_id, key_hash=key_hash).first()
    if record is None:
        # Freed between our insert and our look: the client may simply ask again.
        raise IdempotencyInProgress
    now = clock.now()
    if record.claimed_at < now - KEPT_FOR:
        record.delete()
        return key_claim_again(record, fingerprint)
    if record.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    if record.completed_at is not None:
        return Claim(
            key_id=record.id,
            lease=record.lease,
            asked=record,
            response_status=record.response_status,
            response_body=record.response_body,
        )
    if record.claimed_at > now - LEASE:
        raise IdempotencyInProgress
    taken = IdempotencyKey.objects.filter(
        id=record.id, lease=record.lease, completed_at=None
    ).update(lease=F("lease") + 1, claimed_at=now)
    if not taken:
        raise IdempotencyInProgress
    return Claim(key_id=record.id, lease=record.lease + 1, asked=record, is_takeover=True)


def key_claim_again(old: IdempotencyKey, fingerprint: str) -> Claim:
    """Claim a key whose 24 hours are over as if it had never been used."""
    fresh = IdempotencyKey(
        caller_id=old.caller_id,
        key_hash=old.key_hash,
        fingerprint=fingerprint,
        claimed_at=clock.now(),
    )
    try:
        with atomic():
            fresh.save(force_insert=True)
    except IntegrityError as error:
        raise IdempotencyInProgress from error
    return Claim(key_id=fresh.id, lease=fresh.lease, asked=fresh)


def key_complete(claim: Claim, *, response_status: int, response_body: Any) -> None:
    """Keep the answer, unless another holder took the key over meanwhile."""
    answered = claim.asked
    answered.completed_at = clock.now()
    answered.response_status, answered.response_body = response_status, response_body
    IdempotencyKey.objects.filter(id=claim.key_id, lease=claim.lease, completed_at=None).update(
        completed_at=answered.completed_at,
        response_status=response_status,
        response_body=response_body,
        mac=row_mac(MAC_KIND, claim.key_id, answer_facts(answered)),
    )


def answer_facts(key: Any) -> dict[str, Any]:
    """What a kept answer's digest binds: who asked for what, and what they were told when."""
    return {
        "caller_id": key.caller_id,
        "key_hash": key.key_hash,
        "fingerprint": key.fingerprint,
        "completed_at": key.completed_at,
        "response_status": key.response_status,
        "response_body": json.dumps(key.response_body, sort_keys=True),
    }


def key_doubt(claim: Claim) -> None:
    """Let the next holder in at once, but as one that has to look for the effect first.

    The COMMIT was not answered, or the holder before this one may still be at work: a unit may
    yet become visible. Its row carries the key's id, which is unique, so neither order of events
    can lead to a second effect.
    """
    IdempotencyKey.objects.filter(id=claim.key_id, lease=claim.lease, completed_at=None).update(
        claimed_at=clock.now() - LEASE
    )


def key_release(claim: Claim) -> None:
    """Free the key: asked again, the request may be answered otherwise."""
    IdempotencyKey.objects.filter(id=claim.key_id, lease=claim.lease, completed_at=None).delete()


def guard_purge() -> int:
    """Delete keys and counters past their time, in bounded batches; returns how many keys."""
    RateCounter.objects.filter(expires_at__lt=int(time.time())).delete()
    purged = 0
    while True:
        ids = list(
            IdempotencyKey.objects.filter(claimed_at__lt=clock.now() - KEPT_FOR)
            .order_by("claimed_at")
            .values_list("id", flat=True)[:PURGE_BATCH]
        )
        purged += IdempotencyKey.objects.filter(id__in=ids).delete()[0]
        if len(ids) < PURGE_BATCH:
            return purged


@dataclass(frozen=True)
class Hit:
    count: int
    window_ends_in_seconds: int


def hit_count(*, scope: str, identity: str, window_seconds: int = 60) -> Hit:
    """Count one hit of ``identity`` in the running window, exactly, and return the count.

    Redis counts where the cache is Redis, and the database where it is not or is away. When
    neither can, the request goes through with a count of 0: limits protect the service, they must
    not stop it.
    """
    now = int(time.time())
    window = now // window_seconds
    ends_at = (window + 1) * window_seconds
    bucket = hashlib.sha256(f"{scope}|{identity}|{window}".encode()).hexdigest()
    try:
        count = _count(bucket, ends_at, timeout_seconds=window_seconds * 2)
    except Exception:
        logger.exception("rate_counter_unavailable")
        count = 0
    return Hit(count=count, window_ends_in_seconds=ends_at - now)


def _count(bucket: str, ends_at: int, *, timeout_seconds: int) -> int:
    location = settings.CACHES["default"].get("LOCATION", "")
    if "redis" in settings.CACHES["default"]["BACKEND"].lower():
        # One server counts: among several, each would know a part of the hits.
        first = location if isinstance(location, str) else location[0]
        # Without it money paths go on: the database counts, from 0 for the rest of the window.
        with contextlib.suppress(CounterAway):
            return count_in_redis(first, f"rate:{bucket}", expires_in_seconds=timeout_seconds)
    return _count_in_database(bucket, ends_at)


def _count_in_database(bucket: str, ends_at: int) -> int:
    for _attempt in range(COUNT_ATTEMPTS_MAX - 1):
        try:
            return _count_once(bucket, ends_at)
        except OperationalError as error:
            # Inside a transaction the whole unit would have to run again.
            if not is_retryable(error) or connection.in_atomic_block:
                raise
            drop_lost_connection(error)
    return _count_once(bucket, ends_at)


def _count_once(bucket: str, ends_at: int) -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(
                "INSERT INTO rate_counters (bucket, hits, expires_at)"
                " VALUES (%s, LAST_INSERT_ID(1), %s)"
                " ON DUPLICATE KEY UPDATE hits = LAST_INSERT_ID(hits + 1)",
                [bucket, ends_at],
            )
            cursor.execute("SELECT LAST_INSERT_ID()")
        else:
            cursor.execute(
                "INSERT INTO rate_counters (bucket, hits, expires_at) VALUES (%s, 1, %s)"
                " ON CONFLICT (bucket) DO UPDATE SET hits = hits + 1 RETURNING hits",
                [bucket, ends_at],
            )
        return int(cursor.fetchone()[0])
