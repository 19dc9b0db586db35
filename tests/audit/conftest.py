import copy
from collections.abc import Iterator

import pytest
from django.test import override_settings
from django.utils.translation import override

from tests.audit.books import World, sound_books

# Inside a test's transaction only its own connection sees the rows.
SETTINGS = {
    "SNAPSHOT_DATABASE": "default",
    "MOCK_CALLBACKS": True,
    "LATE_PAYMENT_POLICY": "refund",
}


@pytest.fixture(autouse=True)
def _one_connection(settings) -> None:
    for name, value in SETTINGS.items():
        setattr(settings, name, value)


@pytest.fixture(autouse=True)
def _in_chinese() -> Iterator[None]:
    """Findings are read here; the test before may have left another language."""
    with override("zh-hans"):
        yield


@pytest.fixture(scope="module")
def lasting(lasting) -> Iterator[None]:
    with override_settings(**SETTINGS):
        yield


@pytest.fixture(scope="module")
def _world(lasting) -> World:
    return sound_books()


@pytest.fixture
def world(_world, db) -> World:
    """In a module that asks for it every test begins with these books."""
    return copy.deepcopy(_world)
