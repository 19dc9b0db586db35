"""What a race is about, built anew for every run: users of its own, and what they have.

A world is a dictionary of plain values, so that it can be sent to another process. ``users`` says
whose rows belong to it; ``born`` is its zero of time: an action at 60 happens 60 seconds later.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.conf import settings
from django.db.transaction import atomic

from balances.models import UserBalance
from balances.services import balance_freeze, balance_top_up
from config.gateways.services import gateway_config_set
from config.models import PaymentConfig
from config.prices.plan import PriceChange
from config.prices.services import price_change
from gateways.interface import (
    CallbackNotice,
    CallbackRequest,
    RefundReport,
    RefundRequest,
    RefundState,
    TradeReport,
)
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, owe_close, pay
from payments.services.callbacks import Incoming, callback_handle
from payments.services.closed_days import closed_through
from payments.services.endings import order_cancel
from payments.services.exceptions import exception_write_off_ask
from payments.services.exchanges import Question, ask
from payments.services.orders import OrderCommand, order_create
from payments.services.refund_money import refund_transaction_begin
from payments.services.topups import topup_create
from payments.states import ExchangeKind
from reconciliation.models import DayReopening
from reconciliation.services.closing import (
    close_propose,
    close_sign,
    reopening_approve,
    reopening_reject,
    reopening_request,
)
from refunds.bulk_plan import Wanted
from refunds.models import Refund
from refunds.services.bulks import bulk_approve, bulk_request
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refund_submit
from refunds.states import BulkSource
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.ids import new_id
from tests.races.gateway import SharedGateway

World = dict[str, Any]
PRICE = Decimal("30.00")
MONEY = Decimal("100.00")

BUILDERS: dict[str, Callable[[], World]] = {}


def world(builder: Callable[[], World]) -> Callable[[], World]:
    BUILDERS[builder.__name__] = builder
    return builder


def build(name: str) -> World:
    born = datetime.now(UTC)
    with clock.frozen(born):
        return {"born": born} | BUILDERS[name]()


def patient(user_id: UUID) -> Actor:
    return Actor(id=user_id, role=Role.PATIENT, name="patient")


def admin(user_id: UUID) -> Actor:
    return Actor(id=user_id, role=Role.ADMIN, name="admin")


def staff(user_id: UUID) -> Actor:
    return Actor(id=user_id, role=Role.STAFF, name="staff")


# --- bricks -----------------------------------------------------------------------------------


def _user(money: Decimal = Decimal(0)) -> UUID:
    user_id = new_id()
    if money:
        balance_top_up(user_id=user_id, amount=money, reason="race", actor=SYSTEM)
    return user_id


def _order(user_id: UUID, amount: Decimal = PRICE) -> UUID:
    command = OrderCommand(user_id=user_id, order_type="consultation", amount=amount)
    return order_create(actor=patient(user_id), command=command).id


def _start(user_id: UUID, order_id: UUID, method: str) -> PaymentTransaction:
    command = PayCommand(order_id=order_id, payment_method=method)
    pay(actor=patient(user_id), command=command)
    return PaymentTransaction.objects.get(
        order_id=order_id, payment_method=method, status="pending"
    )


def _told(attempt: PaymentTransaction) -> None:
    gateway, number = SharedGateway(attempt.payment_method), attempt.out_trade_no or ""
    question = Question(ExchangeKind.QUERY, attempt)
    _noticed(attempt.payment_method, ask(question, lambda: gateway.query_payment(number)))


def _noticed(method: str, report: TradeReport) -> None:
    request = CallbackRequest({}, new_id().bytes, "application/json", clock.now())
    callback_handle(
        incoming=Incoming(method, request),
        notice=CallbackNotice("", "TRANSACTION.SUCCESS", trade=report),
        is_mock=True,
    )


def _world(user_id: UUID, **things: Any) -> World:
    """With three people who may review."""
    return {"users": [user_id], "user": user_id, "admins": [new_id() for _ in range(3)]} | things


# --- orders to be paid ------------------------------------------------------------------------


@world
def order_and_money() -> World:
    user_id = _user(MONEY)
    return _world(user_id, order=_order(user_id))


@world
def order_and_money_by_sql() -> World:
    user_id = new_id()
    UserBalance.objects.create(user_id=user_id, balance=MONEY)
    return _world(user_id, order=_order(user_id))


@world
def order_without_account() -> World:
    user_id = new_id()
    return _world(user_id, order=_order(user_id))


@world
def two_orders_and_money_for_one() -> World:
    user_id = _user(PRICE)
    return _world(user_id, order=_order(user_id), other=_order(user_id))


@world
def twelve_orders_and_money_for_five() -> World:
    user_id = _user(PRICE * 5)
    return _world(user_id, **{f"order{number}": _order(user_id) for number in range(12)})


@world
def three_orders() -> World:
    user_id = _user()
    return _world(user_id, **{f"order{number}": _order(user_id) for number in range(3)})


@world
def order_for_appointment() -> World:
    user_id, appointment_id = _user(MONEY), new_id()
    command = OrderCommand(
        user_id=user_id, order_type="appointment", amount=PRICE, appointment_id=appointment_id
    )
    order = order_create(actor=patient(user_id), command=command)
    return _world(user_id, order=order.id, appointment=appointment_id)


@world
def nobody() -> World:
    return _world(new_id(), appointment=new_id())


# --- orders with an attempt at a gateway ------------------------------------------------------


@world
def order_at_gateway() -> World:
    user_id = _user(MONEY)
    order_id = _order(user_id)
    attempt = _start(user_id, order_id, "wechat")
    return _world(user_id, order=order_id, number=attempt.out_trade_no)


@world
def order_paid_at_gateway() -> World:
    """The buyer has paid; nobody has told us yet."""
    things = order_at_gateway()
    SharedGateway("wechat").buyer_pays(things["number"])
    return things


@world
def order_paid_at_silent_gateway() -> World:
    """The buyer has paid, and the gateway answers no question; it still calls back."""
    things = order_paid_at_gateway()
    SharedGateway("wechat").go_silent(things["number"])
    return things


@world
def order_paid_unclosed() -> World:
    """Paid at the gateway after a close that it did not hear: nobody will ask before ending."""
    things = order_at_gateway()
    owe_close(PaymentTransaction.objects.get(out_trade_no=things["number"]).id)
    SharedGateway("wechat").buyer_pays(things["number"])
    return things


@world
def order_paid_at_two_gateways() -> World:
    user_id = _user()
    order_id = _order(user_id)
    first = _start(user_id, order_id, "wechat")
    # As if WeChat had been out of reach when the payer changed to Alipay.
    owe_close(first.id)
    second = _start(user_id, order_id, "alipay")
    for attempt in (first, second):
        SharedGateway(attempt.payment_method).buyer_pays(attempt.out_trade_no or "")
    return _world(
        user_id, order=order_id, number=first.out_trade_no, other_number=second.out_trade_no
    )


@world
def money_after_the_end() -> World:
    """Paid after the order was cancelled, and told: money to be given back."""
    user_id = _user()
    order_id = _order(user_id)
    attempt = _start(user_id, order_id, "wechat")
    # As if the close had not been heard there.
    owe_close(attempt.id)
    order_cancel(actor=patient(user_id), order_id=order_id)
    SharedGateway("wechat").buyer_pays(attempt.out_trade_no or "")
    _told(attempt)
    return _world(user_id, order=order_id, number=attempt.out_trade_no)


# --- closed days ------------------------------------------------------------------------------


@world
def order_paid_on_a_day_to_be_closed() -> World:
    """Two days ago a buyer paid one order, of which we were told, and another, of which nobody
    has told us yet; the day can be closed."""
    _open_days_again()
    paid_at = clock.now() - timedelta(days=2)
    with clock.frozen(paid_at):
        things = order_paid_at_gateway()
        user_id = things["user"]
        other = _start(user_id, _order(user_id), "wechat")
    SharedGateway("wechat").buyer_pays(other.out_trade_no or "")
    report_paid(other.out_trade_no or "", paid_at, paid_at)
    day = clock.business_day(paid_at)
    return things | {
        "day": day,
        "paid_at": paid_at,
        "there": PaymentOrder.objects.filter(paid_on=day).count(),
    }


@world
def order_paid_on_a_closed_day() -> World:
    """The same, and the day is closed; somebody has asked for it to be opened again."""
    things = order_paid_on_a_day_to_be_closed()
    one, other = (staff(admin_id) for admin_id in things["admins"][:2])
    close_sign(actor=other, close_id=close_propose(actor=one, day=things["day"]).id)
    asked = reopening_request(actor=one, day=things["day"], reason="race")
    return things | {"reopening": asked.id}


def report_paid(number: str, paid_at: datetime, at: datetime) -> None:
    """The gateway says at ``at`` that the trade was paid at ``paid_at``."""
    report = SharedGateway("wechat").query_payment(number)
    with clock.frozen(at):
        _noticed("wechat", replace(report, paid_at=paid_at))


def _open_days_again() -> None:
    """What earlier runs closed."""
    one, other = staff(new_id()), staff(new_id())
    for waiting in DayReopening.objects.exclude(waiting_close=None):
        reopening_reject(actor=other, reopening_id=waiting.id, notes="race")
    while (day := closed_through()) is not None:
        asked = reopening_request(actor=one, day=day, reason="race")
        reopening_approve(actor=other, reopening_id=asked.id)


# --- refunds ----------------------------------------------------------------------------------


@world
def order_paid_from_balance() -> World:
    things = order_and_money()
    command = PayCommand(order_id=things["order"], payment_method="balance")
    pay(actor=patient(things["user"]), command=command)
    return things | {"other": _order(things["user"])}


@world
def refund_waiting() -> World:
    things = order_paid_from_balance()
    refund = refund_request(
        actor=patient(things["user"]),
        order_id=things["order"],
        amount=Decimal("10.00"),
        reason="race",
    )
    return things | {"refund": refund.id}


@world
def bulk_agreed_to() -> World:
    """What is left of an order is in a bulk that two people agreed to."""
    things = refund_waiting()
    bulk = bulk_request(
        actor=admin(things["admins"][0]),
        wanted=[Wanted(str(things["order"]))],
        reason="race",
        source=BulkSource.ORDERS,
    )
    bulk_approve(actor=admin(things["admins"][1]), bulk_id=bulk.id, notes="race")
    return things | {"bulk": bulk.id}


@world
def two_refunds_waiting() -> World:
    things = refund_waiting()
    refund = refund_request(
        actor=patient(things["user"]),
        order_id=things["order"],
        amount=Decimal("20.00"),
        reason="race",
    )
    return things | {"other_refund": refund.id}


@world
def refund_waiting_for_two_people() -> World:
    things = refund_waiting()
    Refund.objects.filter(id=things["refund"]).update(approvals_needed=2)
    return things


@world
def order_paid_by_gateway() -> World:
    things = order_paid_at_gateway()
    _told(PaymentTransaction.objects.get(out_trade_no=things["number"]))
    return things


@world
def gateway_refund_waiting() -> World:
    things = order_paid_by_gateway()
    refund = refund_request(
        actor=patient(things["user"]), order_id=things["order"], amount=PRICE, reason="race"
    )
    return things | {"refund": refund.id}


@world
def gateway_refund_approved() -> World:
    things = gateway_refund_waiting()
    refund_review(
        actor=admin(things["admins"][0]), refund_id=things["refund"], is_approved=True, notes=""
    )
    return things


@world
def gateway_refund_sent() -> World:
    """Sent once, without an answer that says how it ended."""
    things = gateway_refund_approved()
    Refund.objects.filter(id=things["refund"]).update(
        submissions=1, sendings=1, sent_at=clock.now() - timedelta(minutes=2)
    )
    refund = Refund.objects.select_related("transaction").get(id=things["refund"])
    with atomic():
        refund_transaction_begin(
            payment=refund.transaction,
            refund_id=refund.id,
            amount=refund.refund_amount,
            actor=SYSTEM,
        )
    return things


@world
def gateway_refund_failed() -> World:
    """Refused by the gateway: staff may send it again, with the same number."""
    things = gateway_refund_approved()
    with SharedGateway("wechat").refusing_refunds(things["number"]):
        refund_submit(refund_id=things["refund"])
    # Only later is the gateway believed that it knows of no refund.
    Refund.objects.filter(id=things["refund"]).update(
        sent_at=clock.now() - timedelta(minutes=2), next_check_at=clock.now()
    )
    refund_submit(refund_id=things["refund"])
    case = PaymentException.objects.get(order_id=things["order"], kind="refund_refused")
    return things | {"case": case.id}


@world
def write_off_asked() -> World:
    """Somebody asked to write the refused refund's case off: a second person decides."""
    things = gateway_refund_failed()
    exception_write_off_ask(
        actor=admin(things["admins"][2]), exception_id=things["case"], reason="race"
    )
    return things


@world
def gateway_refund_announced() -> World:
    """The gateway's notice that a refund succeeded waits to be taken."""
    things = gateway_refund_sent()
    refund = Refund.objects.select_related("transaction").get(id=things["refund"])
    SharedGateway("wechat").refund(
        RefundRequest(
            out_trade_no=refund.transaction.out_trade_no or "",
            transaction_id="",
            out_refund_no=refund.refund_no,
            refund_amount=refund.refund_amount,
            total_amount=refund.transaction.amount,
            reason="",
        )
    )
    _announce(refund.transaction, refund.refund_no, refund.refund_amount)
    return things


@world
def outside_refund_announced() -> World:
    """Staff gave 10 yuan back in the merchant's console; the gateway's notice waits."""
    things = order_paid_by_gateway()
    payment = PaymentTransaction.objects.get(out_trade_no=things["number"])
    number, amount = f"X{new_id().hex}", Decimal("10.00")
    SharedGateway("wechat").refund(
        RefundRequest(
            out_trade_no=things["number"],
            transaction_id="",
            out_refund_no=number,
            refund_amount=amount,
            total_amount=payment.amount,
            reason="",
        )
    )
    _announce(payment, number, amount)
    return things


def _announce(payment: PaymentTransaction, out_refund_no: str, amount: Decimal) -> None:
    report = RefundReport(
        out_refund_no,
        RefundState.SUCCESS,
        refund_id=f"M{out_refund_no}",
        out_trade_no=payment.out_trade_no or "",
        amount=amount,
    )
    request = CallbackRequest({}, new_id().bytes, "application/json", clock.now())
    callback_handle(
        incoming=Incoming("wechat", request),
        notice=CallbackNotice("", "REFUND.SUCCESS", refund=report),
        is_mock=True,
    )


@world
def money_and_frozen_money() -> World:
    """100 yuan, 40 of them frozen."""
    user_id = _user(MONEY)
    balance_freeze(user_id=user_id, amount=Decimal("40.00"), reason="race", actor=SYSTEM)
    return _world(user_id, order=_order(user_id))


@world
def a_busy_hour() -> World:
    """One of everything that a sweep looks for."""
    user_id = _user()
    due = _order(user_id)
    attempted, paid, late = _order(user_id), _order(user_id), _order(user_id)
    attempts = {order_id: _start(user_id, order_id, "wechat") for order_id in (attempted, paid)}
    SharedGateway("wechat").buyer_pays(attempts[paid].out_trade_no or "")
    late_attempt = _start(user_id, late, "wechat")
    owe_close(late_attempt.id)
    order_cancel(actor=patient(user_id), order_id=late)
    SharedGateway("wechat").buyer_pays(late_attempt.out_trade_no or "")
    _told(late_attempt)
    others = gateway_refund_approved()
    announced = gateway_refund_announced()
    users = [user_id, others["user"], announced["user"]]
    return _world(user_id, order=due) | {"users": users}


# --- prices and configuration -----------------------------------------------------------------


@world
def priced_service() -> World:
    service_type = f"race_{new_id().hex}"
    price_change(actor=SYSTEM, change=PriceChange(service_type, PRICE, service_name="race"))
    return _world(new_id(), service_type=service_type)


@world
def order_and_configuration() -> World:
    things = order_and_money()
    old, new = f"wx{new_id().hex}", f"wx{new_id().hex}"
    gateway_config_set(actor=SYSTEM, method="wechat", key="app_id", value=old)
    return things | {"old": old, "new": new}


@world
def order_paid_at_gateway_and_configuration() -> World:
    things = order_and_configuration()
    attempt = _start(things["user"], things["order"], "wechat")
    SharedGateway("wechat").buyer_pays(attempt.out_trade_no or "")
    return things | {"number": attempt.out_trade_no}


@world
def order_and_configuration_by_sql() -> World:
    things = order_and_configuration()
    PaymentConfig.objects.filter(payment_method="wechat", config_key="app_id").update(
        config_value=things["new"]
    )
    return things


def orders_of(things: World) -> list[PaymentOrder]:
    return list(PaymentOrder.objects.filter(user_id__in=things["users"]).order_by("created_at"))


# --- top-ups ----------------------------------------------------------------------------------


def _topup(user_id: UUID, amount: Decimal = PRICE) -> UUID:
    return topup_create(actor=patient(user_id), user_id=user_id, amount=amount).id


def _with_topups(builder: Callable[[], World]) -> World:
    """The same world, whose orders are top-ups."""
    with patch(f"{__name__}._order", _topup):
        return builder()


@world
def topup_paid_at_gateway() -> World:
    return _with_topups(order_paid_at_gateway)


@world
def topup_paid_unclosed() -> World:
    return _with_topups(order_paid_unclosed)


@world
def topup_paid_at_two_gateways() -> World:
    return _with_topups(order_paid_at_two_gateways)


@world
def two_topups_and_room_for_one() -> World:
    """Both are paid, and nobody has told us yet."""
    things = topup_paid_at_gateway()
    other = _start(things["user"], _topup(things["user"]), "alipay")
    SharedGateway("alipay").buyer_pays(other.out_trade_no or "")
    room = settings.TOPUP_BOUNDS["TOPUP_BALANCE_MAX"] - MONEY - PRICE - Decimal("0.01")
    balance_top_up(user_id=things["user"], amount=room, reason="race", actor=SYSTEM)
    return things | {"other_number": other.out_trade_no}


@world
def topped_up() -> World:
    """By 30 yuan, beside 100; an order of 110 can be paid while nothing goes back."""
    things = _with_topups(order_paid_by_gateway)
    return things | {"other": _order(things["user"], Decimal("110.00"))}


@world
def topup_going_back() -> World:
    """All of the 30 yuan is asked back."""
    return _with_topups(gateway_refund_waiting)


@world
def topup_sent_back() -> World:
    things = _with_topups(gateway_refund_sent)
    return things | {"other": _order(things["user"], Decimal("110.00"))}


@world
def topup_not_sent_back() -> World:
    things = _with_topups(gateway_refund_failed)
    return things | {"other": _order(things["user"], Decimal("110.00"))}
