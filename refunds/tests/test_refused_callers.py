"""A refusal of whoever asks is none of the refund: it goes again once we are believed again."""

from datetime import timedelta

import pytest

from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import RefundState
from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import exception_close
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.stuck import DOUBTS_MAX, PROCESSING_MAX
from refunds.tasks import sweep
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, SOME, Answers
from tcmpay.common import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


REFUSED = stage.fails(
    GatewayRejected("wrong key", code="SIGN_ERROR", reason=RejectReason.CONFIGURATION)
)
DONE = stage.says(RefundState.SUCCESS)


def swept(answers: Answers, *, minutes: int, begin: int = 0, every: int = 2) -> None:
    """Sweeps ``every`` so many of ``minutes``."""
    with stage.gateway_answers(answers):
        for minute in range(begin, begin + minutes, every):
            with clock.frozen(BEGUN_AT + timedelta(minutes=minute)):
                sweep()


@pytest.mark.parametrize("query", [REFUSED, stage.says_nothing], ids=["all", "only refunds"])
@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_it_stays_in_progress_and_is_done_when_the_keys_are_right_again(method, query):
    payment = stage.paid(method)
    refund = stage.unsent(payment)
    swept(Answers(REFUSED, query), minutes=20)
    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.status, refund.error_code) == ("processing", "SIGN_ERROR")
    assert payment.refund_reserved == SOME, "its money is not free for another one"
    assert not PaymentException.objects.filter(kind="refund_refused").exists()
    swept(Answers(DONE, stage.says_nothing), begin=20, minutes=6)
    refund.refresh_from_db()
    assert (refund.status, refund.error_code) == ("success", "")


def cases(kind: str) -> list[str]:
    """How the cases of a kind stand, oldest first; "" is open."""
    found = PaymentException.objects.filter(kind=kind).order_by("opened_at")
    return list(found.values_list("outcome", flat=True))


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_what_lasts_is_one_case_for_all_that_closes_itself(method):
    for _ in range(3):
        stage.unsent(stage.paid(method))
    swept(Answers(REFUSED, stage.says_nothing), minutes=20, every=1)
    assert Refund.objects.filter(submissions__gte=DOUBTS_MAX).count() == 3
    assert (cases("gateway_refusing"), cases("stuck_refund")) == ([""], [])
    reason = PaymentException.objects.get(kind="gateway_refusing").reason
    assert "SIGN_ERROR" in reason
    assert "核对商户私钥" in reason
    swept(Answers(DONE, stage.says_nothing), begin=20, minutes=8, every=1)
    assert (cases("gateway_refusing"), cases("stuck_refund")) == (["settled"], [])


def test_even_after_days_there_is_no_case_for_each():
    stage.unsent(stage.paid("wechat"))
    swept(Answers(REFUSED, stage.says_nothing), minutes=10)
    days = int(PROCESSING_MAX / timedelta(minutes=1))
    swept(Answers(REFUSED, stage.says_nothing), begin=days + 1, minutes=10)
    assert (cases("gateway_refusing"), cases("stuck_refund")) == ([""], [])


def test_whoever_closes_it_is_left_alone_for_a_day():
    stage.unsent(stage.paid("wechat"))
    swept(Answers(REFUSED, stage.says_nothing), minutes=10)
    case = PaymentException.objects.get(kind="gateway_refusing")
    exception_close(actor=stage.REVIEWER, exception_id=case.id, resolution="已联系网关")
    swept(Answers(REFUSED, stage.says_nothing), begin=10, minutes=15)
    assert (cases("gateway_refusing"), cases("stuck_refund")) == (["closed"], [])


def test_one_that_is_refused_while_others_are_done_has_its_own_case():
    odd = stage.unsent(stage.paid("wechat"))

    def answers_others(request):
        return REFUSED(request) if request.out_refund_no == odd.refund_no else DONE(request)

    for minute in range(0, 20, 2):
        with clock.frozen(BEGUN_AT + timedelta(minutes=minute)):
            stage.unsent(stage.paid("wechat"))
        swept(Answers(answers_others, stage.says_nothing), begin=minute, minutes=2, every=1)
    assert (cases("gateway_refusing"), cases("stuck_refund")) == ([], [""])
    swept(Answers(DONE, stage.says_nothing), begin=20, minutes=8, every=1)
    assert cases("stuck_refund") == ["settled"]


def test_a_refusal_of_the_refund_itself_ends_it():
    refund = stage.failed(stage.paid("wechat"))
    assert refund.error_code == "TRADE_ERROR"
    money_back = PaymentTransaction.objects.get(refund_id=refund.id)
    assert (money_back.status, money_back.error_code) == ("failed", "TRADE_ERROR")


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_it_does_not_go_by_itself_after_somebody_gave_money_back_in_the_console(method):
    payment = stage.paid(method)
    refund = stage.unsent(payment)
    swept(Answers(REFUSED, stage.says_nothing), minutes=8)
    with clock.frozen(BEGUN_AT + timedelta(minutes=8)):
        stage.noticed(payment, "console-1", RefundState.SUCCESS)
        with stage.gateway_answers(Answers(REFUSED, stage.says(RefundState.SUCCESS))):
            assert notices_take() == 1
    swept(Answers(DONE, stage.says_nothing), begin=9, minutes=30)
    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.status, refund.error_code) == ("failed", "OUTSIDE")
    assert payment.refund_reserved == SOME, "what went back in the console, and nothing else"
