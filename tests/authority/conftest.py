"""The stage of the API's tests, and a desk with something on it."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from tcmpay.common.clock import frozen
from tests.api.conftest import (  # noqa: F401
    SWITCHES,
    _demo_switches,
    admin,
    api,
    clock,
    patient,
    rich_patient,
    service,
    story,
)
from tests.api.kit import NOW
from tests.authority.staff import Desk


@pytest.fixture(scope="module")
def lasting(lasting) -> Iterator[None]:
    """On the stage of the single tests."""
    with override_settings(**SWITCHES), frozen(NOW):
        yield


@pytest.fixture
def desk(story) -> Desk:  # noqa: F811
    desk = Desk(story)
    desk.everything()
    return desk
