"""What a verified message leaves behind: its row, whole as far as the columns reach."""

from decimal import Decimal
from unittest.mock import patch

import pytest
from django.core.cache import cache

from gateways.interface import (
    CallbackNotice,
    CallbackRequest,
    RefundReport,
    RefundState,
    TradeReport,
    TradeState,
)
from payments.models import PaymentCallback
from payments.services.callbacks import REFUND_NOTICES_TASK, Incoming, callback_handle
from tcmpay.common import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> None:
    cache.clear()  # Redis counts, and outlives a test's rows


def told(**report: object) -> PaymentCallback:
    facts = {"out_trade_no": "ORD1", "state": TradeState.PAID, "amount": Decimal(1)} | report
    return handled(CallbackNotice("n" * 200, "e" * 100, trade=TradeReport(**facts)))


def handled(notice: CallbackNotice) -> PaymentCallback:
    incoming = Incoming("wechat", CallbackRequest({}, b"{}", "application/json", clock.now()))
    callback = callback_handle(incoming=incoming, notice=notice, is_mock=False)
    callback.refresh_from_db()
    return callback


@pytest.mark.parametrize(
    ("amount", "kept"),
    [
        ("0.00", "0.00"),
        ("0.01", "0.01"),
        ("0.99", "0.99"),
        ("99999999.99", "99999999.99"),
        ("100000000.00", None),
        ("-0.01", None),
    ],
)
def test_an_amount_is_kept_where_the_column_can_hold_it(amount, kept):
    found = told(amount=Decimal(amount), state=TradeState.UNPAID).amount
    assert found == (None if kept is None else Decimal(kept))


def test_long_texts_are_cut():
    callback = told(out_trade_no="o" * 100, transaction_id="t" * 100, state=TradeState.UNPAID)
    kept = (callback.out_trade_no, callback.external_transaction_id)
    assert kept == ("o" * 64, "t" * 64)
    assert (callback.notice_id, callback.event) == ("n" * 128, "e" * 64)


def test_a_refunds_notice_waits_for_the_refunds_and_rings_them():
    report = RefundReport("RFD1", RefundState.SUCCESS, out_trade_no="ORD1", amount=Decimal(4))
    with patch("payments.services.callbacks.ring") as rung:
        callback = handled(CallbackNotice("", "REFUND.SUCCESS", refund=report))
    rung.assert_called_once_with(REFUND_NOTICES_TASK)
    waiting = (callback.is_picked_up, callback.out_trade_no, callback.amount)
    assert waiting == (False, "ORD1", Decimal(4))


def test_a_payments_notice_rings_nobody():
    with patch("payments.services.callbacks.ring") as rung:
        callback = told(state=TradeState.UNPAID)
    assert (rung.called, callback.is_picked_up) == (False, None)


def sent(count: int, notice: CallbackNotice, body: bytes = b"") -> int:
    """How many rows so many messages leave behind."""
    for number in range(count):
        request = CallbackRequest({}, body or f"{number}".encode(), "", clock.now())
        callback_handle(incoming=Incoming("wechat", request), notice=notice, is_mock=False)
    return PaymentCallback.objects.count()


UNPAID = CallbackNotice("", "x", trade=TradeReport("ORD1", TradeState.UNPAID))
REFUND = CallbackNotice("", "x", refund=RefundReport("RFD1", RefundState.PROCESSING))
NOTHING = CallbackNotice("", "x")


@pytest.mark.parametrize("notice", [UNPAID, REFUND, NOTHING], ids=["payment", "refund", "neither"])
def test_one_body_is_kept_so_often_in_an_hour(notice, monkeypatch):
    monkeypatch.setattr("payments.services.callbacks.ROWS_OF_ONE_BODY_PER_HOUR", 2)
    with clock.frozen(clock.now()):
        assert sent(4, notice, b"{}") == 2


@pytest.mark.parametrize(
    ("notice", "rows"),
    [(UNPAID, 4), (REFUND, 4), (NOTHING, 2)],
    ids=["payment", "refund", "neither"],
)
def test_what_is_about_no_money_is_kept_so_often_in_a_minute(notice, rows, monkeypatch):
    monkeypatch.setattr("payments.services.callbacks.IGNORED_ROWS_PER_MINUTE", 2)
    with clock.frozen(clock.now()):
        assert sent(4, notice) == rows
