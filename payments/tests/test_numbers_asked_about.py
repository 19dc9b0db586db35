"""A gateway is asked and told to close by the number of the attempt; what ends one, and not."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from gateways.interface import CloseState, TradeReport, TradeState
from gateways.mock import MockGateway
from payments.errors import TooManyAttempts
from payments.models import PaymentTransaction
from payments.services.attempts import (
    PayCommand,
    attempt_close,
    attempt_give_up_unknown,
    pay,
)
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tests.clinic import report_paid, started_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(settings) -> PaymentTransaction:
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    return started_attempt()


def test_it_is_asked_about_and_closed_by_its_number(attempt):
    unpaid = TradeReport(attempt.out_trade_no, TradeState.UNPAID)
    with (
        patch.object(MockGateway, "query_payment", return_value=unpaid) as asked,
        patch.object(MockGateway, "close_payment", return_value=CloseState.CLOSED) as closed,
    ):
        assert attempt_close(attempt) is TradeState.UNPAID
    asked.assert_called_once_with(attempt.out_trade_no)
    closed.assert_called_once_with(attempt.out_trade_no)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.error_code) == ("failed", "CLOSED")


def given_up(attempt: PaymentTransaction, **changes: object) -> str:
    PaymentTransaction.objects.filter(id=attempt.id).update(**changes)
    attempt_give_up_unknown(attempt.id)
    attempt.refresh_from_db()
    return attempt.status


def test_an_unknown_number_is_given_up_when_its_time_is_over_and_never_after_it_was_paid(attempt):
    assert given_up(attempt, response_data=None) == "pending"  # begun just now
    long_ago = clock.now() - timedelta(hours=1)
    paid = started_attempt()
    report_paid(paid)
    waited = {"response_data": None, "initiated_at": long_ago, "started_at": None}
    assert given_up(paid, **waited) == "success"
    assert given_up(attempt, initiated_at=long_ago, started_at=None) == "failed"


def test_with_as_many_attempts_as_may_be_only_the_open_one_goes_on(attempt, monkeypatch):
    monkeypatch.setattr("payments.services.attempts.ATTEMPTS_MAX", 1)
    owner = Actor(attempt.order.user_id, Role.PATIENT)
    pay(actor=owner, command=PayCommand(order_id=attempt.order_id, payment_method="wechat"))
    with pytest.raises(TooManyAttempts):
        pay(actor=owner, command=PayCommand(order_id=attempt.order_id, payment_method="alipay"))
    attempt.refresh_from_db()
    assert attempt.status == "pending"  # nothing was closed for what is refused
    assert PaymentTransaction.objects.count() == 1


def test_it_is_asked_about_first_a_minute_after_it_began(attempt):
    assert attempt.next_check_at - attempt.initiated_at == timedelta(minutes=1)
