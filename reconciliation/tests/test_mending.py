"""What staff do at the desk about a bill's case really mends it, and then the case is over."""

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from backoffice.cases.actions import DESK_ACTIONS
from gateways.errors import GatewayUnknown
from gateways.interface import RefundReport, RefundState, TradeReport, TradeState
from gateways.mock import MockGateway
from payments.channels import Channel
from payments.errors import ActionNotOffered, GatewayDown
from payments.invariants_logs import check_bookings, check_exchange_log
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services import attempts, matching
from payments.states import ExceptionAction
from reconciliation.models import Difference
from reconciliation.services.running import day_reconcile
from reconciliation.tests.kit import (
    DAY,
    at,
    attempt,
    configured,
    imported,
    merchant,
    payment_row,
    refund,
    refund_row,
    strange_row,
)
from refunds.invariants_evidence import check_answers
from refunds.models import Refund
from refunds.services import checking
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db
METHOD = "wechat"
CLERK = Actor(uuid.uuid4(), Role.STAFF)
HALF_PAST_TEN = timedelta(hours=10, minutes=30)


@pytest.fixture
def version():
    return configured(METHOD)


@pytest.fixture
def gateway(monkeypatch):
    """A gateway that says what a test wants about payments and refunds."""
    said: dict[str, Any] = {}
    mock = MockGateway(METHOD)
    mock.is_mock = False
    monkeypatch.setattr(MockGateway, "query_payment", lambda _self, number: said[number])
    monkeypatch.setattr(MockGateway, "query_refund", lambda _self, ask: said[ask.out_refund_no])
    monkeypatch.setattr(attempts, "channel_of", lambda _attempt: mock)
    monkeypatch.setattr(checking, "refund_channel_of", lambda _payment: mock)
    monkeypatch.setattr(
        matching, "channel_for_new_attempt", lambda _method: Channel(mock, said["version"])
    )
    return said


def compared():
    return day_reconcile(actor=SYSTEM, merchant=merchant(METHOD), day=DAY)


def act(action, **fields):
    case = PaymentException.objects.filter(kind__startswith="bill_").get()
    DESK_ACTIONS[action].run(CLERK, case.id, {"reason": "核实", **fields})
    case.refresh_from_db()
    return case


def paid(payment, moved=HALF_PAST_TEN, **other):
    facts = {
        "transaction_id": f"T{payment.out_trade_no}",
        "amount": payment.amount,
        "paid_at": at(moved),
    }
    return TradeReport(payment.out_trade_no, TradeState.PAID, **facts | other)


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_asking_books_a_payment_that_the_bill_has(version, gateway, status):
    payment = attempt(METHOD, version, status=status, moved=HALF_PAST_TEN)
    imported(METHOD, [payment_row(payment)])
    compared()
    gateway[payment.out_trade_no] = paid(payment)
    case = act(ExceptionAction.QUERY)
    assert case.outcome == "settled"
    assert PaymentOrder.objects.get().status == "paid"
    assert compared().matched == 1
    assert not Difference.objects.found().exists()


def test_what_the_gateway_does_not_confirm_stays_open(version, gateway):
    payment = attempt(METHOD, version)
    imported(METHOD, [])
    compared()
    gateway[payment.out_trade_no] = TradeReport(payment.out_trade_no, TradeState.NOT_FOUND)
    case = act(ExceptionAction.QUERY)
    assert case.closed_at is None
    assert case.owner_id == CLERK.id


def test_asking_books_a_refund_that_we_hold_failed(version, gateway):
    payment = attempt(METHOD, version, moved=HALF_PAST_TEN)
    back = refund(payment, status="failed", moved=HALF_PAST_TEN)
    imported(METHOD, [payment_row(payment), refund_row(back)])
    compared()
    gateway[back.refund_no] = RefundReport(
        back.refund_no,
        RefundState.SUCCESS,
        refund_id=f"R{back.refund_no}",
        out_trade_no=payment.out_trade_no,
        transaction_id=payment.trade_no,
        amount=back.refund_amount,
        total_amount=payment.amount,
        completed_at=at(HALF_PAST_TEN),
    )
    assert act(ExceptionAction.QUERY).outcome == "settled"
    assert Refund.objects.get().status == "success"
    assert not Difference.objects.found().exists()


def test_asking_records_a_refund_that_the_console_made(version, gateway):
    payment = attempt(METHOD, version, moved=HALF_PAST_TEN)
    line = refund_row(refund(payment, moved=HALF_PAST_TEN))
    Refund.objects.all().delete()
    line = line._replace(out_refund_no="console-1", refund_id="R1")
    imported(METHOD, [payment_row(payment), line])
    compared()
    gateway["console-1"] = RefundReport(
        "console-1",
        RefundState.SUCCESS,
        refund_id="R1",
        out_trade_no=payment.out_trade_no,
        transaction_id=payment.trade_no,
        amount=Decimal("10.00"),
        total_amount=payment.amount,
        completed_at=at(HALF_PAST_TEN),
    )
    assert act(ExceptionAction.QUERY).outcome == "settled"
    recorded = Refund.objects.get()
    assert (recorded.cause, recorded.status) == ("outside", "success")
    assert not Difference.objects.found().exists()
    assert not list(check_answers(Scope()))


def test_a_number_that_is_nobody_s_can_be_matched_to_an_order(version, gateway):
    order = attempt(METHOD, version, status="pending", moved=HALF_PAST_TEN).order
    PaymentTransaction.objects.all().delete()
    number = "ORD20261124103000ABCDEFGHIJ"
    imported(
        METHOD, [strange_row(number, 3000, moment="2026-11-24 10:30:00", merchant="1900000001")]
    )
    compared()
    gateway |= {
        "version": version,
        number: TradeReport(
            number, TradeState.PAID, f"T{number}", order.amount, paid_at=at(HALF_PAST_TEN)
        ),
    }
    case = act(ExceptionAction.MATCH, order_no=order.order_no)
    assert case.outcome == "matched"
    order.refresh_from_db()
    assert order.status == "paid"
    assert not Difference.objects.found().exists()
    # No notice told of it: the answer that proved it is kept.
    assert not [*check_bookings(Scope()), *check_exchange_log(Scope())]


def test_what_comes_back_after_it_was_matched_is_another_case(version, gateway):
    """The case that ended knows a payment, of which what came back says nothing."""
    test_a_number_that_is_nobody_s_can_be_matched_to_an_order(version, gateway)
    ended = PaymentException.objects.get()
    PaymentTransaction.objects.update(out_trade_no="other", external_transaction_id="other")
    compared()
    opened = PaymentException.objects.filter(kind=ended.kind, closed_at=None).get()
    back = Difference.objects.open().get(fact__contains=ended.out_trade_no)
    assert (back.case, opened.id != ended.id) == (opened, True)


def test_where_nothing_of_ours_can_be_asked_about_it_says_so(version, gateway):
    imported(METHOD, [strange_row("ORD20261124103000ABCDEFGHIJ")])
    compared()
    with pytest.raises(ActionNotOffered):
        act(ExceptionAction.QUERY)


def test_a_gateway_that_is_down_changes_nothing(version, gateway, monkeypatch):
    def fails(_self, _number):
        raise GatewayUnknown("no answer")

    monkeypatch.setattr(MockGateway, "query_payment", fails)
    attempt(METHOD, version)
    imported(METHOD, [])
    compared()
    with pytest.raises(GatewayDown):
        act(ExceptionAction.QUERY)
    assert Difference.objects.open().exists()
