"""Refunds of one order follow each other no faster than the gateway wants them."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from gateways.errors import GatewayRejected, RejectReason
from payments.models import PaymentTransaction
from payments.services.refund_money import last_refund_started_at
from refunds.models import Refund
from refunds.services.submission import _refusal_text, _too_soon, refund_submit
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT
from tcmpay.common import clock

pytestmark = pytest.mark.django_db
# Seconds, as the gateways' documents have them and one more.
SPACING = {"wechat": 61, "alipay": 4}


@pytest.fixture(autouse=True)
def _begun(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture(params=SPACING)
def payment(request) -> PaymentTransaction:
    payment = stage.paid(request.param)
    payment.is_mock = False  # in hand only: the mock stands in for a gateway
    return payment


def test_the_second_waits_until_the_first_is_long_enough_ago(payment):
    stage.sent(payment)
    second = stage.unsent(payment)
    allowed_at = BEGUN_AT + timedelta(seconds=SPACING[payment.payment_method])
    assert _too_soon(second, payment) == allowed_at
    with clock.frozen(allowed_at - timedelta(seconds=1)):
        assert _too_soon(second, payment) == allowed_at
    with clock.frozen(allowed_at):
        assert _too_soon(second, payment) is None


def test_it_waits_neither_for_itself_nor_where_it_was_sent_before_nor_at_a_mock(payment):
    first = stage.sent(payment)
    first.sendings = 0
    assert _too_soon(first, payment) is None
    second = stage.unsent(payment)
    second.sendings = 1
    assert _too_soon(second, payment) is None
    second.sendings = 0
    payment.is_mock = True
    assert _too_soon(second, payment) is None


def test_refunds_of_other_orders_and_gateways_do_not_count(payment):
    stage.sent(stage.paid(payment.payment_method))
    waiting = stage.unsent(payment)
    assert last_refund_started_at(payment, other_than=waiting.id) is None
    assert _too_soon(waiting, payment) is None


def test_until_then_nothing_is_sent_and_it_is_due_again_at_that_moment(payment):
    refund = stage.unsent(payment)
    later = BEGUN_AT + timedelta(seconds=9)
    with patch("refunds.services.submission._too_soon", return_value=later):
        assert not refund_submit(refund_id=refund.id)
    refund.refresh_from_db()
    assert (refund.next_check_at, refund.sendings, refund.submissions) == (later, 0, 0)
    with clock.frozen(later - timedelta(seconds=1)):
        assert not refund_submit(refund_id=refund.id)
    with clock.frozen(later):
        assert refund_submit(refund_id=refund.id)
    assert Refund.objects.get(id=refund.id).status == "success"


def test_a_merchant_account_without_money_is_named_with_what_to_do():
    short = GatewayRejected("NOT_ENOUGH", reason=RejectReason.SHORT_OF_FUNDS)
    other = GatewayRejected("余额不足", code="X", reason=RejectReason.CONFIGURATION)
    assert "请充值" in _refusal_text(short)
    assert "请充值" not in _refusal_text(other)
