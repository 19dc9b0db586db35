"""The stage of the API's tests, and a desk with something on it."""

import pytest

from tests.api.conftest import (  # noqa: F401
    _demo_switches,
    admin,
    api,
    clock,
    patient,
    rich_patient,
    service,
    story,
)
from tests.authority.staff import Desk


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    """Eight people sign in for every line: a strong hash would take most of the time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def desk(story) -> Desk:  # noqa: F811
    desk = Desk(story)
    desk.everything()
    return desk
