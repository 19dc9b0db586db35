"""A refund counts on the day on which the gateway says that the money went back."""

import importlib
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.db.transaction import atomic

from balances.services import balance_top_up
from gateways.interface import RefundReport, RefundState, TradeReport, TradeState
from gateways.mock import MockGateway
from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.closed_days import day_close, watermark_lock
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from payments.states import Verdict
from refunds.invariants import check_days
from refunds.models import Refund
from refunds.selectors import refund_statistics
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refunds_sweep
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db

ORDERED_AT = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
# Four seconds before midnight in Shanghai, and some seconds after it.
DONE_AT = datetime(2026, 11, 24, 15, 59, 56, tzinfo=UTC)
HEARD_AT = datetime(2026, 11, 24, 16, 0, 7, tzinfo=UTC)
THE_DAY, THE_NEXT = date(2026, 11, 24), date(2026, 11, 25)
METHODS = ("wechat", "alipay")


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


@pytest.fixture
def owner():
    return Actor(uuid.uuid4(), Role.PATIENT)


def paid(owner: Actor, method: str) -> PaymentTransaction:
    with clock.frozen(ORDERED_AT):
        command = OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("30.00"))
        order = order_create(actor=Actor(uuid.uuid4(), Role.SERVICE), command=command)
        if method == "balance":
            balance_top_up(user_id=owner.id, amount=Decimal("30.00"), reason="x", actor=SYSTEM)
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
        payment = PaymentTransaction.objects.get(order=order)
        if method != "balance":
            number = payment.out_trade_no
            report = TradeReport(number, TradeState.PAID, "4200001", payment.amount)
            trade_report_apply(method=method, report=report)
    return PaymentTransaction.objects.get(order=order)


def approved(owner: Actor, payment: PaymentTransaction, at: datetime) -> Refund:
    with clock.frozen(at):
        refund = refund_request(
            actor=owner, order_id=payment.order_id, amount=Decimal("10.00"), reason="退号"
        )
        reviewer = Actor(uuid.uuid4(), Role.ADMIN)
        refund_review(actor=reviewer, refund_id=refund.id, is_approved=True, notes="x")
        refunds_sweep()
    return refund


def noticed(
    payment: PaymentTransaction,
    out_refund_no: str,
    completed_at: datetime | None,
    at: datetime = HEARD_AT,
) -> None:
    PaymentCallback.objects.create(
        payment_method=payment.payment_method,
        verdict=Verdict.REFUND_NOTICE,
        body_sha256="",
        is_picked_up=False,
        refund_notice={
            "out_refund_no": out_refund_no,
            "state": "success",
            "refund_id": f"MOCK{out_refund_no}",
            "out_trade_no": payment.out_trade_no,
            "transaction_id": payment.trade_no,
            "amount": "10.00",
            "completed_at": completed_at and completed_at.isoformat(),
        },
    )
    with clock.frozen(at):
        assert notices_take() == 1


@pytest.fixture
def gateway(monkeypatch):
    """The mock gateway, which says of refunds what a test wants."""
    answers: dict[str, object] = {"state": RefundState.PROCESSING}
    real = MockGateway.refund

    def refund(self, request) -> RefundReport:
        return replace(real(self, request), **answers)

    monkeypatch.setattr(MockGateway, "refund", refund)
    return answers


def times(refund: Refund) -> tuple[datetime | None, date | None, datetime | None]:
    """When it was done, its day, when it was booked; its transaction says the same."""
    refund.refresh_from_db()
    money_back = PaymentTransaction.objects.get(refund_id=refund.id)
    assert (money_back.completed_at, money_back.booked_at) == (
        refund.completed_at,
        refund.booked_at,
    )
    return refund.completed_at, refund.completed_on, refund.booked_at


@pytest.mark.parametrize("method", METHODS)
def test_a_notice_after_midnight_counts_on_the_day_before(owner, gateway, method):
    payment = paid(owner, method)
    refund = approved(owner, payment, ORDERED_AT)
    noticed(payment, refund.refund_no, DONE_AT)
    assert times(refund) == (DONE_AT, THE_DAY, HEARD_AT)
    day = clock.day_start(THE_DAY)
    assert refund_statistics(
        start_date=day, end_date=day + timedelta(days=1)
    ).refunded_amount == Decimal("10.00")


@pytest.mark.parametrize("method", METHODS)
def test_so_does_an_answer_to_a_question(owner, gateway, method):
    refund = approved(owner, paid(owner, method), DONE_AT - timedelta(minutes=5))
    gateway |= {"state": RefundState.SUCCESS, "completed_at": DONE_AT}
    with clock.frozen(HEARD_AT):
        refunds_sweep()
    assert times(refund) == (DONE_AT, THE_DAY, HEARD_AT)


@pytest.mark.parametrize("method", METHODS)
def test_so_does_a_refund_made_in_the_merchant_console(owner, method):
    noticed(paid(owner, method), "console-1", DONE_AT)
    assert times(Refund.objects.get()) == (DONE_AT, THE_DAY, HEARD_AT)


SILLY = {
    "none": None,
    "before the order": ORDERED_AT - timedelta(minutes=2),
    "in the future": HEARD_AT + timedelta(minutes=2),
}


@pytest.mark.parametrize("completed_at", SILLY.values(), ids=SILLY)
def test_without_a_credible_time_the_moment_of_booking_counts(owner, gateway, completed_at):
    payment = paid(owner, "wechat")
    refund = approved(owner, payment, ORDERED_AT)
    noticed(payment, refund.refund_no, completed_at)
    assert times(refund) == (HEARD_AT, THE_NEXT, HEARD_AT)


def test_a_refund_to_the_balance_counts_when_it_is_booked(owner):
    refund = approved(owner, paid(owner, "balance"), HEARD_AT)
    assert times(refund) == (HEARD_AT, THE_NEXT, HEARD_AT)


def closed(day: date) -> None:
    with clock.frozen(clock.day_start(day + timedelta(days=1)) + timedelta(hours=1)), atomic():
        day_close(watermark_lock(), day)


@pytest.mark.parametrize("method", METHODS)
def test_of_a_closed_day_it_counts_in_the_first_open_one(owner, gateway, method):
    payment = paid(owner, method)
    refund = approved(owner, payment, ORDERED_AT)
    closed(THE_DAY)
    noticed(payment, refund.refund_no, DONE_AT, at=HEARD_AT + timedelta(days=3))
    refund.refresh_from_db()
    assert (refund.completed_at, refund.completed_on) == (DONE_AT, THE_NEXT)
    event = AuditEvent.objects.get(object_id=str(refund.id), action="refund_succeeded")
    assert event.details["closed_day"] == "2026-11-24"
    days = [clock.day_start(THE_DAY + timedelta(days=number)) for number in range(3)]
    sums = [
        refund_statistics(start_date=start, end_date=end).refunded_amount
        for start, end in ((days[0], days[1]), (days[1], days[2]), (days[0], HEARD_AT))
    ]
    assert sums == [Decimal(0), Decimal("10.00"), Decimal("10.00")]
    assert list(check_days(Scope())) == []
    Refund.objects.update(completed_on=THE_DAY)
    assert [found.code for found in check_days(Scope())] == ["T3"]


def test_the_trail_tells_the_time_and_the_day(owner, gateway):
    payment = paid(owner, "alipay")
    refund = approved(owner, payment, ORDERED_AT)
    noticed(payment, refund.refund_no, DONE_AT)
    event = AuditEvent.objects.get(object_id=str(refund.id), action="refund_succeeded")
    told = {"moved_at": "2026-11-24T15:59:56.000000+00:00", "day": "2026-11-24"}
    assert event.details.items() >= told.items()


def test_of_what_was_booked_before_the_moment_of_booking_was_the_time_itself(owner, gateway):
    payment = paid(owner, "wechat")
    refund = approved(owner, payment, ORDERED_AT)
    noticed(payment, refund.refund_no, None)
    unpaid = PaymentOrder.objects.create(
        order_no="ORD1", user_id=owner.id, order_type="other", amount=1, expire_time=HEARD_AT
    )
    for model in (PaymentOrder, PaymentTransaction, Refund):
        model.objects.update(booked_at=None)
    for room, number in (("payments", "0016"), ("refunds", "0009")):
        name = f"{room}.migrations.{number}_booked_at_of_existing_rows"
        importlib.import_module(name).copy_times(apps, None)
    assert times(refund) == (HEARD_AT, THE_NEXT, HEARD_AT)
    order = PaymentOrder.objects.get(id=payment.order_id)
    assert order.booked_at == order.payment_time == ORDERED_AT
    unpaid.refresh_from_db()
    assert unpaid.booked_at is None
