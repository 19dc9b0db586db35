"""What a gateway's answer about one attempt does, and what it must not do to another."""

from datetime import timedelta

import pytest

from gateways.errors import GatewayUnknown
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.errors import GatewayDown
from payments.models import PaymentException, PaymentTransaction
from payments.services.settlement import trade_report_apply
from payments.services.sweeping import attempts_sweep
from payments.states import ExceptionKind, OrderStatus, TransactionStatus, Verdict
from tcmpay.common import clock
from tests.clinic import started_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def mock_gateways(settings):
    settings.MOCK_CALLBACKS = True


def paid(attempt: PaymentTransaction, number: str) -> TradeReport:
    return TradeReport(
        attempt.out_trade_no or "", TradeState.PAID, transaction_id=number, amount=attempt.amount
    )


def test_one_gateway_number_pays_one_attempt():
    """The unique column would refuse it too: as a fault of ours that the gateway sends again."""
    first, second = started_attempt(), started_attempt()
    trade_report_apply(method="wechat", report=paid(first, "4200001"))
    settlement = trade_report_apply(method="wechat", report=paid(second, "4200001"))
    assert settlement.verdict is Verdict.MISMATCH
    second.refresh_from_db()
    assert (second.status, second.order.status) == (TransactionStatus.PENDING, OrderStatus.PENDING)
    assert PaymentException.objects.get().kind == ExceptionKind.MISMATCH


def test_the_same_number_at_the_other_gateway_is_another_number():
    first, second = started_attempt("wechat"), started_attempt("alipay")
    trade_report_apply(method="wechat", report=paid(first, "4200001"))
    settlement = trade_report_apply(method="alipay", report=paid(second, "4200001"))
    assert settlement.verdict is Verdict.APPLIED


@pytest.mark.parametrize(
    ("method", "is_start_answered", "minutes", "status"),
    [
        ("wechat", False, 4, TransactionStatus.PENDING),
        ("wechat", False, 6, TransactionStatus.FAILED),
        # The payer may hold the code: what the gateway once knew it may know again.
        ("wechat", True, 60, TransactionStatus.PENDING),
        # Alipay knows a trade only once its buyer opened it: the shown code may be scanned yet.
        ("alipay", False, 6, TransactionStatus.PENDING),
        ("alipay", True, 60, TransactionStatus.PENDING),
    ],
)
def test_a_number_that_the_gateway_does_not_know(
    monkeypatch, method, is_start_answered, minutes, status
):
    def unknown(_self, number):
        return TradeReport(number, TradeState.NOT_FOUND)

    def silent(_self, _prepared):
        raise GatewayUnknown("no answer")

    monkeypatch.setattr(MockGateway, "query_payment", unknown)
    now = clock.now()
    with clock.frozen(now):
        if is_start_answered:
            attempt = started_attempt(method)
        else:
            monkeypatch.setattr(MockGateway, "create_payment", silent)
            with pytest.raises(GatewayDown):
                started_attempt(method)
            attempt = PaymentTransaction.objects.get()
    with clock.frozen(now + timedelta(minutes=minutes)):
        assert attempts_sweep() == 1
    attempt.refresh_from_db()
    assert attempt.status == status
