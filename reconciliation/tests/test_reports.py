"""Reports over any span: closed days as signed, open ones as they are, equal to the statistics;
vouchers that balance."""

from datetime import timedelta
from decimal import Decimal

import pytest

from payments.selectors import order_statistics
from payments.services.endings import order_cancel
from reconciliation.errors import SpanRefused
from reconciliation.models import ReconciledDay
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

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True
    settings.LATE_PAYMENT_POLICY = "hold"


@pytest.fixture
def books():
    """Two closed days and an open one; on the second some of the first, told late."""
    owner = patient()
    funded(owner, "100.00")
    order = paid_from_balance(owner)
    refund_begun(order.id, "10.00")
    payment = paid(owner, "45.00", order_type="consultation")
    late, surplus = started(owner, "12.00"), started(owner, "7.00", method="alipay")
    with clock.frozen(NOON + MINUTE):
        order_cancel(actor=owner, order_id=surplus.order_id)
    told(surplus, NOON + 2 * MINUTE, NOON + 2 * MINUTE)
    ReconciledDay.objects.create(
        payment_method="wechat", merchant="", day=DAY, fees=Decimal("0.27400")
    )
    closed(DAY)
    told(late, NOON + MINUTE, NOON + ONE_DAY)
    refund = refund_begun(payment.order_id, "5.00", NOON + ONE_DAY)
    refund_told(refund, NOON + ONE_DAY + MINUTE, NOON + ONE_DAY + 2 * MINUTE)
    closed(DAY + ONE_DAY)
    paid_from_balance(owner, "20.00", NOON + 2 * ONE_DAY)
    with clock.frozen(morning_after(DAY + ONE_DAY) + timedelta(hours=8)):
        yield


def test_each_day_says_whether_it_is_closed(books):
    found = report(DAY, DAY + 9 * ONE_DAY)
    assert [one.day for one in found.days] == [DAY, DAY + ONE_DAY, DAY + 2 * ONE_DAY]
    assert found.open_days == [DAY + 2 * ONE_DAY]


def test_it_equals_the_statistics_to_the_cent_over_every_span(books):
    for first in range(3):
        for last in range(first, 3):
            found = report(DAY + first * ONE_DAY, DAY + last * ONE_DAY).total
            start = clock.day_start(DAY + first * ONE_DAY)
            end = clock.day_start(DAY + (last + 1) * ONE_DAY)
            came = order_statistics(start_date=start, end_date=end)
            went = refund_statistics(start_date=start, end_date=end)
            assert (found.sums.receipts_number, found.sums.receipts) == (
                came.paid_orders,
                came.paid_amount,
            )
            assert found.sums.refunds == went.refunded_amount


def test_the_same_money_told_apart_adds_up_to_the_same(books):
    found = report(DAY, DAY + 2 * ONE_DAY)
    for what in ("method", "merchant", "order_type", "service"):
        lines = found.by(what)
        assert sum(line.sums.receipts for line in lines) == found.total.sums.receipts == 107
        assert sum(line.sums.refunds for line in lines) == found.total.sums.refunds == 15
    fees = {line.name: (line.fees, line.net) for line in found.by("method")}
    assert fees["wechat"] == (Decimal("0.27"), Decimal("51.73"))
    assert found.total.surplus.receipts == 7


def test_balances_roll_forward_from_day_to_day(books):
    days = report(DAY, DAY + 2 * ONE_DAY).days
    assert [one.opening for one in days] == [Decimal(0), Decimal(80), Decimal(80)]
    assert [one.closing for one in days] == [Decimal(80), Decimal(80), Decimal(60)]


@pytest.mark.parametrize("last", [-1, 1100])
def test_it_refuses_a_span_that_is_none(last):
    with pytest.raises(SpanRefused):
        report(DAY, DAY + last * ONE_DAY)


def test_vouchers_of_closed_days_balance(books, settings):
    settings.LEDGER_ACCOUNTS = settings.LEDGER_ACCOUNTS | {"fees": "6603.01"}
    lines = list(vouchers(report(DAY, DAY + 2 * ONE_DAY)))
    assert {line.number for line in lines} == {"20261124-1", "20261125-1"}
    for number in ("20261124-1", "20261125-1"):
        sides = [(line.debit, line.credit) for line in lines if line.number == number]
        assert sum(debit for debit, _credit in sides) == sum(credit for _debit, credit in sides)
    net: dict[str, Decimal] = {}
    for line in lines:
        net[line.account] = net.get(line.account, Decimal(0)) + line.debit - line.credit
    assert net == {
        "1012.01": Decimal("51.73"),  # 45 + 12 received, 5 given back, fees
        "1012.02": Decimal("7.00"),
        "1002": Decimal("100.00"),
        "2205": Decimal("-80.00"),  # what users have with us
        "2241": Decimal("-7.00"),
        "6001": Decimal("-72.00"),  # 87 received, 15 given back
        "6603.01": Decimal("0.27"),
    }
