"""A receiver on this machine: it keeps what it gets, and answers as a test wants."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import time_machine
from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    came_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(frozen=True)
class Says:
    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)


Answering = Callable[[Got], Says | None]


class Receiver:
    """``answer`` may be replaced at any time; None: the line is cut after the deed."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answer: Answering = lambda _got: Says()
        self._lock = threading.Lock()
        self.url = ""

    def take(self, got: Got) -> Says | None:
        with self._lock:
            self.got.append(got)
        return self.answer(got)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [got.event for got in self.got]

    def of(self, object_id: object) -> list[int]:
        """The versions of one object, as they came."""
        return [
            event["object_version"] for event in self.events if event["object_id"] == str(object_id)
        ]

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """What came, by the library that receivers use, each when it came: they take nothing that
        is minutes old. Raises WebhookVerificationError."""
        found = []
        for got in self.got:
            with time_machine.travel(got.came_at, tick=False):
                found.append(Webhook(secret).verify(got.body, got.headers))
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet, or the line waits for each
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        says = self.receiver.take(Got(dict(self.headers.items()), body))
        if says is None:
            self.close_connection = True
            return
        try:
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            self.wfile.write(says.body)
        except OSError:
            pass  # whoever asked has gone

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        pass


@contextmanager
def listening(
    *, certificate: tuple[str, str] | None = None, host: str = "127.0.0.1"
) -> Iterator[Receiver]:
    """A receiver that listens; over TLS with ``certificate`` (files of certificate and key)."""
    receiver = Receiver()
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = _Server(("127.0.0.1", 0), handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    receiver.url = f"{scheme}://{host}:{server.server_address[1]}/hooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
