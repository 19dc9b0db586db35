"""Clients that never come to the end of their request, at the real web server, without a proxy."""

import contextlib
import http.client
import socket
import sys
import threading
import time

import pytest

from tests.programs import Program, running
from tests.servers import free_port

BOUNDED = "tcmpay.gunicorn_worker.BoundedThreadWorker"
HEAD = (
    b"POST /payment/callback/wechat HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 5000\r\n"
)
SLOW_HEAD, SLOW_BODY = HEAD + b"X-Slow: ", HEAD + b"\r\n{"
CLIENTS = 12  # more than there are threads
ANSWER_SECONDS = 20


@contextlib.contextmanager
def web(folder, worker):
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "tcmpay.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", worker),
        *("--workers", "1", "--threads", "8", "--log-level", "error"),
        *("--graceful-timeout", "1", "--no-control-socket"),
    ]
    environment = {"DATABASE_URL": f"sqlite:///{folder}/web.sqlite3"}
    with running(Program("web", command, folder=folder, environment=environment), port):
        yield port


@contextlib.contextmanager
def slow_clients(port, beginning):
    """They send a byte now and then, for ever, and come again when they are cut off."""
    over, began = threading.Event(), threading.Semaphore(0)

    def drip():
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(beginning)
            began.release()
            while not over.wait(0.1):
                connection.sendall(b"x")

    def come_again():
        while not over.is_set():
            with contextlib.suppress(OSError):
                drip()

    threads = [threading.Thread(target=come_again, daemon=True) for _number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for _number in range(CLIENTS):
        began.acquire()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def is_answered(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("worker", "beginning"),
    [(BOUNDED, SLOW_BODY), (BOUNDED, SLOW_HEAD), ("gthread", SLOW_BODY)],
    ids=["bodies", "heads", "bodies at gunicorn's own worker"],
)
def test_others_are_answered_while_slow_clients_hold_on(tmp_path, worker, beginning):
    with web(tmp_path, worker) as port, slow_clients(port, beginning):
        time.sleep(0.5)  # every thread has one of them by now
        assert [is_answered(port) for _number in range(4)] == [True] * 4
