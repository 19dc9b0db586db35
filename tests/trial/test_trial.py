"""A small trial in every run of the tests; the whole one is `make test-long`."""

import os

import pytest

from conftest import SEED
from tests.trial.stage import Plan
from tests.trial.supervisor import trial_run

pytestmark = pytest.mark.fault

# One process of buyers, and a clock that leaves little to wait for.
SMALL = {"buyers": 1, "speed": 120.0, "settle_speed": 6_000.0, "settle_seconds_max": 600.0}


def test_both_books_agree_after_forty_payments_at_failing_gateways():
    address = os.environ.get("DATABASE_URL", "")
    plan = Plan(payments=40, refunds=12, fault_percent=5.0, seed=SEED, **SMALL)
    said: list[str] = []
    result = trial_run(plan, said.append, server=address if address.startswith("mysql") else "")
    assert result["differences"] == [], [*said, result["figures"]]
    books = result["figures"]["their books"]
    assert sum(book["paid_count"] for book in books.values()) >= 40
    # Which gateway they go through is drawn, and so is each fault: of few, some may be none.
    assert sum(book["refunded_count"] for book in books.values()) > 0
    assert result["figures"]["faults"], "the trial has teeth only while faults are drawn"
