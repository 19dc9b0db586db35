"""How long a client may take to send us its request, where no proxy collects it first.

A thread that reads from a client which sends a byte now and then serves nobody else, and a few
such clients hold them all. One watchman per process looks after everybody who is being read from:
nobody is read from longer than ``SECONDS_MAX``, and beyond the first second only the ``SLOW_MAX``
youngest are; of the others the reading side of the connection is closed, which wakes the thread.
"""

import contextlib
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SECONDS_MAX = 30.0
PROMPT_SECONDS = 1.0
SLOW_MAX = 2
_TICK_SECONDS = 0.25

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class IncompleteBody(OSError):
    """Less came than was announced. As an OSError it is Django's UnreadablePostError to views."""


class Reading:
    """One client that is being read from; ``sock`` tells its connection as it is by then."""

    def __init__(self, sock: Callable[[], socket.socket]) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._is_over = False
        self.begun_at = time.monotonic()

    def finish(self) -> None:
        """Everything has come: from now on the connection is left alone."""
        with self._lock:
            self._is_over = True
        watchman.forget(self)

    def cut(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            with contextlib.suppress(OSError):
                self._sock().shutdown(socket.SHUT_RD)


class Watchman:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readings: OrderedDict[Reading, None] = OrderedDict()  # the oldest first
        self._is_on_duty = False

    def watch(self, sock: Callable[[], socket.socket]) -> Reading:
        reading = Reading(sock)
        with self._changed:
            self._readings[reading] = None
            if not self._is_on_duty:
                self._is_on_duty = True
                threading.Thread(target=self._patrol, name="reading-time", daemon=True).start()
            self._changed.notify()
        return reading

    def forget(self, reading: Reading) -> None:
        with self._changed:
            self._readings.pop(reading, None)

    def _patrol(self) -> None:
        while True:
            with self._changed:
                while not self._readings:
                    self._changed.wait()
                overdue = self._overdue(time.monotonic())
                for reading in overdue:
                    del self._readings[reading]
            for reading in overdue:
                reading.cut()
            time.sleep(_TICK_SECONDS)

    def _overdue(self, now: float) -> list[Reading]:
        slow = [one for one in self._readings if now - one.begun_at >= PROMPT_SECONDS]
        surplus = max(0, len(slow) - SLOW_MAX)
        return [
            one
            for place, one in enumerate(slow)
            if place < surplus or now - one.begun_at >= SECONDS_MAX
        ]


watchman = Watchman()


class _Current(threading.local):
    """The reading that this thread's server has begun, with the head of the request."""

    reading: Reading | None = None


_current = _Current()


@contextlib.contextmanager
def head_watched(sock: Callable[[], socket.socket]) -> Iterator[None]:
    """For a server: watch from the first byte of the head; ``BodyWatched`` takes over."""
    reading = _current.reading = watchman.watch(sock)
    try:
        yield
    finally:
        _current.reading = None
        reading.finish()


class BodyWatched:
    """WSGI: what an application reads of a body is watched, and is complete or an error."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = _length(environ)
        reading = _current.reading
        if reading is None and length and "gunicorn.socket" in environ:
            reading = watchman.watch(lambda: environ["gunicorn.socket"])
        if reading is None or not length:
            if reading:
                reading.finish()
            return self._application(environ, start_response)
        environ["wsgi.input"] = _Body(environ["wsgi.input"], length, reading)
        try:
            return self._application(environ, start_response)
        finally:
            reading.finish()


def _length(environ: Environ) -> int:
    text = environ.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else 0


class _Body:
    """The body's bytes, counted: a form that was cut off must not pass for a whole one."""

    def __init__(self, source: Any, length: int, reading: Reading) -> None:
        self._source = source
        self._left = length
        self._reading = reading

    def read(self, size: int | None = None) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        return self._counted(self._source.read(wanted), wanted)

    def readline(self, size: int | None = None) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        line: bytes = self._source.readline(wanted)
        return self._counted(line, len(line) if line.endswith(b"\n") else wanted)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _counted(self, found: bytes, wanted: int) -> bytes:
        self._left -= len(found)
        if len(found) < wanted:
            self._reading.finish()
            raise IncompleteBody("the body ended early")
        if self._left == 0:
            self._reading.finish()
        return found
