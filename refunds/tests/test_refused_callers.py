"""A refusal of whoever asks is none of the refund: it goes again once we are believed again."""

from datetime import timedelta

import pytest

from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import RefundState
from payments.models import PaymentException
from refunds.services.notices import notices_take
from refunds.services.stuck import DOUBTS_MAX, refunds_stuck_report
from refunds.services.submission import refunds_sweep
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


def swept(answers: Answers, *, minutes: int, begin: int = 0) -> None:
    with stage.gateway_answers(answers):
        for minute in range(begin, begin + minutes):
            with clock.frozen(BEGUN_AT + timedelta(minutes=minute)):
                refunds_sweep()


@pytest.mark.parametrize("query", [REFUSED, stage.says_nothing], ids=["all", "only refunds"])
@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_it_stays_in_progress_and_is_done_when_the_keys_are_right_again(method, query):
    payment = stage.paid(method)
    refund = stage.unsent(payment)
    swept(Answers(REFUSED, query), minutes=40)
    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.status, refund.error_code) == ("processing", "SIGN_ERROR")
    assert payment.refund_reserved == SOME, "its money is not free for another one"
    assert not PaymentException.objects.filter(kind="refund_refused").exists()
    swept(Answers(DONE, stage.says_nothing), begin=40, minutes=6)
    refund.refresh_from_db()
    assert (refund.status, refund.error_code) == ("success", "")


def test_what_lasts_is_a_case_that_closes_itself():
    refund = stage.unsent(stage.paid("wechat"))
    swept(Answers(REFUSED, stage.says_nothing), minutes=40)
    refund.refresh_from_db()
    assert refund.submissions >= DOUBTS_MAX
    assert refunds_stuck_report() == 1
    swept(Answers(DONE, stage.says_nothing), begin=40, minutes=6)
    assert PaymentException.objects.get(kind="stuck_refund").outcome == "settled"


def test_a_refusal_of_the_refund_itself_ends_it():
    refund = stage.failed(stage.paid("wechat"))
    assert refund.error_code == "NOT_ENOUGH"


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
