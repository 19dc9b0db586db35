"""Events that the service delivers: is a message from it, and from now? (Standard Webhooks)"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from tcmpay_client._operations import DECIMAL_FIELDS
from tcmpay_client.money import with_decimals

TOLERANCE_SECONDS = 300


class Event(TypedDict):
    """Of several about one object only the one with the highest ``object_version`` counts: drop
    what is older than what you have, and what you have already (``id``)."""

    id: str
    sequence: int | None
    type: str
    created_at: str
    object_type: str
    object_id: str
    object_version: int
    data: dict[str, Any]


class NotVerified(ValueError):
    """Answer 400 and do nothing. ``reason``: missing, malformed, too_old, too_new, signature."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def verify(
    secrets: str | Iterable[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Event:
    """The event in ``body``, the bytes exactly as they came. While a secret is being replaced give
    both. Raises NotVerified.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    message_id, stamp, signatures = (
        lowered.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not (message_id and stamp and signatures):
        raise NotVerified("missing")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise NotVerified("malformed")
    age = (time.time() if now is None else now) - int(stamp)
    if abs(age) > tolerance_seconds:
        raise NotVerified("too_old" if age > 0 else "too_new")
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    expected = [sign(secret, message_id, int(stamp), body) for secret in known]
    given = [one for one in signatures.split(" ") if one.startswith("v1,")]
    # Every pair is compared, in constant time each.
    matches = [
        hmac.compare_digest(ours.encode(), _bytes_of(theirs))
        for ours in expected
        for theirs in given
    ]
    if not any(matches):
        raise NotVerified("signature")
    try:
        event = json.loads(body)
    except ValueError as error:
        raise NotVerified("malformed") from error
    if not isinstance(event, dict):
        raise NotVerified("malformed")
    told: Event = with_decimals(event, DECIMAL_FIELDS)
    return told


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one message under one secret (``whsec_…``). Raises ValueError: no secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a webhook's secret is whsec_ and base64") from error
    content = _bytes_of(f"{message_id}.{timestamp}.") + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _bytes_of(header: str) -> bytes:
    """Half a character, which no header of ours has, is no error: the signature doesn't fit."""
    return header.encode(errors="surrogatepass")
