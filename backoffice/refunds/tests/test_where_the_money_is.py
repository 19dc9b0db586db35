"""Where a refund's money is, in plain words."""

from datetime import timedelta

import pytest

from backoffice.refunds.facts import money_place
from gateways.errors import GatewayRejected, RejectReason
from payments.models import PaymentException
from refunds.models import Refund
from refunds.services.stopping import refund_stop
from refunds.tests.stage import (
    BEGUN_AT,
    FORBIDDEN,
    WANG,
    Gateway,
    fails,
    paid,
    says_nothing,
    unsent,
)
from tcmpay.common import clock

pytestmark = pytest.mark.django_db
SHORT = fails(GatewayRejected("no money", code="NOT_ENOUGH", reason=RejectReason.SHORT_OF_FUNDS))


@pytest.fixture
def short(settings) -> tuple[Refund, Gateway]:
    """A refund that waits for the merchant's account to be filled, and its gateway."""
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        refund = unsent(paid("wechat"))
    gateway = Gateway(SHORT)
    gateway.sweep_at(1)
    return Refund.objects.get(pk=refund.pk), gateway


def test_what_waits_for_money_of_ours_is_not_said_to_be_with_the_gateway(short):
    refund, _gateway = short
    assert "商户账户余额不足" in money_place(refund)


def test_it_leads_to_the_case_which_says_how_much_waits_and_back_to_the_list(short, admin_client):
    refund, _gateway = short
    case = PaymentException.objects.get(kind="account_short")
    of_case = f"/admin/payments/paymentexception/{case.pk}/change/"
    assert of_case in admin_client.get(f"/admin/refunds/refund/{refund.pk}/change/").text
    page = admin_client.get(of_case).text
    waiting = f"/admin/refunds/refund/?funds={case.pk}"
    assert f'href="{waiting}">1 笔，共 <span class="tcm-money">{refund.refund_amount:,.2f}<' in page
    assert "让等待的退款马上再试" in page
    assert refund.refund_no in admin_client.get(waiting).text
    assert "1 笔等待商户账户充值" in admin_client.get("/admin/").text


def test_the_list_of_a_case_has_its_merchants_refunds_alone(short, admin_client):
    refund, _gateway = short
    case = PaymentException.objects.get(kind="account_short")
    # As if another merchant number of the gateway were short.
    PaymentException.objects.filter(pk=case.pk).update(fact_key="wechat:account_short:1900000999")
    listed = f"/admin/refunds/refund/?funds={case.pk}"
    assert refund.refund_no not in admin_client.get(listed).text
    assert refund.refund_no in admin_client.get("/admin/refunds/refund/?funds=wait").text
    assert refund.refund_no not in admin_client.get("/admin/refunds/refund/?funds=nobody").text


def test_what_a_colleague_stopped_was_not_refused(short):
    refund, gateway = short
    gateway.query = FORBIDDEN
    with clock.frozen(BEGUN_AT + timedelta(seconds=10)):
        refund_stop(actor=WANG, refund_id=refund.pk, reason="改为线下退还")
    refund.refresh_from_db()
    assert money_place(refund).startswith("已停止发送")
    gateway.query = says_nothing
    gateway.sweep_at(2000, 4000)
    refund.refresh_from_db()
    assert (refund.status, "拒绝" in money_place(refund)) == ("failed", False)
