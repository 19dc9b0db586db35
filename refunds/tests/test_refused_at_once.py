"""A refund that was refused when it was first sent: the refusal may be wrong, and a question asked
too early too, so that its money is free only once the gateway, asked later, knows of no refund."""

import pytest

from gateways.errors import GatewayRejected
from gateways.interface import RefundState
from payments.models import PaymentTransaction
from refunds.errors import RefundExceedsPaid
from refunds.limits import LIMITS
from refunds.models import Refund
from refunds.services.requests import refund_request
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, OWNER, SOME, Gateway, fails, says, says_nothing
from tcmpay.common import clock

pytestmark = pytest.mark.django_db

REFUSED = fails(GatewayRejected("no", code="PARAM_ERROR"))


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture(params=["wechat", "alipay"])
def payment(request) -> PaymentTransaction:
    return stage.paid(request.param)


def known_after(payment: PaymentTransaction) -> float:
    return LIMITS[payment.payment_method].known_after.total_seconds()


def test_its_money_is_held_as_long_as_a_question_may_miss_it(payment):
    refund = stage.unsent(payment)
    Gateway(REFUSED, says_nothing).sweep_at(1, 2, known_after(payment) / 2)
    refund.refresh_from_db()
    assert refund.status == "processing"
    with pytest.raises(RefundExceedsPaid):
        refund_request(actor=OWNER, order_id=payment.order_id, amount=3 * SOME, reason="退号")


def test_one_that_was_done_after_all_is_booked(payment):
    refund = stage.unsent(payment)
    Gateway(REFUSED, says_nothing).sweep_at(1)
    Gateway(REFUSED, says(RefundState.SUCCESS)).sweep_at(known_after(payment) + 2)
    refund.refresh_from_db()
    assert (refund.status, Refund.objects.count()) == ("success", 1)


def test_one_that_was_not_done_fails_with_the_gateways_words(payment):
    refund = stage.unsent(payment)
    gateway = Gateway(REFUSED, says_nothing)
    gateway.sweep_at(1, known_after(payment) + 2)
    refund.refresh_from_db()
    assert (refund.status, refund.error_code, gateway.sendings) == ("failed", "PARAM_ERROR", 1)
