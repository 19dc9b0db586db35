"""Every morning the bills of the day before are fetched and compared; a missing one is told."""

import io
from datetime import timedelta
from typing import Any

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from payments.models import PaymentException
from payments.services.closed_days import day_close, watermark_lock
from reconciliation.models import BillFile, Difference, ReconciledDay
from reconciliation.services import fetching, running
from reconciliation.services.fetching import bills_sweep
from reconciliation.services.running import day_reconcile
from reconciliation.tests.kit import (
    DAY,
    Opened,
    at,
    attempt,
    configured,
    fund_rows,
    imported,
    merchant,
    payment_row,
    written,
)
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import money_unit

pytestmark = pytest.mark.django_db
METHOD = "wechat"
NEXT = DAY + ONE_DAY
TOO_SOON = GatewayRejected("not yet", reason=RejectReason.TOO_SOON)


@pytest.fixture
def version():
    return configured(METHOD)


@pytest.fixture
def gateway(monkeypatch):
    """What it has by day and kind; what it was asked for."""
    has: dict[Any, Any] = {}
    asked: list[Any] = []

    class Gateway:
        def download_bill(self, day):
            return self._answer("trade", day)

        def download_fund_bill(self, day):
            return self._answer("fund", day)

        def _answer(self, kind, day):
            asked.append((kind, day))
            answer = has.get((kind, day), TOO_SOON)
            if isinstance(answer, Exception):
                raise answer
            return None if answer is None else Opened(io.BytesIO(written(answer)), kind)

    monkeypatch.setattr(fetching, "gateway_of", lambda _merchant: Gateway())
    has["asked"] = asked
    return has


def swept(hours, minutes=0):
    """So long after the beginning of the day after."""
    with clock.frozen(at(timedelta(hours=24 + hours, minutes=minutes))):
        return bills_sweep()


def test_the_day_before_is_fetched_and_compared(version, gateway):
    line = payment_row(attempt(METHOD, version))
    gateway |= {("trade", DAY): [line], ("fund", DAY): fund_rows([line])}
    assert swept(10) == 1
    row = ReconciledDay.objects.get()
    assert (row.day, row.matched, row.runs) == (DAY, 1, 1)
    assert row.fund_bill is not None
    gateway["asked"].clear()
    assert swept(10, 30) == 0
    assert gateway["asked"] == []


@pytest.mark.parametrize(("method", "hour"), [("wechat", 10), ("alipay", 9)])
def test_nobody_asks_before_the_gateways_hour(gateway, method, hour):
    attempt(method, configured(method))
    swept(hour - 1, 59)
    assert gateway["asked"] == []
    swept(hour)
    assert ("trade", DAY) in gateway["asked"]


def test_it_is_asked_again_until_it_is_there_and_told_at_three(version, gateway):
    attempt(METHOD, version)
    assert swept(10) == swept(14, 59) == 0
    assert not PaymentException.objects.exists()
    swept(15)
    swept(15, 30)
    case = PaymentException.objects.get()
    assert (case.kind, case.closed_at) == ("bill_missing", None)
    assert "2026-11-24" in case.reason
    gateway |= {("trade", DAY): [], ("fund", DAY): []}
    assert swept(16) == 1
    case.refresh_from_db()
    assert case.outcome == "settled"
    assert Difference.objects.open().count() == 1


def test_a_gateway_that_is_down_is_a_missing_bill_too(version, gateway):
    attempt(METHOD, version)
    gateway["trade", DAY] = GatewayUnknown("no answer")
    swept(15)
    assert PaymentException.objects.get().kind == "bill_missing"


def test_a_day_of_the_last_week_is_caught_up_with(version, gateway):
    attempt(METHOD, version, day=DAY - 6 * ONE_DAY)
    gateway |= {("trade", DAY - 6 * ONE_DAY): [], ("fund", DAY - 6 * ONE_DAY): []}
    swept(9)
    assert ReconciledDay.objects.filter(day=DAY - 6 * ONE_DAY, runs=1).exists()
    asked = {day for _kind, day in gateway["asked"]}
    assert DAY - 7 * ONE_DAY not in asked  # before the first order


def test_without_orders_nothing_is_asked(version, gateway):
    swept(15)
    assert gateway["asked"] == []
    assert not PaymentException.objects.exists()


def test_a_day_that_was_closed_with_its_bill_is_left_alone(version, gateway):
    imported(METHOD, [payment_row(attempt(METHOD, version))])

    @money_unit
    def close():
        day_close(watermark_lock(), DAY)

    with clock.frozen(at(timedelta(hours=26))):
        close()
    swept(15)
    assert ("trade", DAY) not in gateway["asked"]


def test_a_day_without_movement_needs_no_file(version, gateway):
    attempt(METHOD, version, status="pending")
    gateway["trade", DAY] = None
    swept(10)
    assert ReconciledDay.objects.get().is_without_movement
    assert not BillFile.objects.exists()
    gateway["asked"].clear()
    swept(11)
    assert gateway["asked"] == []


def test_the_account_s_bill_may_come_later(version, gateway):
    line = payment_row(attempt(METHOD, version))
    gateway["trade", DAY] = [line]
    assert swept(10) == 1
    assert ReconciledDay.objects.get().fund_bill is None
    assert swept(11) == 0
    gateway["fund", DAY] = fund_rows([line])
    assert swept(12) == 1
    assert ReconciledDay.objects.get().fund_bill is not None
    assert gateway["asked"].count(("trade", DAY)) == 1


def test_money_that_is_late_for_three_days_is_told_then(version, gateway):
    line = payment_row(attempt(METHOD, version))
    gateway |= {("trade", DAY): [line], ("fund", DAY): []}
    swept(10)
    assert not PaymentException.objects.exists()
    swept(2 * 24 + 10)
    case = PaymentException.objects.exclude(kind="bill_missing").get()
    assert case.kind == "bill_fund_missing"


def test_a_missing_bill_that_came_by_hand_is_missing_no_more(version, gateway):
    line = payment_row(attempt(METHOD, version))
    swept(15)
    case = PaymentException.objects.get()
    with clock.frozen(at(timedelta(hours=40))):
        imported(METHOD, [line])
        day_reconcile(actor=SYSTEM, merchant=merchant(METHOD), day=DAY)
    case.refresh_from_db()
    assert (case.kind, case.outcome) == ("bill_missing", "settled")


def test_a_missing_bill_that_came_and_was_not_compared_is_missing_no_more(version, gateway):
    attempt(METHOD, version)
    attempt(METHOD, version, day=DAY - ONE_DAY)
    swept(15)
    with clock.frozen(at(timedelta(hours=40))):
        imported(METHOD, [])
    swept(9 * 24 + 10)  # no day of the last week any more
    cases = PaymentException.objects.filter(kind="bill_missing", closed_at=None)
    still = {case.subject.rpartition("/")[2] for case in cases}
    assert (str(DAY) in still, str(DAY - ONE_DAY) in still) == (False, True)


def test_what_was_in_doubt_when_a_run_was_cut_short_is_told(version, gateway, monkeypatch):
    attempt(METHOD, version, moved=timedelta(hours=23, minutes=50))
    gateway |= {("trade", DAY): [], ("fund", DAY): []}
    swept(10)
    assert Difference.objects.doubtful().count() == 1
    gateway |= {("trade", NEXT): None, ("fund", NEXT): None}
    with monkeypatch.context() as cut:
        cut.setattr(running, "_waiting_days", lambda _row: [])
        swept(24 + 10)
    swept(24 + 11)
    assert not Difference.objects.doubtful().exists()
    assert [one.case.kind for one in Difference.objects.open()] == ["bill_ours_only"]
    runs = ReconciledDay.objects.get(day=DAY).runs
    swept(24 + 12)
    assert ReconciledDay.objects.get(day=DAY).runs == runs
