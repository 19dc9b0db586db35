"""A refund notice that overtook the payment's: the payment is asked about first."""

from unittest.mock import patch

import pytest

from gateways.interface import RefundState
from gateways.mock import MockGateway
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, SOME
from tcmpay.common import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _begun(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def test_the_payment_is_booked_and_then_its_refund():
    attempt = stage.started("wechat")
    stage.noticed(attempt, "console-1", RefundState.SUCCESS, amount=SOME)
    paid = stage.trade(attempt)
    with patch.object(MockGateway, "query_payment", return_value=paid) as asked:
        assert notices_take() == 1
    asked.assert_called_once_with(attempt.out_trade_no)
    attempt.refresh_from_db()
    refund = Refund.objects.get()
    assert (attempt.status, refund.status, refund.refund_amount) == ("success", "success", SOME)


def test_one_that_is_booked_is_not_asked_about():
    payment = stage.paid("wechat")
    stage.noticed(payment, "console-1", RefundState.SUCCESS, amount=SOME)
    with patch.object(MockGateway, "query_payment") as asked:
        assert notices_take() == 1
    assert not asked.called
    assert Refund.objects.get().status == "success"
