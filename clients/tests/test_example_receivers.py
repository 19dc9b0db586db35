"""The printed receivers of webhooks: what a peer on the network can do to them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tcmpay_client.webhooks import sign

from tests.servers import free_port

ROOT = Path(__file__).parents[2]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PORT = "PORT"
RECEIVERS = {
    "clients-python": [sys.executable, "clients/examples/webhook_receiver.py", PORT, SECRET],
    "clients-node": ["node", "clients/examples/webhook_receiver.mjs", PORT, SECRET],
    "docs-python": [sys.executable, "docs/examples/webhook_receiver.py", "serve", PORT],
    "docs-node": ["node", "docs/examples/webhook_receiver.mjs", "serve", PORT],
}
EVENT = {
    "id": "0192f0c1-0000-7000-8000-000000000e01",
    "type": "order.paid",
    "object_type": "order",
    "object_id": "0192f0c1-0000-7000-8000-000000000f01",
    "object_version": 2,
    "data": {"status": "paid"},
}
BODY_BYTES_MAX = 1 << 20


@dataclass
class Running:
    port: int
    process: subprocess.Popen[str]
    name: str

    def line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def status(self, head: str, body: bytes = b"") -> int | None:
        """What is answered; None: the line was cut."""
        with self.line() as line:
            try:
                line.sendall(f"POST /webhooks HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + body)
                answer = line.recv(4096)
            except ConnectionError:
                return None
        return int(answer.split(b" ")[1]) if answer else None

    def takes(self) -> bool:
        """An event of ours is taken, so it lives."""
        body, stamp = json.dumps(EVENT).encode(), int(time.time())
        signature = sign(SECRET, "msg_1", stamp, body)
        head = (
            f"webhook-id: msg_1\r\nwebhook-timestamp: {stamp}\r\n"
            f"webhook-signature: {signature}\r\nContent-Length: {len(body)}\r\n"
        )
        return self.status(head, body) == 200

    def ended(self) -> tuple[str, str]:
        """Its output and its errors."""
        self.process.terminate()
        return self.process.communicate(timeout=60)


@pytest.fixture(params=RECEIVERS)
def running(request, tmp_path) -> Iterator[Running]:
    command = RECEIVERS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip("node is not installed")
    port = free_port()
    process = subprocess.Popen(
        [str(port) if word == PORT else word for word in command],
        cwd=ROOT,
        env={**os.environ, "WEBHOOK_SECRET": SECRET, "DATABASE": str(tmp_path / "objects")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    receiver = Running(port, process, request.param)
    try:
        for _try in range(1200):
            try:
                receiver.line().close()
                break
            except OSError:
                time.sleep(0.05)
        yield receiver
    finally:
        process.kill()
        process.communicate()


def test_nothing_on_the_line_ends_it_or_makes_it_wait(running):
    with running.line() as dropped:
        dropped.sendall(b"POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    for length in ("-1", "abc", "9" * 5000):
        assert running.status(f"Content-Length: {length}\r\n") == 400, length
    head = "Transfer-Encoding: chunked\r\n" if "node" in running.name else ""
    head = head or f"Content-Length: {BODY_BYTES_MAX + 1}\r\n"
    chunk = f"{BODY_BYTES_MAX + 1:x}\r\n".encode() + b"x" * (BODY_BYTES_MAX + 1)
    assert running.status(head, chunk) in (400, None)
    odd = "webhook-id: x\r\nwebhook-timestamp: \u00b2\r\nwebhook-signature: v1,x\r\n"
    assert running.status(f"{odd}Content-Length: 0\r\n") in (400, 401)
    assert running.takes()
    printed, errors = running.ended()
    assert errors == ""
    if running.name.startswith("clients"):
        assert printed == f"order.paid order {EVENT['object_id']} version 2\n"
