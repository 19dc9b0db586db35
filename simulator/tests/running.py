"""A stand-in in a thread of the test's process, spoken to over HTTP."""

from __future__ import annotations

import json
import random
import socket
import threading
from contextlib import contextmanager

from simulator.options import Options
from simulator.server import close_server, open_server
from simulator.tests.clients import Config, send

CALM = {
    "notify_factor": 0.002,
    "spacing_factor": 0,
    "refund_delay_seconds": 0.05,
    "refund_outcome": "SUCCESS",
    "alipay_refund_async": False,
    "merchant_short": False,
    "statement_creating": False,
    "hold_notices": False,
    "console_refund_notify_url": "",
    "alipay_certificate": "current",
    "h5_refuses_loopback": False,
}


def free_port():
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class StandIn:
    def __init__(self, server, directory):
        self.server = server
        self.machine = server.machine
        self.base_url = server.machine.base_url
        self.config = Config(directory)

    def control(self, name, **body):
        answer = send(self.base_url, "POST", f"/_control/{name}", json.dumps(body).encode())
        return answer.json | {"status_code": answer.status}

    def shown(self, name):
        return send(self.base_url, "GET", f"/_control/{name}").json

    def get(self, target):
        return send(self.base_url, "GET", target)


@contextmanager
def running(directory, **options):
    server = open_server(
        Options(port=options.pop("port", None) or free_port(), directory=directory, **options)
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield StandIn(server, directory)
    finally:
        close_server(server)
