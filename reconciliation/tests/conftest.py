from datetime import timedelta

import pytest

from reconciliation import contents
from reconciliation.tests.kit import DAY, at, unpacked_written
from tcmpay.common import clock


@pytest.fixture(autouse=True)
def _bills_in_the_tests_notation(monkeypatch):
    monkeypatch.setattr(contents, "unpacked_bill", unpacked_written)


@pytest.fixture(autouse=True)
def _the_next_noon():
    with clock.frozen(at(timedelta(hours=36), DAY)):
        yield
