import pytest

from gateways.tests.kit import StandIn


@pytest.fixture(scope="session")
def _server():
    with StandIn() as server:
        yield server


@pytest.fixture
def stand_in(_server):
    return _server.begin()
