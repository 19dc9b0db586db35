"""The stand-in runs over real HTTP; every test has its own orders, so they don't disturb others."""

from __future__ import annotations

import json
import random
import shutil
import socket
import threading
from contextlib import contextmanager

import pytest

from simulator.options import Options
from simulator.server import close_server, open_server
from simulator.tests.clients import AlipayClient, Config, Listener, WechatClient, send

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


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory):
    """Keys take a second to make: once for all stand-ins of the run."""
    directory = tmp_path_factory.mktemp("keys")
    with running(directory):
        pass
    for file in directory.glob("simulator.sqlite3*"):
        file.unlink()
    return directory


@pytest.fixture(scope="session")
def start(made_keys, tmp_path_factory):
    def start_one(**options):
        directory = tmp_path_factory.mktemp("run")
        shutil.copytree(made_keys, directory, dirs_exist_ok=True)
        return running(directory, **options)

    return start_one


@pytest.fixture(scope="session")
def calm_stand_in(start):
    with start() as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(calm_stand_in):
    calm_stand_in.control("settings", **CALM)
    calm_stand_in.control("faults", clear=True)
    yield calm_stand_in
    calm_stand_in.control("faults", clear=True)
    calm_stand_in.control("settings", **CALM)


@pytest.fixture(scope="session")
def mixed(start):
    with start(sign_mode="mixed", notify_factor=0.002, refund_delay_seconds=0.05) as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def listener():
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture(scope="session")
def wechat(calm_stand_in):
    return WechatClient(calm_stand_in.config)


@pytest.fixture(scope="session")
def alipay(calm_stand_in):
    return AlipayClient(calm_stand_in.config)


@pytest.fixture
def paid(stand_in, wechat):
    """A paid WeChat order of 30 yuan."""
    order = wechat.order()
    assert wechat.prepay(order).status == 200
    answer = stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
    assert answer["paid"] is True
    return order


@pytest.fixture
def alipay_paid(stand_in, alipay):
    """A paid Alipay order of 30 yuan."""
    order = alipay.order()
    address = alipay.address("alipay.trade.page.pay", order)
    answer = stand_in.control(
        "pay", channel="alipay", out_trade_no=order["out_trade_no"], url=address
    )
    assert answer["paid"] is True
    return order
