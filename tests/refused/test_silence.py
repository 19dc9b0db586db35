"""A gateway that refuses all questions for long: one case for all, and everything found after."""

import pytest

from payments.models import GatewayExchange, PaymentException, PaymentOrder
from payments.services.exceptions import exception_close
from refunds.models import Refund
from tests.refused.stage import ADMIN, CHANNELS, PRICE

LASTING = {
    "wechat": {"operation": "wechat", "kind": "refused", "code": "SIGN_ERROR", "lasting": True},
    "alipay": {"operation": "alipay", "kind": "refused", "code": "40002", "lasting": True},
}
CODES = {"wechat": "SIGN_ERROR", "alipay": "isv.invalid-signature"}


@pytest.fixture(params=CHANNELS)
def channel(request):
    return request.param


def cases() -> list[PaymentException]:
    return list(PaymentException.objects.filter(kind="gateway_silent").order_by("opened_at"))


def others() -> list[str]:
    return list(
        PaymentException.objects.exclude(kind="gateway_silent").values_list("kind", flat=True)
    )


def test_one_case_for_all_that_is_asked_about(stage, channel):
    orders = [stage.paid(channel) for _ in range(4)]
    stage.pass_time(minutes=2)
    for order in orders:
        stage.refund(order)
    stage.sweep()
    waiting = [stage.paid(channel) for _ in range(4)]
    stage.order_faults(LASTING[channel])
    stage.pass_time(minutes=20, every_seconds=150)
    stage.pass_time(minutes=180, every_seconds=600)
    [case] = cases()
    assert (case.payment_method, case.closed_at) == (channel, None)
    assert CODES[channel] in case.reason
    assert "核对商户私钥" in case.reason
    assert others() == []
    stage.recover()
    stage.pass_time(minutes=4)
    case.refresh_from_db()
    assert case.outcome == "settled"
    stage.recover()  # what it took on meanwhile is done, too
    stage.pass_time(minutes=30, every_seconds=600)
    assert stage.problems([*orders, *waiting], channel) == {}
    assert stage.audit() == []


def test_one_refused_question_is_no_case(stage, channel):
    stage.paid(channel)
    stage.order_faults({**LASTING[channel], "lasting": False, "times": 2})
    stage.pass_time(minutes=30, every_seconds=150)
    assert cases() == []


def test_one_order_that_is_refused_while_others_are_answered_is_no_case(stage, channel):
    odd, *_others = [stage.paid(channel) for _ in range(3)]
    stage.order_faults({**LASTING[channel], "number": odd.order_no})
    for _round in range(20):
        stage.paid(channel)
        stage.pass_time(minutes=2)
    assert cases() == []
    stage.recover()
    stage.pass_time(minutes=6)  # asked again five minutes after the newest refusal at the latest
    odd.refresh_from_db()
    assert odd.status == "paid"


def test_money_of_orders_that_expired_meanwhile_goes_back(stage, channel):
    order = stage.paid(channel)
    stage.order_faults(LASTING[channel])
    stage.pass_time(minutes=20, every_seconds=150)
    stage.pass_time(minutes=220, every_seconds=1200)
    assert PaymentOrder.objects.get(id=order.id).status == "expired"
    stage.recover()
    stage.pass_time(minutes=4)
    assert stage.their_refunds(channel, order.order_no) == [1000]
    stage.recover()
    stage.pass_time(minutes=4)
    refund = Refund.objects.get(order=order)
    assert (refund.status, refund.refund_amount) == ("success", PRICE)


def test_a_second_silence_is_a_second_case(stage, channel):
    for _silence in range(2):
        stage.paid(channel)
        stage.order_faults(LASTING[channel])
        stage.pass_time(minutes=20, every_seconds=150)
        stage.recover()
        stage.pass_time(minutes=10)
    assert [case.outcome for case in cases()] == ["settled", "settled"]


def test_a_case_that_staff_close_is_not_opened_again_at_once(stage, channel):
    stage.paid(channel)
    stage.order_faults(LASTING[channel])
    stage.pass_time(minutes=20, every_seconds=150)
    with stage.at():
        exception_close(actor=ADMIN, exception_id=cases()[0].id, resolution="已联系网关")
    stage.pass_time(minutes=30, every_seconds=150)
    assert [case.outcome for case in cases()] == ["closed"]


def test_answers_that_can_not_be_believed_are_a_case_too(stage, channel):
    order = stage.paid(channel)
    stage.order_faults({"operation": channel, "kind": "bad_signature", "lasting": True})
    stage.pass_time(minutes=20, every_seconds=150)
    [case] = cases()
    assert "BAD_SIGNATURE" in case.reason
    assert "核对网关用来签名的公钥或证书" in case.reason
    stage.recover()
    stage.pass_time(minutes=4)
    case.refresh_from_db()
    order.refresh_from_db()
    assert (case.outcome, order.status) == ("settled", "paid")


def test_what_stays_in_doubt_after_a_silence_is_asked_about_at_its_own_pace(stage, channel):
    order = stage.paid(channel)
    stage.pass_time(minutes=2)
    refund_id = stage.refund(order)
    numbers = order.order_no, Refund.objects.get(id=refund_id).refund_no
    lost = {"operation": channel, "kind": "lost_after", "lasting": True}
    unanswered = [{**lost, "number": number} for number in numbers]
    stage.order_faults(*unanswered)
    stage.sweep()
    stage.paid(channel)
    stage.order_faults(*unanswered, LASTING[channel])
    stage.pass_time(minutes=20, every_seconds=150)
    stage.recover()
    stage.order_faults(*unanswered)
    stage.pass_time(minutes=4)
    assert [case.outcome for case in cases()] == ["settled"]
    questions = GatewayExchange.objects.filter(refund_id=refund_id, asked_at__gt=stage.now)
    stage.pass_time(minutes=30)
    assert 6 <= questions.count() <= 7  # every five minutes
