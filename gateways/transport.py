"""HTTP to the gateways: explicit timeouts, bounded answers, no redirects, no retries.

The SDKs use ``requests`` and ``urlopen``, which follow the proxies of the environment and
redirects, wait without a total bound and open a new connection per call. urllib3's pool (which
requests itself stands on) does none of these when told so, and is safe to share by threads; the
total bound is ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO

import certifi
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    LocationValueError,
    NewConnectionError,
)

from gateways.errors import GatewayUnavailable, GatewayUnknown
from tcmpay.common.addresses import is_loopback_url
from tcmpay.common.call_bounds import Bounds, bounded, tls_context
from tcmpay.common.egress import guard

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
CALL_SECONDS_MAX = 15.0  # name, connection, TLS, headers and body together
HEAD_BYTES_MAX = 1 << 18
ANSWER_BYTES_MAX = 1 << 20
BILL_BYTES_MAX = 512 << 20
BILL_SECONDS_MAX = 300.0
_CHUNK_BYTES = 1 << 16

# Raised before a byte of the request left: nothing can have happened at the gateway.
_NEVER_SENT = (NewConnectionError, ConnectTimeoutError, LocationParseError, LocationValueError)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


def transport_to(base_url: str) -> "Transport":
    """The transport for a gateway at ``base_url``: this machine is reached only if that is there,
    which only a stand-in is."""
    return Transport(is_loopback_allowed=is_loopback_url(base_url))


class Transport:
    """A pool of connections for one gateway. ``clock_skew_seconds`` is for the doctor's eyes:
    how far the last answer's Date was from our clock."""

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        call_seconds_max: float = CALL_SECONDS_MAX,
        connections_max: int = 8,
        is_loopback_allowed: bool = False,
    ) -> None:
        self._call_seconds_max = call_seconds_max
        pool = urllib3.PoolManager(
            num_pools=4,
            maxsize=connections_max,
            retries=False,
            ssl_context=tls_context(certifi.where()),
            timeout=urllib3.Timeout(connect=connect_seconds, read=read_seconds),
        )
        # Addresses of bills come from answers: none of them may lead into our own network.
        self._pool = guard(pool, is_loopback_allowed=is_loopback_allowed)
        self.clock_skew_seconds: float | None = None

    def send(
        self, verb: str, url: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """One request, its whole answer in memory. Raises GatewayUnknown, GatewayUnavailable."""
        chunks: list[bytes] = []
        status, answer_headers = self._exchange(
            verb, url, headers, body, chunks.append, ANSWER_BYTES_MAX, self._call_seconds_max
        )
        return HttpAnswer(status, answer_headers, b"".join(chunks))

    def download(
        self, url: str, sink: IO[bytes], *, headers: Mapping[str, str] | None = None
    ) -> int:
        """GET a file into ``sink``; the HTTP status."""
        status, _headers = self._exchange(
            "GET", url, headers or {}, b"", sink.write, BILL_BYTES_MAX, BILL_SECONDS_MAX
        )
        return status

    def _exchange(
        self,
        verb: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        write: Callable[[bytes], object],
        bytes_max: int,
        seconds_max: float,
    ) -> tuple[int, dict[str, str]]:
        with bounded(seconds=seconds_max, bytes_max=bytes_max + HEAD_BYTES_MAX) as bounds:
            try:
                response = self._pool.request(
                    verb,
                    url,
                    body=body or None,
                    headers={"Accept-Encoding": "identity", **headers},
                    redirect=False,
                    preload_content=False,
                )
            except _NEVER_SENT as error:
                raise GatewayUnavailable(type(error).__name__, code="NOT_CONNECTED") from error
            except (HTTPError, OSError, ValueError) as error:
                raise _unknown(error, bounds) from error
            try:
                _copy(response, write, bytes_max)
            except (HTTPError, OSError, ValueError) as error:
                raise _unknown(error, bounds) from error
            finally:
                # An unread rest must not be taken for the next answer on this connection.
                response.close()
        answer_headers = {name.lower(): value for name, value in response.headers.items()}
        self.clock_skew_seconds = _skew_seconds(answer_headers.get("date", ""))
        return response.status, answer_headers


def _unknown(error: Exception, bounds: Bounds) -> GatewayUnknown:
    code = "ANSWER_TOO_SLOW" if bounds.is_time_over else "TRANSPORT"
    return GatewayUnknown(type(error).__name__, code=code)


def _copy(
    response: urllib3.BaseHTTPResponse,
    write: Callable[[bytes], object],
    bytes_max: int,
) -> None:
    received_bytes = 0
    for chunk in response.stream(_CHUNK_BYTES):
        received_bytes += len(chunk)
        if received_bytes > bytes_max:
            raise GatewayUnknown("answer too long", code="ANSWER_TOO_LONG")
        write(chunk)


def _skew_seconds(date: str) -> float | None:
    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
