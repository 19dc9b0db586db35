"""The merchant's account has not enough: refunds wait for it, go again by themselves, one case."""

import uuid
from datetime import timedelta
from itertools import pairwise

import pytest
from django.contrib.auth.models import Group

from config.gateways.selectors import gateway_config_current
from config.gateways.services import gateway_config_set
from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import RefundState
from gateways.mock import MockGateway
from payments.models import PaymentException, PaymentTransaction
from refunds.models import Refund
from refunds.services import funds, submission
from refunds.services.batches import batch_confirm, batch_run
from refunds.services.funds import WAIT_MAX, WAITING_MAX, funds_retry
from refunds.services.requests import refund_request
from refunds.services.retries import refund_retry
from refunds.services.stopping import refund_stop
from refunds.states import BatchDecision
from refunds.tests.stage import (
    ALL,
    BEGUN_AT,
    FORBIDDEN,
    OWNER,
    WANG,
    Gateway,
    ends_before_the_first_write,
    fails,
    paid,
    says,
    unsent,
)
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock

pytestmark = pytest.mark.django_db
SHORT = fails(GatewayRejected("no money", code="NOT_ENOUGH", reason=RejectReason.SHORT_OF_FUNDS))
both_gateways = pytest.mark.parametrize("method", ["wechat", "alipay"])
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True


def waiting(method: str = "wechat") -> Refund:
    with clock.frozen(BEGUN_AT):
        return unsent(paid(method))


def cases(kind: str) -> list[str]:
    return list(PaymentException.objects.filter(kind=kind).values_list("outcome", flat=True))


@both_gateways
def test_it_waits_for_the_account_and_goes_again_by_itself_under_its_number(method):
    refund = waiting(method)
    gateway = Gateway(SHORT)
    gateway.sweep_at(1)
    refund.refresh_from_db()
    assert (refund.status, refund.state_text) == ("processing", "等待商户账户充值")
    gateway.sweep_at(200)
    assert gateway.sendings == 1, "not before five minutes are over"
    gateway.sweep_at(320)
    assert gateway.sendings == 2
    gateway.refund = says(RefundState.SUCCESS)
    gateway.sweep_at(2 * DAY, 2 * DAY + 30)
    number = refund.refund_no
    refund.refresh_from_db()
    assert (refund.status, refund.refund_no, refund.number_generation, refund.short_since) == (
        "success", number, 1, None,
    )  # fmt: skip
    assert (cases("account_short"), cases("refund_refused")) == (["settled"], [])


def test_it_is_sent_ever_more_rarely_and_for_a_week_at_most():
    refund, gateway = waiting(), Gateway(SHORT)
    moment, moments = 1.0, []
    while moment < 9 * DAY:
        before = gateway.sendings
        gateway.sweep_at(moment)
        if gateway.sendings > before:
            moments.append(moment)
        moment += 1800
    waits = [later - earlier for earlier, later in pairwise(moments)]
    assert waits == sorted(waits)
    assert len(moments) < 50
    assert max(waits) <= WAIT_MAX.total_seconds() + 1800
    assert moments[-1] <= (WAITING_MAX + WAIT_MAX).total_seconds() + 1800
    refund.refresh_from_db()
    assert (refund.status, refund.error_code, refund.short_since) == ("failed", "NOT_ENOUGH", None)
    assert (cases("account_short"), cases("refund_refused")) == (["settled"], [""])
    with clock.frozen(BEGUN_AT + timedelta(days=10)):
        refund_retry(actor=WANG, refund_id=refund.id, reason="已充值")
    gateway.refund = says(RefundState.SUCCESS)
    gateway.sweep_at(10 * DAY + 60)
    refund.refresh_from_db()
    assert (refund.status, refund.number_generation) == ("success", 1)


def test_many_that_wait_are_one_case_per_gateway_and_go_at_once_when_it_is_filled():
    refunds = [waiting() for _number in range(3)] + [waiting("alipay")]
    gateway = Gateway(SHORT)
    gateway.sweep_at(1, 100)
    found = PaymentException.objects.filter(kind="account_short")
    assert sorted(found.values_list("payment_method", flat=True)) == ["alipay", "wechat"]
    gateway.sweep_at(400)
    case = found.get(payment_method="wechat")
    gateway.refund = says(RefundState.SUCCESS)
    gateway.sweep_at(420)
    assert Refund.objects.filter(status="success").count() == 0, "the next turn is later"
    with clock.frozen(BEGUN_AT + timedelta(seconds=430)):
        assert funds_retry(actor=WANG, exception_id=case.id, reason="已充值 1000 元") == 3
    gateway.sweep_at(440)
    for refund in refunds:
        refund.refresh_from_db()
    assert [refund.status for refund in refunds] == ["success"] * 3 + ["processing"]
    gateway.sweep_at(450)
    assert sorted(found.values_list("payment_method", "outcome")) == [
        ("alipay", ""), ("wechat", "settled"),
    ]  # fmt: skip


def test_the_case_goes_on_when_one_begins_to_wait_just_before_it_would_end(monkeypatch):
    waiting()
    Gateway(SHORT).sweep_at(1)
    real, looks = funds.refunds_waiting_for_funds, []

    def nothing_at_first(method):
        looks.append(method)
        return real(method) if len(looks) > 1 else Refund.objects.none()

    monkeypatch.setattr(funds, "refunds_waiting_for_funds", nothing_at_first)
    assert funds.accounts_filled_report() == 0
    assert cases("account_short") == [""]


def test_one_that_ends_while_staff_send_all_again_is_never_due():
    refund, other = waiting(), waiting()
    Gateway(SHORT).sweep_at(1)
    case = PaymentException.objects.get(kind="account_short")
    with clock.frozen(BEGUN_AT + timedelta(seconds=10)), ends_before_the_first_write(refund):
        assert funds_retry(actor=WANG, exception_id=case.id, reason="已充值") == 1
    due = Refund.objects.filter(next_check_at=BEGUN_AT + timedelta(seconds=10))
    assert list(due) == [other]


def test_a_refused_question_about_one_that_waits_ends_nothing_and_sends_nothing():
    refund, gateway = waiting(), Gateway(SHORT)
    gateway.sweep_at(1)
    gateway.query = FORBIDDEN
    gateway.sweep_at(320, 700, 1500)
    refund.refresh_from_db()
    assert (refund.status, gateway.sendings) == ("processing", 1)
    assert refund.short_since is not None


def test_one_that_is_stopped_waits_for_no_money_and_says_so():
    refund, gateway = waiting(), Gateway(SHORT)
    gateway.sweep_at(1)
    gateway.query = FORBIDDEN
    with clock.frozen(BEGUN_AT + timedelta(seconds=10)):
        refund_stop(actor=WANG, refund_id=refund.id, reason="改为线下退还")
    gateway.sweep_at(20)
    refund.refresh_from_db()
    assert (refund.status, refund.state_text, refund.short_since) == (
        "processing", "已停止发送", None,
    )  # fmt: skip
    assert "充值" not in refund.error_message
    assert cases("account_short") == ["settled"], "nothing waits any more"


def test_one_that_was_stopped_just_before_its_refusal_came_waits_for_no_money():
    refund = waiting()

    def stopped_meanwhile(request):
        refund_stop(actor=WANG, refund_id=refund.id, reason="改为线下退还")
        return SHORT(request)

    gateway = Gateway(stopped_meanwhile)
    gateway.sweep_at(1, 62)
    refund.refresh_from_db()
    assert (refund.status, refund.error_code, gateway.sendings) == ("failed", "NOT_ENOUGH", 1)
    assert cases("account_short") == []


def of_merchant(number: str) -> Refund:
    """A refund of a payment that this merchant number took."""
    refund = waiting()
    gateway_config_set(actor=WANG, method="wechat", key="mch_id", value=number)
    PaymentTransaction.objects.filter(id=refund.transaction_id).update(
        config_version_id=gateway_config_current("wechat").version_id, is_mock=False
    )
    return refund


def test_each_merchant_number_has_a_case_of_its_own(monkeypatch):
    monkeypatch.setattr(submission, "refund_channel_of", lambda _payment: MockGateway("wechat"))
    refunds = [of_merchant("1900000109"), of_merchant("1900000109"), of_merchant("1900000208")]
    gateway = Gateway(SHORT)
    gateway.sweep_at(1, 100)
    found = PaymentException.objects.filter(kind="account_short").order_by("fact_key")
    assert [case.subject for case in found] == ["1900000109", "1900000208"]
    assert ["商户号 1900000109" in case.reason for case in found] == [True, False]
    gateway.refund = says(RefundState.SUCCESS)
    with clock.frozen(BEGUN_AT + timedelta(seconds=120)):
        assert funds_retry(actor=WANG, exception_id=found[0].id, reason="已充值") == 2
    gateway.sweep_at(130, 140)
    for refund in refunds:
        refund.refresh_from_db()
    assert [refund.status for refund in refunds] == ["success", "success", "processing"]
    assert [case.outcome for case in found.all()] == ["settled", ""]


def test_its_money_is_held_while_it_waits():
    payment = waiting().transaction
    gateway = Gateway(SHORT)
    gateway.sweep_at(1)
    with pytest.raises(Exception, match="REFUND_EXCEEDS_PAID"):
        refund_request(actor=OWNER, order_id=payment.order_id, amount=ALL, reason="x")


def test_no_case_of_its_own_is_opened_however_long_it_waits():
    waiting()
    gateway = Gateway(SHORT)
    gateway.sweep_at(*(1 + hour * 3600 * 6 for hour in range(25)))
    kinds = set(PaymentException.objects.values_list("kind", flat=True))
    assert kinds == {"account_short"}


def test_failed_ones_are_sent_again_together_each_under_its_number():
    gateway = Gateway(fails(GatewayRejected("no", code="TRADE_ERROR", reason=RejectReason.OTHER)))
    refunds = [waiting() for _number in range(3)]
    gateway.sweep_at(1, 200, 400)
    assert set(Refund.objects.values_list("status", flat=True)) == {"failed"}
    person = StaffUser.objects.create_user(username="wang", is_staff=True)
    person.groups.set([Group.objects.get(name="reviewer")])
    gateway.refund = says(RefundState.SUCCESS)
    with clock.frozen(BEGUN_AT + timedelta(seconds=600)):
        batch = batch_confirm(
            actor=person.as_actor(),
            batch_id=uuid.uuid4(),
            refund_ids=[refund.pk for refund in refunds],
            decision=BatchDecision.RETRY,
            notes="已充值",
        )
        assert batch_run(batch_id=batch.pk) == 3
    gateway.sweep_at(610)
    again = {refund.pk: refund.refund_no for refund in Refund.objects.filter(status="success")}
    assert again == {refund.pk: refund.refund_no for refund in refunds}
    with clock.frozen(BEGUN_AT + timedelta(seconds=700)):
        late = batch_confirm(
            actor=person.as_actor(),
            batch_id=uuid.uuid4(),
            refund_ids=[refunds[0].pk],
            decision=BatchDecision.RETRY,
            notes="再来",
        )
        batch_run(batch_id=late.pk)
    assert list(late.rows.values_list("outcome", "error_code")) == [
        ("refused", "REFUND_NOT_RETRYABLE")
    ]
