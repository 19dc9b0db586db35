"""Small rules that decide about money, case by case."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from gateways.interface import CloseState, TradeState
from payments.errors import OrderExpired, OrderNotPayable, PriceRequired
from payments.invariants_evidence import _callback_problem
from payments.invariants_logs import _booking_problem, _is_sample
from payments.services.attempts import (
    GATEWAY_EXPIRY_MARGIN,
    _fits,
    _may_still_be_opened,
    never_arrived,
)
from payments.services.orders import OrderCommand, _charge, ensure_open
from payments.services.settlement import _completion, _disposition
from payments.states import OrderStatus
from tcmpay.audit.upgrade import RESTART_LEEWAY
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Row = SimpleNamespace


@pytest.fixture(autouse=True)
def _now():
    with clock.frozen(NOW):
        yield


# --- a code that may still be opened -------------------------------------------------------------


def attempt(ends_at: datetime | None, answer: dict[str, str] | None) -> Any:
    return Row(gateway_expires_at=ends_at, response_data=answer)


ALIVE, DEAD = NOW - GATEWAY_EXPIRY_MARGIN + SECOND, NOW - GATEWAY_EXPIRY_MARGIN
ANSWER = {"code_url": "weixin://"}


@pytest.mark.parametrize(
    ("state", "closed", "answer", "is_open"),
    [
        (TradeState.NOT_FOUND, CloseState.CLOSED, ANSWER, True),
        (TradeState.NOT_FOUND, CloseState.CLOSED, None, False),
        (TradeState.UNPAID, CloseState.CLOSED, ANSWER, False),
        (TradeState.UNPAID, CloseState.NOT_FOUND, None, True),
        (TradeState.NOT_FOUND, CloseState.NOT_FOUND, ANSWER, True),
    ],
)
def test_a_code_may_be_opened_while_it_lives_and_nothing_was_closed(state, closed, answer, is_open):
    assert _may_still_be_opened(attempt(ALIVE, answer), state, closed) is is_open
    assert not _may_still_be_opened(attempt(DEAD, answer), state, closed)
    assert not _may_still_be_opened(attempt(None, answer), state, closed)


@pytest.mark.parametrize("other", ["", "payment_method", "scene", "openid"])
def test_another_way_of_paying_does_not_continue_an_attempt(other):
    facts = {"payment_method": "wechat", "scene": "jsapi", "openid": "o1"}
    begun = Row(payment_method="wechat", scene="jsapi", request_data={"asked": {"openid": "o1"}})
    wanted = facts | ({other: "x"} if other else {})
    assert _fits(begun, Row(**wanted), wanted["scene"]) is (other == "")


def starting(seconds_ago: float, *, again: bool = False, answer: object = None) -> Any:
    begun = NOW - timedelta(seconds=seconds_ago)
    first = begun - timedelta(hours=1) if again else begun
    return Row(initiated_at=first, started_at=begun if again else None, response_data=answer)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
def test_an_unknown_number_never_arrived_five_minutes_after_its_newest_start(again):
    assert never_arrived(starting(300, again=again))
    assert not never_arrived(starting(299, again=again))
    assert not never_arrived(starting(300, again=again, answer=ANSWER))


@pytest.mark.parametrize(
    ("status", "left", "refusal"),
    [
        ("pending", SECOND, None),
        ("pending", timedelta(0), OrderExpired),
        ("pending", -SECOND, OrderExpired),
        ("expired", SECOND, OrderExpired),
        ("paid", SECOND, OrderNotPayable),
        ("cancelled", -SECOND, OrderNotPayable),
    ],
)
def test_an_order_is_open_while_it_is_pending_and_its_time_is_not_over(status, left, refusal):
    order = Row(status=status, expire_time=NOW + left)
    if refusal is None:
        ensure_open(order)
    else:
        with pytest.raises(refusal):
            ensure_open(order)


# --- what an order costs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "policy", "amount", "is_taken"),
    [
        (Role.PATIENT, "open", "9.00", True),
        (Role.PATIENT, "open", None, False),
        (Role.PATIENT, "priced", "9.00", False),
        (Role.ADMIN, "priced", "9.00", True),
        (Role.SERVICE, "priced", "9.00", True),
        (Role.SERVICE, "priced", None, False),
    ],
)
def test_whose_word_an_amount_without_a_service_is(settings, role, policy, amount, is_taken):
    settings.ORDER_PRICE_POLICY = policy
    asked = Decimal(amount) if amount else None
    command = OrderCommand(user_id=new_id(), order_type="other", amount=asked)
    if is_taken:
        assert _charge(Actor(new_id(), role), command).amount == asked
    else:
        with pytest.raises(PriceRequired):
            _charge(Actor(new_id(), role), command)


@pytest.mark.parametrize("status", OrderStatus)
def test_money_is_applied_to_a_pending_order_alone(status):
    expected = {"pending": "applied", "cancelled": "late", "expired": "late"}
    assert _disposition(Row(status=status)) == expected.get(status, "second")


def test_what_ends_without_money_is_completed_now():
    assert _completion(None) == {"completed_at": NOW}


# --- what the audit says of rows ------------------------------------------------------------------


def booked(**other: Any) -> Any:
    facts: dict[str, Any] = {
        "id": "p",
        "payment_method": "wechat",
        "out_trade_no": "ORD1",
        "trade_no": "T1",
        "amount": Decimal("30.00"),
        "external_transaction_id": "T1",
        "is_mock": False,
        "config_version_id": "v",
        "completed_at": NOW,
    }
    return Row(**facts | other)


TOLD = ("wechat", "ORD1", "T1", Decimal("30.00"))
BY_GATEWAY, BY_MOCK = {TOLD: {False}}, {TOLD: {True}}
ANSWERED = {"p": {("T1", Decimal("30.00"))}}
MOCK = {"is_mock": True, "external_transaction_id": "MOCK-ORD1"}


@pytest.mark.parametrize(
    ("payment", "told", "answers"),
    [
        (booked(), BY_GATEWAY, {}),
        (booked(), {}, ANSWERED),
        (booked(), {}, {"p": {None}}),
        (booked(), BY_MOCK, ANSWERED),
        (booked(**MOCK), BY_MOCK, {}),
        (booked(**MOCK, config_version_id=None), BY_MOCK, {}),
        (booked(**MOCK, config_version_id=None), {}, ANSWERED),
        (booked(external_transaction_id="MOCK-ORD1"), BY_GATEWAY, {}),
    ],
)
def test_a_payment_that_a_gateway_told_of_is_right(payment, told, answers):
    assert _booking_problem(payment, told, answers) == ""


@pytest.mark.parametrize(
    ("payment", "told", "answers", "problem"),
    [
        (booked(), {}, {}, "入账没有相符的网关通知或查询答复"),
        (booked(amount=Decimal("29.00")), BY_GATEWAY, ANSWERED, "入账没有相符"),
        (booked(trade_no="T2"), BY_GATEWAY, ANSWERED, "入账没有相符"),
        (booked(out_trade_no="ORD2"), BY_GATEWAY, {}, "入账没有相符"),
        (booked(payment_method="alipay"), BY_GATEWAY, {}, "入账没有相符"),
        (booked(id="q"), {}, ANSWERED, "入账没有相符"),
        (booked(external_transaction_id="T2"), BY_GATEWAY, {}, "网关流水号与网关交易号不符"),
        (booked(is_mock=True), BY_GATEWAY, {}, "标记为模拟支付，却没有模拟通知"),
        (booked(), BY_MOCK, {}, "只有模拟通知，却没有标记为模拟支付"),
    ],
)
def test_one_that_nobody_told_of_or_told_otherwise_is_named(payment, told, answers, problem):
    assert _booking_problem(payment, told, answers).startswith(problem)


@pytest.mark.parametrize(
    ("other", "is_sample"),
    [
        ({}, True),
        ({"is_mock": False}, False),
        ({"config_version_id": "v"}, False),
        ({"completed_at": NOW - RESTART_LEEWAY}, False),
        ({"completed_at": None}, False),
    ],
)
def test_a_sample_is_a_mocks_old_payment_without_a_configuration(other, is_sample):
    sample = {
        "is_mock": True,
        "config_version_id": None,
        "completed_at": NOW - RESTART_LEEWAY - SECOND,
    }
    assert _is_sample(booked(**sample | other), NOW) is is_sample
    assert not _is_sample(booked(**sample | other), None)


def callback(verdict: str, payment: Any = None, **other: Any) -> Any:
    facts = {"is_picked_up": None, "refund_notice": None, "amount": Decimal("30.00")}
    return Row(verdict=verdict, transaction=payment, **facts | other)


def success(disposition: str = "applied", status: str = "success") -> Any:
    return Row(status=status, disposition=disposition, amount=Decimal("30.00"))


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (callback("applied", success()), ""),
        (callback("repeat", success("second")), ""),
        (callback("late", success("late")), ""),
        (callback("not_paid"), ""),
        (callback("untrusted", amount=None), ""),
        (callback("not_paid", is_picked_up=True, refund_notice={"x": 1}), ""),
        (callback("not_paid", is_picked_up=True), "退款通知的处理标记"),
        (callback("not_paid", refund_notice={"x": 1}), "退款通知的处理标记"),
        (callback("untrusted"), "未通过验证的通知"),
        (callback("untrusted", success(), amount=None), "未通过验证的通知"),
        (callback("applied"), "支付成功的通知没有"),
        (callback("applied", success(status="failed")), "支付成功的通知没有"),
        (callback("applied", success("late")), "通知的结论或金额"),
        (callback("repeat", success(), amount=Decimal("29.00")), "通知的结论或金额"),
    ],
)
def test_a_message_leads_to_what_its_verdict_says(told, problem):
    assert _callback_problem(told).startswith(problem)
    assert bool(_callback_problem(told)) is bool(problem)
