"""The stage of the API's tests: the demo's switches, a clock that stands still, a few people."""

import io
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from types import SimpleNamespace

import django
import pytest
from django.core.cache import cache

# Named on the command line, this file is read before anything else has set Django up.
django.setup()
pytest.register_assert_rewrite("tests.api.kit", "tests.api.story")

from tcmpay.common.actor import Role  # noqa: E402
from tests.api.kit import Api, Clock, Person, someone  # noqa: E402
from tests.api.story import Story  # noqa: E402

# Whatever the developer's environment says: the defaults, and the demo's mock gateway.
SWITCHES = {
    "MOCK_CALLBACKS": True,
    "ORDER_PRICE_POLICY": "open",
    "ORDER_EXPIRE_MINUTES": 120,
    "LATE_PAYMENT_POLICY": "refund",
    "REFUND_SECOND_APPROVAL_OVER": None,
    "RETURN_URL_ORIGINS": [],
    "RATE_LIMIT_PER_MINUTE": 1_000_000,
    "TRUSTED_PROXY_HOPS": 0,
    "TOPUPS": True,
    "TOPUP_BOUNDS": {
        "TOPUP_AMOUNT_MIN": Decimal("1.00"),
        "TOPUP_AMOUNT_MAX": Decimal("500.00"),
        "TOPUP_DAY_MAX": Decimal("800.00"),
        "TOPUP_BALANCE_MAX": Decimal("1000.00"),
    },
}


@pytest.fixture(autouse=True)
def _demo_switches(db, settings) -> None:
    for name, value in SWITCHES.items():
        setattr(settings, name, value)
    # The database is rolled back after each test; what is cached of it is not.
    cache.clear()


@pytest.fixture(autouse=True)
def clock() -> Iterator[Clock]:
    with ExitStack() as stack:
        yield Clock(stack)


@pytest.fixture
def still_window(monkeypatch) -> None:
    """Rate counters see one window of a minute, however long the test takes."""
    stopped = SimpleNamespace(time=lambda: 1_800_000_000 + 15)
    monkeypatch.setattr("tcmpay.limits.services.time", stopped)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def story(api) -> Story:
    return Story(api)


@pytest.fixture
def patient() -> Person:
    return someone(Role.PATIENT)


@pytest.fixture
def other_patient() -> Person:
    return someone(Role.PATIENT)


@pytest.fixture
def doctor() -> Person:
    return someone(Role.DOCTOR)


@pytest.fixture
def admin() -> Person:
    return someone(Role.ADMIN)


@pytest.fixture
def other_admin() -> Person:
    return someone(Role.ADMIN)


@pytest.fixture
def service() -> Person:
    return someone(Role.SERVICE)


@pytest.fixture
def rich_patient(story, patient) -> Person:
    """A patient with 100.00 on the balance."""
    story.fund(patient, "100.00")
    return patient


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the one handler of all loggers writes."""
    handler = next(h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler)
    stream = io.StringIO()
    before = handler.setStream(stream)
    levels = {name: logging.getLogger(name).level for name in ("tcmpay", "config", "payments")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    handler.setStream(before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
