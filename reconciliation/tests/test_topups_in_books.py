"""Top-ups in the books of days: receipts at the gateway, owed to users, and no income."""

from datetime import timedelta
from decimal import Decimal

import pytest

from backoffice.ops.audit import audit
from payments.selectors import order_statistics
from reconciliation.reports import report
from reconciliation.tests.days import (
    DAY,
    MINUTE,
    NOON,
    closed,
    funded,
    morning_after,
    paid,
    paid_from_balance,
    patient,
    refund_begun,
    refund_told,
    started,
    told,
)
from reconciliation.vouchers import vouchers
from refunds.selectors import refund_statistics
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db
MIDNIGHT = clock.day_start(DAY + ONE_DAY)
SECONDS = timedelta(seconds=20)


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


@pytest.fixture
def books():
    """100 topped up at a gateway and 8 by hand, 30 of it spent, 25 given back; 50 more paid a
    moment before midnight and booked a moment after it."""
    owner = patient()
    topup = paid(owner, "100.00", order_type="topup")
    funded(owner, "8.00")
    paid_from_balance(owner, "30.00")
    refund = refund_begun(topup.order_id, "25.00")
    refund_told(refund, NOON + MINUTE, NOON + MINUTE)
    late = started(owner, "50.00", MIDNIGHT - MINUTE, order_type="topup")
    told(late, MIDNIGHT - SECONDS, MIDNIGHT + SECONDS)
    closed(DAY)
    closed(DAY + ONE_DAY)
    with clock.frozen(morning_after(DAY + ONE_DAY)):
        yield


def net(lines) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in lines:
        found[line.account] = found.get(line.account, Decimal(0)) + line.debit - line.credit
    return {account: amount for account, amount in found.items() if amount}


def test_a_gateway_received_them_and_the_books_owe_them(books):
    lines = list(vouchers(report(DAY, DAY + ONE_DAY)))
    assert net(lines) == {
        "1012.01": Decimal("125.00"),  # 150 received, 25 given back
        "1002": Decimal("8.00"),  # by hand
        "2205": Decimal("-103.00"),  # what users have with us
        "6001": Decimal("-30.00"),  # earned as it was spent
    }


def test_each_day_s_vouchers_stand_where_that_day_s_balances_do(books):
    days = report(DAY, DAY + ONE_DAY).days
    for until, balance in ((DAY, "53.00"), (DAY + ONE_DAY, "103.00")):
        assert net(vouchers(report(DAY, until)))["2205"] == -Decimal(balance)
    assert [one.closing for one in days] == [Decimal("53.00"), Decimal("103.00")]
    # What the gateway has of one day and the ledger of the next.
    assert net(vouchers(report(DAY, DAY)))["1002"] == Decimal("-42.00")


def test_the_days_tell_them_apart(books):
    found = report(DAY, DAY + ONE_DAY)
    types = {line.name: line.sums for line in found.by("order_type")}
    assert types["topup"].receipts == 150
    assert types["topup"].refunds == 25
    moves = found.moves
    assert list(map(str, (moves.topups, moves.given_back, moves.spending))) == [
        *("158.00", "25.00", "30.00")
    ]


def test_statistics_are_the_report_s_without_them(books):
    found = report(DAY, DAY + ONE_DAY)
    (topups,) = [line.sums for line in found.by("order_type") if line.name == "topup"]
    came, went = order_statistics(), refund_statistics()
    assert came.paid_amount == found.total.sums.receipts - topups.receipts == 30
    assert went.refunded_amount == found.total.sums.refunds - topups.refunds == 0


def test_the_audit_agrees(books):
    told = (one for _check, found in audit(Scope()) for one in found)
    texts = [str(one.message) for one in told if not (one.is_notice or one.is_unfinished)]
    assert [text for text in texts if "没有相符的网关" not in text] == []
