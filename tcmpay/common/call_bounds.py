"""One bound for a whole call to the outside: connecting, TLS, headers and body together.

A socket's timeout is for one read: a peer that drips a byte now and then, or says ``100 Continue``
for ever, never meets it. Inside ``bounded`` every read and write of this thread's connections gets
what is left of the call's time, and bytes are counted from the first header on.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context


class Bounds:
    """What is left of a call."""

    def __init__(self, *, seconds: float, bytes_max: int) -> None:
        self._deadline = time.monotonic() + seconds
        self._bytes_left = bytes_max

    @property
    def is_time_over(self) -> bool:
        return time.monotonic() >= self._deadline

    def seconds_left(self, seconds: float | None) -> float:
        """``seconds`` (None: for ever), or what is left when that is less.

        Raises:
            TimeoutError: nothing is left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole call took too long")
        return left if seconds is None else min(seconds, left)

    def received(self, count: int) -> None:
        """Raises OSError once more came than was allowed."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise OSError("the answer is too long")


class _Calls(threading.local):
    """A connection is used by one thread at a time, so the bounds of its call are the thread's."""

    bounds: Bounds | None = None


_calls = _Calls()


@contextmanager
def bounded(*, seconds: float, bytes_max: int) -> Iterator[Bounds]:
    """Bound whatever this thread sends and receives inside, by ``seconds`` and bytes received."""
    before = _calls.bounds
    _calls.bounds = Bounds(seconds=seconds, bytes_max=bytes_max)
    try:
        yield _calls.bounds
    finally:
        _calls.bounds = before


def seconds_left(seconds: float | None) -> float | None:
    """How long the next step may take where a single one may take ``seconds``.

    Raises:
        TimeoutError: the time of the call is over.
    """
    return _calls.bounds.seconds_left(seconds) if _calls.bounds else seconds


class BoundedSocket(socket.socket):
    """A socket that asks before each step how long it may still take."""

    _step_seconds: float | None = None

    def settimeout(self, value: float | None, /) -> None:
        self._step_seconds = value
        super().settimeout(value)

    def _begin_step(self) -> None:
        if self._step_seconds != 0:  # zero: not blocking, so nothing is waited for
            super().settimeout(seconds_left(self._step_seconds))

    def connect(self, address: Any, /) -> None:
        self._begin_step()
        super().connect(address)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._begin_step()
        count = super().recv_into(*args, **kwargs)
        if _calls.bounds:
            _calls.bounds.received(count)
        return count

    def send(self, *args: Any, **kwargs: Any) -> int:
        self._begin_step()
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._begin_step()
        super().sendall(*args, **kwargs)


class _BoundedTlsSocket(BoundedSocket, ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        self._begin_step()
        super().do_handshake(block)


def tls_context(ca_file: str) -> ssl.SSLContext:
    """For clients: the certificates of ``ca_file`` are believed, names are checked, and sockets
    are bounded."""
    context = create_urllib3_context()
    context.load_verify_locations(ca_file)
    context.sslsocket_class = _BoundedTlsSocket
    return context
