"""Success under the number that was called closed last wins while the next one was not sent."""

import pytest

from gateways.interface import RefundReport, RefundState
from refunds.models import Refund
from refunds.services.numbers import succeeded_after_all


def refund(**other: object) -> Refund:
    facts = {"refund_no": "RFD1", "number_generation": 2, "sendings": 0, "status": "failed"}
    return Refund(**facts | other)


@pytest.mark.parametrize(
    ("other", "number"),
    [
        ({}, "RFD1"),
        ({"status": "processing"}, "RFD1"),
        ({"number_generation": 3}, "RFD1R2"),
    ],
)
def test_it_is_the_same_refund(other, number):
    assert succeeded_after_all(refund(**other), RefundReport(number, RefundState.SUCCESS))


@pytest.mark.parametrize(
    ("other", "number", "state"),
    [
        ({"sendings": 1}, "RFD1", RefundState.SUCCESS),
        ({"status": "success"}, "RFD1", RefundState.SUCCESS),
        ({"status": "cancelled"}, "RFD1", RefundState.SUCCESS),
        ({"number_generation": 1}, "RFD1", RefundState.SUCCESS),
        ({"number_generation": 1}, "RFD1R0", RefundState.SUCCESS),
        ({}, "RFD1R2", RefundState.SUCCESS),
        ({"number_generation": 3}, "RFD1", RefundState.SUCCESS),
        ({}, "RFD1", RefundState.PROCESSING),
        ({}, "RFD1", RefundState.CLOSED),
    ],
)
def test_it_is_not(other, number, state):
    assert not succeeded_after_all(refund(**other), RefundReport(number, state))
