"""The stand-in gateways as a process, and the product set up to speak to them."""

import pytest
from django.core.management import call_command

from simulator.tests.clients import Listener
from simulator.tests.running import running


@pytest.fixture(scope="module")
def gateways(tmp_path_factory):
    """Of a module's own: what another one did would stand in its bills."""
    with running(tmp_path_factory.mktemp("stand-in")) as found:
        yield found


@pytest.fixture
def stand_in(gateways, settings, db):
    settings.DEBUG = True
    settings.ORDER_EXPIRE_MINUTES = 365 * 24 * 60  # days of the past; gateways have the time of now
    config = gateways.directory / "config.json"
    call_command("load_gateway_config", str(config), "--notify-base", "http://127.0.0.1:3000")
    return gateways


@pytest.fixture(scope="session")
def listener():
    found = Listener()
    yield found
    found.close()
