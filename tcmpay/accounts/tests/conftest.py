from types import SimpleNamespace

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    """What a hash costs is Django's to test; here many are made."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _counters_from_zero(monkeypatch) -> None:
    """Every test has one window of its own: in Redis, counters outlive the database's rollback."""
    cache.clear()
    stopped = SimpleNamespace(time=lambda: 1_800_000_000 + 15)
    monkeypatch.setattr("tcmpay.limits.services.time", stopped)
