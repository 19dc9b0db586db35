from datetime import timedelta

import pytest

from reconciliation import contents
from reconciliation.tests.kit import DAY, at, open_written
from tcmpay.common import clock


@pytest.fixture(autouse=True)
def _bills_in_the_tests_notation(monkeypatch):
    monkeypatch.setattr(contents, "unread_bill", open_written)


@pytest.fixture(autouse=True)
def _the_next_noon():
    with clock.frozen(at(timedelta(hours=36), DAY)):
        yield
