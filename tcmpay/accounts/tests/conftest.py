from types import SimpleNamespace

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _counters_from_zero(monkeypatch) -> None:
    """Every test has one window of its own: in Redis, counters outlive the database's rollback."""
    cache.clear()
    stopped = SimpleNamespace(time=lambda: 1_800_000_000 + 15)
    monkeypatch.setattr("tcmpay.limits.services.time", stopped)
