"""The conformance script tells a good receiver from bad ones."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tcmpay_client import NotVerified, verify

from clients.conformance import main

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@contextmanager
def receiver(answer: Any) -> Iterator[str]:
    """A platform's endpoint: ``answer`` of headers and body is the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answer(dict(self.headers), body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def good(headers: dict[str, str], body: bytes) -> int:
    try:
        verify(SECRET, headers, body)
    except NotVerified:
        return 400
    return 204


def believes_all(headers: dict[str, str], body: bytes) -> int:
    return 200


def forgets_the_time(headers: dict[str, str], body: bytes) -> int:
    try:
        verify(SECRET, headers, body, tolerance_seconds=10**9)
    except NotVerified:
        return 400
    return 200


def knows_few_types(headers: dict[str, str], body: bytes) -> int:
    status = good(headers, body)
    is_known = json.loads(body).get("type") in {"order.paid", "order.created"}
    return status if is_known else 422


def stumbles(headers: dict[str, str], body: bytes) -> int:
    return 500


FAILS: dict[Any, list[str]] = {
    good: [],
    believes_all: [
        "another secret",
        "changed on the way",
        "an hour ago",
        "without a signature",
        "without its moment",
    ],
    forgets_the_time: ["an hour ago"],
    knows_few_types: ["a type that it does not know"],
    stumbles: [""] * 9,
}


@pytest.mark.parametrize("platform", FAILS, ids=lambda one: one.__name__)
def test_it_fails_what_a_receiver_does_wrong(platform, capsys):
    with receiver(platform) as address:
        status = main(["--webhook", address, "--secret", SECRET])
    lines = capsys.readouterr().out.splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    assert len(failed) == len(FAILS[platform])
    for line, what in zip(failed, FAILS[platform], strict=True):
        assert what in line
    assert status == (1 if failed else 0)
    assert lines[-1] == f"{9 - len(failed)} passed, {len(failed)} failed"


def test_a_platform_that_is_away_fails_every_check(capsys):
    assert main(["--webhook", "http://127.0.0.1:9/", "--secret", SECRET]) == 1
    assert "0 passed, 9 failed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--webhook", "http://x"], ["--base", "http://x"]])
def test_half_of_what_a_part_needs_is_refused(arguments):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
