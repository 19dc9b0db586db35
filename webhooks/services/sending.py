"""One call to an endpoint: guarded, bounded, verified by TLS, no redirects; and its answer's start.

Nothing here touches the database: calls are made by threads of their own.
"""

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import certifi
import urllib3
from django.conf import settings
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from tcmpay.common.addresses import is_loopback_url
from tcmpay.common.call_bounds import Bounds, bounded, tls_context
from tcmpay.common.egress import guard
from tcmpay.common.redaction import STARS, redacted_text
from tcmpay.version import __version__
from webhooks.signing import SECRET_PREFIX, signed_headers
from webhooks.states import TryProblem

CONNECT_SECONDS, READ_SECONDS = 3.0, 8.0
CALL_SECONDS_MAX = 10.0  # name, connection, TLS, headers and body together
ANSWER_BYTES_MAX = 2048  # kept of an answer; the rest is not read
HEAD_BYTES_MAX = 1 << 16
CUT_MIN = 7  # fewer letters of a secret tell nothing
# What a receiver may ask us to wait, at the most.
RETRY_AFTER_MAX = timedelta(hours=24)
MAY_ASK_TO_WAIT = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent where; ``keys`` are secrets, so that none of it is ever printed."""

    url: str
    id: str
    body: bytes
    keys: Sequence[str]

    def __repr__(self) -> str:
        return f"<message {self.id}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a call ended. ``retry_after``: how long the receiver asked us to wait, within bounds."""

    http_status: int | None = None
    problem: TryProblem = TryProblem.NONE
    text: str = ""
    took_ms: int = 0
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return self.http_status is not None and 200 <= self.http_status < 300


@cache
def _pool(is_loopback_allowed: bool, ca_file: str) -> urllib3.PoolManager:
    """Connections are kept per endpoint; safe to share by threads."""
    pool = urllib3.PoolManager(
        num_pools=32,
        maxsize=16,
        retries=False,
        ssl_context=tls_context(ca_file),
        timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    )
    return guard(pool, is_loopback_allowed=is_loopback_allowed)


def message_send(message: Message) -> Answer:
    """Sign ``message`` and send it once; never raises for what a peer does.

    Signed as of this host's clock: receivers compare it with theirs.
    """
    moment = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tcmpay/{__version__}",
        "Accept-Encoding": "identity",
        **signed_headers(message.id, message.body, keys=message.keys, moment=moment),
    }
    started = time.monotonic()
    with bounded(seconds=CALL_SECONDS_MAX, bytes_max=ANSWER_BYTES_MAX + HEAD_BYTES_MAX) as bounds:
        try:
            answer = _call(message, headers)
        except (HTTPError, OSError, ValueError) as error:
            answer = {"problem": _problem(error, bounds)}
    return Answer(took_ms=int((time.monotonic() - started) * 1000), **answer)


def _call(message: Message, headers: dict[str, str]) -> dict[str, Any]:
    pool = _pool(settings.DEBUG and is_loopback_url(message.url), certifi.where())
    response = pool.request(
        "POST",
        message.url,
        body=message.body,
        headers=headers,
        redirect=False,
        preload_content=False,
    )
    try:
        begun = _begun(response)
    finally:
        # An unread rest must not be taken for the next answer on this connection.
        response.close()
    return {
        "http_status": response.status,
        "text": _kept(begun.decode("utf-8", "replace").replace("\x00", "�"), message, headers),
        "retry_after": _retry_after(response),
    }


def _kept(text: str, message: Message, headers: dict[str, str]) -> str:
    """An answer's beginning without secrets: none of this call's own either, however it looks."""
    macs = [part.partition(",")[2] for part in headers["webhook-signature"].split()]
    for secret in (*(key.removeprefix(SECRET_PREFIX) for key in message.keys), *macs):
        text = text.replace(secret, STARS)
        # Where the beginning ends within one.
        for length in range(len(secret) - 1, CUT_MIN, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + STARS
                break
    return redacted_text(text)


def _begun(response: urllib3.BaseHTTPResponse) -> bytes:
    """How the body begins. That a receiver sends no more of it, or too much, changes nothing: its
    status is there."""
    begun = b""
    try:
        for chunk in response.stream(ANSWER_BYTES_MAX):
            begun += chunk
            if len(begun) >= ANSWER_BYTES_MAX:
                break
    except (HTTPError, OSError, ValueError):
        pass
    return begun[:ANSWER_BYTES_MAX]


def _retry_after(response: urllib3.BaseHTTPResponse) -> timedelta | None:
    text = response.headers.get("Retry-After", "").strip()
    if response.status not in MAY_ASK_TO_WAIT or not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 9:
        asked = timedelta(seconds=int(text))
    else:
        try:
            until = parsedate_to_datetime(text)
            asked = until - datetime.now(until.tzinfo)
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(asked, timedelta(0)), RETRY_AFTER_MAX)


def _problem(error: Exception, bounds: Bounds) -> TryProblem:
    if isinstance(error, SSLError | ssl.SSLError):
        return TryProblem.TLS
    if bounds.is_time_over:
        return TryProblem.TIMEOUT
    if isinstance(error, NewConnectionError):
        # The guard says why: it can't be looked up, or it lies in our network (egress.py).
        is_private = "private network" in str(error)
        return (
            TryProblem.ADDRESS
            if is_private or error.__cause__ is not None
            else TryProblem.CONNECTION
        )
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return TryProblem.TIMEOUT
    return (
        TryProblem.CONNECTION if isinstance(error, OSError | ProtocolError) else TryProblem.ANSWER
    )
