import shutil
from collections.abc import Iterator

import pytest

from gateways.breaker import Breaker, CallLimiter
from gateways.interface import GATEWAY_METHODS
from gateways.transport import Transport
from payments import channels
from simulator.machine import Machine
from simulator.options import Options
from tests.refused.stage import Stage, Wire, configured

# Refunds of a trade may follow each other at once, settle when they are told to, and no notice
# is ever sent: what became of anything has to be asked for.
CALM = {"spacing_factor": 0, "refund_delay_seconds": 10_000, "hold_notices": True}


@pytest.fixture(scope="session")
def _stand_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refusing")
    machine = Machine(Options(port=0, directory=folder), "http://127.0.0.1:1")
    machine.settings.change(CALM)
    yield folder, machine
    machine.store.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stage(db, settings, monkeypatch, _stand_in) -> Iterator[Stage]:
    settings.DEBUG = True  # a stand-in is an address that only development may name
    settings.ORDER_PRICE_POLICY = "open"
    settings.ORDER_EXPIRE_MINUTES = 120
    settings.LATE_PAYMENT_POLICY = "refund"
    settings.REFUND_SECOND_APPROVAL_OVER = None
    settings.MOCK_CALLBACKS = False
    folder, machine = _stand_in
    wire = Wire(machine)
    monkeypatch.setattr(Transport, "send", staticmethod(wire.send))
    # One circuit for all orders of a test would hide their answers from each other.
    patient = CallLimiter(breaker=Breaker(failures_max=10**6))
    monkeypatch.setattr("gateways.registry._LIMITERS", dict.fromkeys(GATEWAY_METHODS, patient))
    channels._built.cache_clear()
    with configured(folder):
        yield Stage(machine, wire)
    machine.faults.change({"clear": True})
    channels._built.cache_clear()
