"""The stand-in runs over real HTTP; every test has its own orders, so they don't disturb others."""

from __future__ import annotations

import shutil

import pytest

from simulator.tests.clients import AlipayClient, Listener, WechatClient
from simulator.tests.running import CALM, running


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
