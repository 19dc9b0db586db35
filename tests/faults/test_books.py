"""The comparison has teeth: each kind of loss, doubling and contradiction is found."""

import json
from collections import Counter
from decimal import Decimal

import pytest

from tests.faults.books import (
    CHECKS,
    Comparison,
    Truth,
    acknowledgements,
    longest_gap,
    read_journal,
)


@pytest.fixture
def truth() -> Truth:
    """One order, paid from the balance, with a refund that waits for its review."""
    rows = Truth.__new__(Truth)
    rows.orders = {"o1": ("o1", "run1-a", "paid", Decimal("30.00"), "balance")}
    rows.order_names = Counter(["run1-a"])
    rows.balance_payments = Counter(["o1"])
    rows.expenses = Counter(["o1"])
    rows.refunds = {"r1": ("r1", "run1-a", "pending")}
    rows.refund_names = Counter(["run1-a"])
    return rows


def found(truth: Truth, what: str, op: str, **facts: str) -> tuple[int, int, int]:
    result = Comparison()
    CHECKS[what, op](truth, {"what": what, "op": op, **facts}, result)
    return len(result.lost), len(result.doubled), len(result.contradicted)


CLEAN, LOST, DOUBLED, CONTRADICTED = (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("yes", "order", {"name": "run1-a", "id": "o1", "amount": "30.00"}), CLEAN),
        (("yes", "order", {"name": "run1-b", "id": "o2", "amount": "30.00"}), LOST),
        (("yes", "order", {"name": "run1-a", "id": "o1", "amount": "31.00"}), LOST),
        (("no", "order", {"name": "run1-b", "code": "X"}), CLEAN),
        (("no", "order", {"name": "run1-a", "code": "X"}), CONTRADICTED),
        (("yes", "balance", {"id": "o1"}), CLEAN),
        (("yes", "balance", {"id": "o2"}), LOST),
        (("no", "balance", {"id": "o2", "code": "X"}), CLEAN),
        (("no", "balance", {"id": "o1", "code": "X"}), CONTRADICTED),
        (("yes", "seen", {"id": "o1"}), CLEAN),
        (("yes", "seen", {"id": "o2"}), LOST),
        (("yes", "refund", {"name": "run1-a", "id": "r1"}), CLEAN),
        (("yes", "refund", {"name": "run1-b", "id": "r2"}), LOST),
        (("no", "refund", {"name": "run1-a", "code": "X"}), CONTRADICTED),
        (("yes", "review", {"id": "r1"}), LOST),  # it is pending still
        (("yes", "review", {"id": "r2"}), LOST),
    ],
)
def test_each_line_is_held_against_the_rows(truth, line, expected):
    what, op, facts = line
    assert found(truth, what, op, **facts) == expected


def test_a_paid_order_without_its_debit_is_a_loss(truth):
    truth.expenses.clear()
    assert found(truth, "yes", "balance", id="o1") == LOST


def test_two_payments_of_one_order_are_found(truth):
    truth.balance_payments["o1"] = 2
    assert found(truth, "yes", "balance", id="o1") == DOUBLED


def test_a_line_that_is_being_written_is_not_read(tmp_path):
    file = tmp_path / "journal"
    file.write_text(json.dumps({"what": "yes", "op": "order", "at": 1}) + '\n{"what": "y')
    assert len(acknowledgements(read_journal(file))) == 1


def test_the_stall_is_the_longest_time_without_a_yes():
    lines = [
        {"what": what, "op": "order", "at": at}
        for what, at in (("yes", 1.0), ("no", 2.0), ("yes", 5.5), ("yes", 6.0), ("yes", 20.0))
    ]
    assert longest_gap(lines) == 14.0
    assert longest_gap(lines, until=6.0) == 4.5
