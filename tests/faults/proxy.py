"""A TCP proxy on the line between two processes, to cut, delay or silence it."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

from tests.servers import free_port

CHUNK_BYTES = 1 << 16
CONNECT_SECONDS = 5.0
TICK_SECONDS = 0.1
# SO_LINGER with no time: close() sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# A client's packet in MySQL's protocol: length (3), number (1), COM_QUERY, text.
COMMIT_PACKET = b"\x07\x00\x00\x00\x03COMMIT"

Filter = Callable[[bytes], bool]
Address = tuple[str, int]


def is_commit(chunk: bytes) -> bool:
    """Whether a client of MariaDB asks to commit."""
    return chunk[:5] == COMMIT_PACKET[:5] and chunk[5:].upper() == b"COMMIT"


class Proxy:
    """Listens on a port of its own and passes everything on to ``target`` (a port, or an address).

    ``delay_seconds`` holds every chunk back; ``is_hole`` keeps connections open and passes nothing
    (a half-open line); ``is_refusing`` resets every new connection.
    """

    def __init__(self, target: int | Address, *, name: str, host: str = "127.0.0.1") -> None:
        self.target = address_of(target)
        self.name = name
        self.delay_seconds = 0.0
        self.is_hole = False
        self.is_refusing = False
        self.swallowed = 0
        self._swallow: Filter | None = None
        self._swallow_left = 0
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self.port = free_port()
        self._listener = socket.create_server((host, self.port), backlog=256)
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True, name=f"proxy {name}").start()

    def cut(self) -> int:
        """Reset all open connections; how many there were."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.reset()
        return len(lines)

    def swallow_answers(self, to: Filter, *, times: int) -> None:
        """Pass on the next ``times`` chunks that ``to`` picks; keep what is answered, and cut."""
        with self._lock:
            self._swallow, self._swallow_left = to, times

    def heal(self) -> None:
        """As if nothing had ever been: new connections pass, silenced ones are cut."""
        was_hole = self.is_hole
        self.delay_seconds = 0.0
        self.is_hole = self.is_refusing = False
        self.swallow_answers(lambda _chunk: False, times=0)
        if was_hole:
            self.cut()

    def switch(self, target: int | Address) -> None:
        """Lead to another server from now on; what leads to the former one is cut."""
        self.target = address_of(target)
        self.cut()

    def connect(self) -> socket.socket:
        """To the target. Raises OSError."""
        return socket.create_connection(self.target, timeout=CONNECT_SECONDS)

    def close(self) -> None:
        self._is_closed = True
        self._listener.close()
        self.cut()

    def takes_answer(self, chunk: bytes) -> bool:
        """Whether the answer to this chunk is to be swallowed."""
        with self._lock:
            if self._swallow_left < 1 or self._swallow is None or not self._swallow(chunk):
                return False
            self._swallow_left -= 1
            self.swallowed += 1
            return True

    def forget(self, line: "Line") -> None:
        with self._lock:
            self._lines.discard(line)

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            if self.is_refusing:
                reset(client)
                continue
            line = Line(self, client)
            with self._lock:
                self._lines.add(line)
            threading.Thread(target=line.run, daemon=True).start()


class Line:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server: socket.socket | None = None
        self._is_swallowing = False

    def run(self) -> None:
        try:
            self._server = self._proxy.connect()
            self._server.settimeout(None)
            for end in (self._client, self._server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # nobody there, or cut meanwhile
            self.reset()
            return
        back = threading.Thread(target=self._pass, args=(self._server, self._client), daemon=True)
        back.start()
        self._pass(self._client, self._server)
        back.join()
        self._proxy.forget(self)

    def reset(self) -> None:
        for end in (self._client, self._server):
            if end is not None:
                reset(end)
        self._proxy.forget(self)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                if self._proxy.delay_seconds:
                    time.sleep(self._proxy.delay_seconds)
                while self._proxy.is_hole:
                    time.sleep(TICK_SECONDS)
                if source is self._client and self._proxy.takes_answer(chunk):
                    self._is_swallowing = True
                elif self._is_swallowing:
                    return self.reset()  # the deed is done, and nobody hears of it
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()
        return None


def address_of(target: int | Address) -> Address:
    return ("127.0.0.1", target) if isinstance(target, int) else target


def reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    # shutdown wakes a thread that waits in recv; close alone would not.
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        end.close()
