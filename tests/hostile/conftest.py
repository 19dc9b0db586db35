"""The stage of the API's tests, for whatever a stranger may send."""

import logging
from collections.abc import Iterator

import pytest

from tests.api.conftest import (  # noqa: F401
    _demo_switches,
    admin,
    api,
    clock,
    doctor,
    other_patient,
    patient,
    rich_patient,
    service,
    still_window,
    story,
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Two lines for each of thousands of requests would be kept by pytest until the end."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
