"""Connections to the outside that never end in our own network.

A name is judged by what it resolves to at the moment of connecting, and the connection is made to
exactly the address that was judged: a name that resolves otherwise a moment later (DNS rebinding),
or an IPv6 address that stands for a private IPv4 one, changes nothing. For urllib3, which the
gateways' transport stands on; whoever calls addresses that were entered by somebody uses it too.
"""

import ipaddress
import socket
import threading
from queue import Empty, SimpleQueue
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from tcmpay.common.addresses import is_public_address
from tcmpay.common.call_bounds import BoundedSocket, seconds_left

# Family, kind, protocol, canonical name and address, as the system's resolver gives them.
Resolved = tuple[int, int, int, str, tuple[Any, ...]]
# What a test or a demo may reach besides the public network.
Reachable = tuple[int, int, int, tuple[Any, ...]]


def reachable_addresses(
    host: str, port: int, *, is_loopback_allowed: bool, seconds: float | None = None
) -> tuple[list[Reachable], bool]:
    """What ``host`` resolves to and may be reached, and whether anything had to be left out."""
    found: list[Reachable] = []
    is_cut = False
    for family, kind, protocol, _name, address in _resolved(host, port, seconds):
        literal = ipaddress.ip_address(str(address[0]).partition("%")[0])
        is_ours = is_loopback_allowed and literal.is_loopback
        if is_ours or is_public_address(literal):
            found.append((family, kind, protocol, address))
        else:
            is_cut = True
    return found, is_cut


def _resolved(host: str, port: int, seconds: float | None) -> list[Resolved]:
    """The system's answer within ``seconds``.

    The resolver has no timeout of its own that a caller could set: a thread of its own waits for
    it, and is left to itself when it takes too long (it ends by the resolver's own bounds).

    Raises:
        OSError: no answer, or none in time.
    """
    answers: SimpleQueue[list[Any] | OSError | UnicodeError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds_left(seconds))
    except Empty:
        raise TimeoutError("the name took too long") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def bounded_connection(host: str, port: int, seconds: float) -> socket.socket:
    """To whatever address ``host`` has, for servers that whoever deploys names. Raises OSError."""
    last: OSError | None = None
    for family, kind, protocol, _name, address in _resolved(host, port, seconds):
        sock = BoundedSocket(family, kind, protocol)
        try:
            sock.settimeout(seconds)
            sock.connect(address)
        except OSError as error:
            sock.close()
            last = error
            continue
        return sock
    raise last or OSError("no address")


def _connect(connection: Any, *, is_loopback_allowed: bool) -> socket.socket:
    host = connection._dns_host.strip("[]")
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else None
    try:
        found, is_cut = reachable_addresses(
            host, connection.port, is_loopback_allowed=is_loopback_allowed, seconds=timeout
        )
    except (OSError, ValueError) as error:
        raise NewConnectionError(connection, f"{type(error).__name__} at {host}") from error
    if not found and is_cut:
        raise NewConnectionError(connection, "the address lies in a private network")
    last: OSError | None = None
    for family, kind, protocol, address in found:
        sock = BoundedSocket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            sock.connect(address)
        except TimeoutError as error:
            sock.close()
            raise ConnectTimeoutError(connection, "connecting took too long") from error
        except OSError as error:
            sock.close()
            last = error
            continue
        return sock
    raise NewConnectionError(connection, type(last).__name__ if last else "no address")


# What traces and error reports would add to a call: strangers need not know how ours hang together.
TRACE_HEADERS = frozenset({"traceparent", "tracestate", "baggage", "sentry-trace"})


class _PublicHttp(HTTPConnection):
    is_loopback_allowed = False

    def _new_conn(self) -> socket.socket:
        return _connect(self, is_loopback_allowed=self.is_loopback_allowed)

    def putheader(self, header: Any, *values: Any) -> None:
        if header.lower() not in TRACE_HEADERS:
            super().putheader(header, *values)


class _PublicHttps(HTTPSConnection):
    is_loopback_allowed = False

    def _new_conn(self) -> socket.socket:
        return _connect(self, is_loopback_allowed=self.is_loopback_allowed)

    def putheader(self, header: Any, *values: Any) -> None:
        if header.lower() not in TRACE_HEADERS:
            super().putheader(header, *values)


class _LocalHttp(_PublicHttp):
    is_loopback_allowed = True


class _LocalHttps(_PublicHttps):
    is_loopback_allowed = True


class _PublicHttpPool(HTTPConnectionPool):
    ConnectionCls = _PublicHttp


class _PublicHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHttps


class _LocalHttpPool(HTTPConnectionPool):
    ConnectionCls = _LocalHttp


class _LocalHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _LocalHttps


def guard(pool: urllib3.PoolManager, *, is_loopback_allowed: bool) -> urllib3.PoolManager:
    """Make ``pool`` connect to public addresses only (and to this machine, where allowed)."""
    if is_loopback_allowed:
        pool.pool_classes_by_scheme = {"http": _LocalHttpPool, "https": _LocalHttpsPool}
    else:
        pool.pool_classes_by_scheme = {"http": _PublicHttpPool, "https": _PublicHttpsPool}
    return pool
