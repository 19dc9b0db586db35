from collections.abc import Iterator

import pytest
from django.utils.translation import override

from tests.audit.books import World, sound_books


@pytest.fixture(autouse=True)
def _one_connection(settings) -> None:
    """Inside a test's transaction only its own connection sees the rows."""
    settings.SNAPSHOT_DATABASE = "default"
    settings.MOCK_CALLBACKS = True
    settings.LATE_PAYMENT_POLICY = "refund"


@pytest.fixture(autouse=True)
def _in_chinese() -> Iterator[None]:
    """Findings are read here; the test before may have left another language."""
    with override("zh-hans"):
        yield


@pytest.fixture
def world(db) -> World:
    return sound_books()
