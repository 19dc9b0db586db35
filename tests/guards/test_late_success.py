"""A refund that was refused, and of which the gateway later proves that it happened after all."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from gateways.interface import (
    CallbackNotice,
    CallbackRequest,
    RefundReport,
    RefundState,
    TradeReport,
    TradeState,
)
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.callbacks import Incoming, callback_handle, refund_notices_waiting
from payments.services.orders import OrderCommand, order_create
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review
from refunds.services.retries import refund_retry
from refunds.services.submission import refund_report_apply, refund_submit
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tests.stateful.book import BOOKS, Book, Mood, channel, gateway_of

PAYER, ADMIN = Actor(new_id(), Role.PATIENT), Actor(new_id(), Role.ADMIN)
ALL, SOME = Decimal("30.00"), Decimal("10.00")


@pytest.fixture
def book(db, settings):
    settings.ORDER_PRICE_POLICY = "open"
    settings.REFUND_SECOND_APPROVAL_OVER = None
    BOOKS["wechat"] = Book("wechat")
    with (
        patch("payments.services.attempts.channel_for_new_attempt", channel),
        patch("payments.services.attempts.channel_of", gateway_of),
        patch("refunds.services.submission.refund_channel_of", gateway_of),
    ):
        yield BOOKS["wechat"]
    BOOKS.clear()


@pytest.fixture
def order(book) -> PaymentOrder:
    command = OrderCommand(user_id=PAYER.id, order_type="other", amount=ALL)
    order = order_create(actor=PAYER, command=command)
    pay(actor=PAYER, command=PayCommand(order_id=order.id, payment_method="wechat"))
    trade = TradeReport(order.order_no, TradeState.PAID, "T1", ALL)
    tell(CallbackNotice("", "", trade=trade))
    book.pay(order.order_no)
    return order


@pytest.fixture
def refused(book, order) -> Refund:
    """All of it was asked back, and the gateway refuses."""
    refund = refund_request(actor=PAYER, order_id=order.id, amount=ALL, reason="test")
    refund_review(actor=ADMIN, refund_id=refund.id, is_approved=True, notes="")
    book.mood = Mood.REFUSING
    for seconds in (0, 61):
        with clock.frozen(clock.now() + timedelta(seconds=seconds)):
            refund_submit(refund_id=refund.id)
    book.mood = Mood.FINE
    refund.refresh_from_db()
    assert refund.status == "failed"
    return refund


def tell(notice: CallbackNotice) -> None:
    request = CallbackRequest({}, new_id().bytes, "application/json", clock.now())
    callback_handle(incoming=Incoming("wechat", request), notice=notice, is_mock=False)


def tell_success(refund: Refund) -> None:
    number = refund.refund_no
    report = RefundReport(number, RefundState.SUCCESS, refund_id=f"M{number}", amount=ALL)
    tell(CallbackNotice("", "", refund=report))


def test_it_is_done_where_its_amount_is_still_free(order, refused):
    tell_success(refused)
    assert notices_take() == 1
    refused.refresh_from_db()
    order.refresh_from_db()
    assert (refused.status, order.status) == ("success", "refunded")


def test_it_becomes_a_case_where_another_one_holds_the_amount(order, refused):
    other = refund_request(actor=PAYER, order_id=order.id, amount=SOME, reason="test")
    tell_success(refused)
    assert notices_take() == 0
    assert refund_notices_waiting().exists(), "there may be room yet"
    refused.refresh_from_db()
    assert (refused.status, refused.error_code) == ("failed", "ABNORMAL")
    case = PaymentException.objects.get(kind="refund_abnormal", closed_at=None)
    assert case.amount == ALL
    payment = PaymentTransaction.objects.get(applied_order_id=order.id)
    assert payment.refund_reserved == SOME
    refund_review(actor=ADMIN, refund_id=other.id, is_approved=True, notes="")
    with clock.frozen(clock.now() + timedelta(minutes=2)):
        refund_submit(refund_id=other.id)
    assert notices_take() == 1, "more went back than was paid: the case is all that can be said"
    refused.refresh_from_db()
    case.refresh_from_db()
    assert (refused.status, case.closed_at) == ("failed", None)


def test_it_is_settled_by_rejecting_the_other_and_sending_the_same_number(book, order, refused):
    other = refund_request(actor=PAYER, order_id=order.id, amount=SOME, reason="test")
    tell_success(refused)
    notices_take()
    refund_review(actor=ADMIN, refund_id=other.id, is_approved=False, notes="")
    refund_retry(actor=ADMIN, refund_id=refused.id, reason="test")
    refund_submit(refund_id=refused.id)
    refused.refresh_from_db()
    assert refused.status == "success"
    assert list(book.trades[order.order_no].refunds) == [refused.refund_no]
    assert not PaymentException.objects.filter(closed_at=None).exists()


@pytest.mark.parametrize("state", list(RefundState))
def test_whatever_a_gateway_says_after_success_changes_nothing(book, order, state):
    refund = refund_request(actor=PAYER, order_id=order.id, amount=ALL, reason="test")
    refund_review(actor=ADMIN, refund_id=refund.id, is_approved=True, notes="")
    refund_submit(refund_id=refund.id)
    before = Refund.objects.filter(id=refund.id).values().get()
    assert before["status"] == "success"
    number = refund.refund_no
    report = RefundReport(number, state, refund_id=f"M{number}", amount=ALL)
    refund_report_apply(refund_id=refund.id, report=report)
    assert Refund.objects.filter(id=refund.id).values().get() == before
    assert not PaymentException.objects.exists()
